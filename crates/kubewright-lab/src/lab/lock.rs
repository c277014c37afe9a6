//! The right to change one lab, and how it outlives this process as long as it must.
//!
//! The kernel gives a lock back when the last process that has it open ends. A program that is called with it keeps the
//! lab locked until it has ended, so that nothing appears after a killed lab program's lab was cleaned up.

use std::fs::File;

use anyhow::{Context, Result};

use crate::tool;

/// The right to change one lab; given back when dropped.
#[derive(Debug)]
pub(crate) struct LabLock {
    file: File,
}

impl LabLock {
    /// The right that a locked file is.
    pub(crate) fn of(file: File) -> Self {
        Self { file }
    }

    /// Runs a program like [`tool::run`], with the lab locked until it ends whatever happens to this process: the lock is
    /// its standard input, which it does not read.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let shared = self.file.try_clone().context("share the lab's lock")?;
        tool::run_with_input(shared.into(), program, arguments)
    }
}
