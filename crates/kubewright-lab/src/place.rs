//! Which lab a command is about, as its arguments say.

use std::path::PathBuf;

use anyhow::Result;

use crate::lab::{Lab, LabName, name};
use crate::registry::Registry;

/// Which lab is meant.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// Name of the lab; several can live side by side
    #[arg(long, global = true, default_value = "demo", env = "KUBEWRIGHT_LAB")]
    pub(crate) lab: LabName,

    /// Directory of the lab [default: target/lab/NAME]
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
}

impl Place {
    /// The lab's directory: as given, or below `target` of the working directory.
    pub(crate) fn directory(&self) -> Result<PathBuf> {
        let default = || PathBuf::from("target/lab").join(self.lab.as_str());
        name::check_directory(&self.dir.clone().unwrap_or_else(default))
    }

    /// The existing lab, wherever it lives.
    pub(crate) fn find(&self) -> Result<Lab> {
        let registry = Registry::of_this_computer();
        let found = registry.find(&self.lab, &self.directory()?, self.dir.is_some())?;
        found.ok_or_else(|| {
            anyhow::anyhow!(
                "there is no lab {}: make it with `kubewright-lab --lab {} up`",
                self.lab,
                self.lab
            )
        })
    }
}
