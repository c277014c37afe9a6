//! An agent on this computer, as a child process.

use std::path::PathBuf;
use std::process::Stdio;

use kubewright_core::spec::NodeName;
use tokio::process::Command;

use super::{Channel, Failure, Opening, Peer, Transport, TransportError};

/// Runs the agent's executable with `serve`.
#[derive(Clone, Debug)]
pub struct Local {
    node: NodeName,
    program: PathBuf,
}

impl Local {
    /// Reaches this computer as `node` through the agent at `program`.
    pub fn new(node: NodeName, program: PathBuf) -> Self {
        Self { node, program }
    }

    fn start(&self) -> Result<Channel, TransportError> {
        let error = |source: std::io::Error| TransportError {
            node: self.node.clone(),
            destination: self.program.display().to_string(),
            failure: Failure::Start {
                program: self.program.display().to_string(),
                cause: source.to_string(),
            },
            stderr: Box::default(),
        };
        let mut command = Command::new(&self.program);
        command
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(error)?;
        let (Some(writer), Some(reader)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(error(std::io::Error::other("no pipes")));
        };
        Ok(Channel {
            reader: Box::new(reader),
            writer: Box::new(writer),
            peer: Peer::of(child),
        })
    }
}

impl Transport for Local {
    fn node(&self) -> &NodeName {
        &self.node
    }

    fn open(&self) -> Opening<'_> {
        Box::pin(async { self.start() })
    }
}
