//! What input from elsewhere must never do, one function for each kind of input.
//!
//! Each function takes any bytes, has the real code read them, and panics when a promise is broken: a panic in the
//! code, text that could move the operator's cursor, more kept than was allowed, a file outside the node's root. The
//! programs in `fuzz/` give these functions what a fuzzer invents; the test `corpus` gives them every file of
//! `fuzz/corpus`, so that `cargo test` notices when a target no longer fits the code.
//!
//! Nothing here looks at what the code answers beyond those promises: that is for the tests beside the code.

// Breaking a promise is a panic: that is how a fuzzer is told.
#![allow(clippy::panic, clippy::expect_used)]

mod archive;
mod blob;
mod cluster_file;
mod journal;
mod node_answer;
mod shown;
mod wire;

/// A kind of input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its program and of its directory in the corpus.
    pub name: &'static str,
    /// Reads the input and panics when a promise is broken.
    pub run: fn(&[u8]),
}

/// All kinds of input that come from elsewhere.
pub const TARGETS: &[Target] = &[
    Target {
        name: "archive",
        run: archive::run,
    },
    Target {
        name: "blob",
        run: blob::run,
    },
    Target {
        name: "cluster_file",
        run: cluster_file::run,
    },
    Target {
        name: "journal",
        run: journal::run,
    },
    Target {
        name: "node_answer",
        run: node_answer::run,
    },
    Target {
        name: "wire",
        run: wire::run,
    },
];

/// Runs a target by its name.
///
/// # Panics
/// When there is no such target, or the input breaks a promise.
pub fn run(target: &str, input: &[u8]) {
    let target = TARGETS
        .iter()
        .find(|known| known.name == target)
        .expect("no such target");
    (target.run)(input);
}
