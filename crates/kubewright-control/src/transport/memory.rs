//! An agent inside this process, for tests: no process, no network.

use std::fmt;
use std::sync::Arc;

use kubewright_core::spec::NodeName;
use tokio::io::{DuplexStream, duplex};

use super::{Channel, Opening, Peer, Transport};

const PIPE_BYTES: usize = 64 << 10;

type Serve = dyn Fn(DuplexStream, DuplexStream) + Send + Sync;

/// Gives both ends of two pipes to a function that serves as the agent.
#[derive(Clone)]
pub struct Memory {
    node: NodeName,
    serve: Arc<Serve>,
}

impl Memory {
    /// Reaches what `serve` starts with its input and its output; it must not block.
    pub fn new(node: NodeName, serve: impl Fn(DuplexStream, DuplexStream) + Send + Sync + 'static) -> Self {
        Self {
            node,
            serve: Arc::new(serve),
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Memory({})", self.node)
    }
}

impl Transport for Memory {
    fn node(&self) -> &NodeName {
        &self.node
    }

    fn open(&self) -> Opening<'_> {
        Box::pin(async {
            let (writer, input) = duplex(PIPE_BYTES);
            let (output, reader) = duplex(PIPE_BYTES);
            (self.serve)(input, output);
            Ok(Channel {
                reader: Box::new(reader),
                writer: Box::new(writer),
                peer: Peer::default(),
            })
        })
    }
}
