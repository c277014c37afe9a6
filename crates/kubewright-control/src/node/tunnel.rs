//! Connections from a node to somewhere else, carried in the conversation: how the API and etcd are reached.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kubewright_core::wire::frame::encode_data;
use kubewright_core::wire::{StreamId, ToAgent};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy_bidirectional, duplex, split};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::conversation::{Shared, Tunnel};
use super::{Node, NodeCallError};

/// Bytes on their way through this end of a tunnel, each way.
const PIPE_BYTES: usize = 64 << 10;
/// How long a node may take to connect.
const OPEN: Duration = Duration::from_secs(15);

/// A connection from a node to somewhere else.
pub type TunnelStream = DuplexStream;

impl Node {
    /// Opens a TCP connection from the node to `address`, as in `127.0.0.1:6443`.
    pub async fn open_tunnel(&self, address: &str) -> Result<TunnelStream, NodeCallError> {
        let doing = format!("connect to {address}");
        let stream = self.shared.new_stream();
        let (opened, outcome) = oneshot::channel();
        self.shared
            .state()
            .tunnels
            .insert(stream, Tunnel::Opening(opened));
        self.shared.say(
            &doing,
            &ToAgent::OpenTunnel {
                stream,
                address: address.to_owned(),
            },
        )?;
        let arriving = timeout(OPEN, outcome)
            .await
            .map_err(|_| self.shared.timed_out(&doing, OPEN))?
            .map_err(|_| self.shared.lost(&doing))?
            .map_err(|cause| NodeCallError::Tunnel {
                node: self.shared.node.clone(),
                address: address.to_owned(),
                cause,
            })?;
        let (ours, theirs) = duplex(PIPE_BYTES);
        tokio::spawn(carry(self.shared.clone(), stream, theirs, arriving));
        Ok(ours)
    }

    /// Listens on a free port of this computer's loopback and carries each connection from the node to `address`.
    pub async fn forward(&self, address: &str) -> std::io::Result<Forward> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let local = listener.local_addr()?;
        let (node, address) = (self.clone(), address.to_owned());
        let task = tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let (node, address) = (node.clone(), address.clone());
                tokio::spawn(async move {
                    let carried = async {
                        let mut tunnel = node.open_tunnel(&address).await.map_err(std::io::Error::other)?;
                        copy_bidirectional(&mut connection, &mut tunnel).await
                    };
                    if let Err(error) = carried.await {
                        tracing::debug!(node = %node.name(), %address, %error, "forwarded connection");
                    }
                });
            }
        });
        Ok(Forward { local, task })
    }
}

/// A loopback address that leads to an address seen from a node, for as long as this value lives.
#[derive(Debug)]
pub struct Forward {
    local: SocketAddr,
    task: JoinHandle<()>,
}

impl Forward {
    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries bytes both ways; each way ends by itself.
async fn carry(
    shared: Arc<Shared>,
    stream: StreamId,
    pipe: DuplexStream,
    mut arriving: mpsc::Receiver<Vec<u8>>,
) {
    let (mut from_here, mut to_here) = split(pipe);
    let outward = async {
        let mut buffer = vec![0; PIPE_BYTES];
        loop {
            let count = from_here.read(&mut buffer).await.unwrap_or(0);
            let Ok(frame) = encode_data(stream, &buffer[..count]) else {
                break;
            };
            if shared.tunnel_frames.send(frame).await.is_err() || count == 0 {
                break;
            }
        }
    };
    let inward = async {
        while let Some(bytes) = arriving.recv().await {
            if to_here.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = to_here.shutdown().await;
        // Dropped here, so that the reading side learns at once that nobody takes more.
        drop(arriving);
    };
    tokio::join!(outward, inward);
}
