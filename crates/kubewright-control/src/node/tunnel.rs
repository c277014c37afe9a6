//! Connections from a node to somewhere else, carried in the connection: how the API and etcd are reached.

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

use super::connection::{Shared, TUNNEL_FRAMES, Tunnel};
use super::{Node, NodeCallError};

/// Bytes on their way through this end of a tunnel, each way.
const PIPE_BYTES: usize = 64 << 10;
/// How long a node may take to connect.
const OPEN: Duration = Duration::from_secs(15);

/// How long a tunnel may hold up everything else because its reader does not take what arrives.
const SLOW_TUNNEL: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 10_000 });

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
        let arriving = timeout(self.shared.pace().bound(OPEN), outcome)
            .await
            .map_err(|_| self.shared.timed_out(&doing, self.shared.pace().bound(OPEN)))?
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
        // Dropped here, so that the reading side learns at once that no more is taken.
        drop(arriving);
    };
    tokio::join!(outward, inward);
}

impl Shared {
    /// Hears whether the agent has connected.
    pub(super) fn hear_of_tunnel(&self, stream: StreamId, error: Option<String>) -> Result<(), String> {
        let mut state = self.state();
        match state.tunnels.remove(&stream) {
            Some(Tunnel::Opening(opened)) => {
                let outcome = if let Some(error) = error {
                    Err(error)
                } else {
                    let (sender, receiver) = mpsc::channel(TUNNEL_FRAMES);
                    state.tunnels.insert(stream, Tunnel::Open(sender));
                    Ok(receiver)
                };
                let is_open = outcome.is_ok();
                if opened.send(outcome).is_err() && is_open {
                    state.tunnels.insert(stream, Tunnel::Abandoned);
                    // The reader has stopped waiting; when the queue is full, the agent learns it at the end.
                    let end = encode_data(stream, &[]).map_err(|error| error.to_string())?;
                    let _ = self.tunnel_frames.try_send(end);
                }
                Ok(())
            }
            _ => Err(format!("tunnel {stream} that nobody opens")),
        }
    }

    /// Takes data of a tunnel; no bytes end it.
    pub(super) async fn take(&self, stream: StreamId, bytes: Vec<u8>) -> Result<(), String> {
        let sender = {
            let mut state = self.state();
            let is_end = bytes.is_empty();
            match state.tunnels.get(&stream) {
                Some(Tunnel::Open(_) | Tunnel::Abandoned) if is_end => {
                    state.tunnels.remove(&stream);
                    return Ok(());
                }
                Some(Tunnel::Open(sender)) => sender.clone(),
                Some(Tunnel::Abandoned) => return Ok(()),
                Some(Tunnel::Opening(_)) | None => {
                    return Err(format!("data on stream {stream}, which is not open"));
                }
            }
        };
        let taken = timeout(SLOW_TUNNEL, sender.send(bytes)).await;
        if !matches!(taken, Ok(Ok(()))) {
            if taken.is_err() {
                tracing::debug!(node = %self.node, stream, "nobody takes what arrives on a tunnel; closing it");
            }
            self.state().tunnels.insert(stream, Tunnel::Abandoned);
        }
        Ok(())
    }
}
