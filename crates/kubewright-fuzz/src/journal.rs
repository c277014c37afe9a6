//! What a node remembers: journals, the ledger and the hashes, damaged in any way, on a temporary root.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kubewright_agent::journal::{DIRECTORY, Journal, KEPT, Run, runs};
use kubewright_agent::node::Node;
use kubewright_agent::system::{Command, Output, System};
use kubewright_agent::undo::undo;
use kubewright_agent::{hashes, ledger};
use kubewright_core::journal::{Event, Undo};
use kubewright_core::resource::{Digest, ResourceId};

use crate::shown::assert_harmless;

/// The run whose journal is damaged.
const RUN: &str = "run-1";
/// Old content that is kept; its digest is in the corpus.
const OLD: &[u8] = b"old\n";
/// Bytes of text an error may be.
const ERROR_BYTES: usize = 64 << 10;

/// The input is the journal, the ledger and the hashes, with a NUL between them.
pub(crate) fn run(input: &[u8]) {
    let mut parts = input.splitn(3, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let outside = tempfile::tempdir().expect("a temporary directory");
    let root = outside.path().join("root");
    let system: Arc<dyn System> = Arc::new(Sandbox { root: root.clone() });
    put(&root, &format!("{DIRECTORY}/{RUN}.jsonl"), part());
    put(&root, ledger::PATH, part());
    put(&root, hashes::PATH, part());
    put(&root, &format!("{KEPT}/{}", Digest::of(OLD)), OLD);
    put(&root, "/etc/kubernetes/a.conf", b"new\n");
    put(&root, "/run/none", b"");
    put(outside.path(), "bystander", b"somebody else's");
    std::os::unix::fs::symlink(outside.path(), root.join("way-out")).expect("a link");

    goes_on(&system);
    match undo(&system, Some(RUN)) {
        Ok(undone) => assert!(
            undone.restored.len() <= input.len(),
            "more was undone than was done"
        ),
        Err(error) => assert_harmless(&error.to_string(), ERROR_BYTES),
    }
    assert_eq!(
        names(outside.path()),
        ["bystander", "root"],
        "something is outside the root"
    );
    let bystander = fs::read(outside.path().join("bystander")).expect("the bystander");
    assert_eq!(
        bystander, b"somebody else's",
        "something outside the root was written"
    );
}

/// A run that comes back to the node goes on in its journal, and the journal still tells all it told.
fn goes_on(system: &Arc<dyn System>) {
    let Ok(node) = Node::open(Arc::clone(system)) else {
        return;
    };
    let told = |node: &Node| {
        let runs = runs(&node.tree).expect("the journals can be read");
        let of_run = runs.into_iter().find(|(name, _)| name == RUN);
        of_run.map_or(0, |(_, entries)| entries.len())
    };
    let before = told(&node);
    let mut journal = Journal::new(Run {
        id: RUN.to_owned(),
        ..Run::default()
    });
    let event = Event::Intended {
        resource: ResourceId::new("file", "/etc/kubernetes/a.conf"),
        undo: Undo::Nothing,
    };
    journal
        .record(system.as_ref(), &node.tree, vec![event])
        .expect("a damaged journal is gone on with");
    let after = told(&node);
    // What has no line feed after it was never finished, and is gone.
    assert!(
        (before + 1..=before + 2).contains(&after),
        "{before} entries became {after}"
    );
}

fn put(root: &Path, path: &str, content: &[u8]) {
    let path = root.join(path.trim_start_matches('/'));
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).expect("a directory");
    }
    fs::write(path, content).expect("a file");
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// A node on a temporary root whose programs all succeed and say nothing.
struct Sandbox {
    root: PathBuf,
}

impl System for Sandbox {
    fn root(&self) -> &Path {
        &self.root
    }

    fn run(&self, _command: &Command) -> io::Result<Output> {
        Ok(Output {
            success: true,
            ..Output::default()
        })
    }

    fn feed(&self, command: &Command, input: &mut dyn Read) -> io::Result<Output> {
        io::copy(input, &mut io::sink())?;
        self.run(command)
    }

    fn now(&self) -> i64 {
        1_750_000_000
    }
}
