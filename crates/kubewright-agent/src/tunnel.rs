//! A TCP connection from the node, carried over the connection: how the controller reaches etcd and API servers that
//! listen on the node or its network only.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use kubewright_core::wire::{FromAgent, StreamId};

use crate::link::Link;
use crate::pipe::PipeReader;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// Opens the connection and carries bytes both ways until both ends have ended. Runs on the calling thread, with one more
/// for the way back.
pub fn run(link: &Arc<Link>, stream: StreamId, address: &str, incoming: PipeReader) {
    let socket = match connect(address) {
        Ok(socket) => socket,
        Err(error) => {
            link.send(&FromAgent::Tunnel {
                stream,
                error: Some(error),
            });
            return;
        }
    };
    let _ = socket.set_nodelay(true);
    link.send(&FromAgent::Tunnel { stream, error: None });
    let Ok(other) = socket.try_clone() else {
        let _ = link.data(stream, &[]);
        return;
    };
    let outgoing = Arc::clone(link);
    let back = std::thread::Builder::new().spawn(move || carry_out(&outgoing, stream, other));
    carry_in(incoming, &socket);
    if let Ok(back) = back {
        let _ = back.join();
    }
}

fn connect(address: &str) -> Result<TcpStream, String> {
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("{address:?} is not an address with a port"))?;
    TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)
        .map_err(|error| crate::fault::fault("", error).cause)
}

/// From the controller to the socket.
fn carry_in(mut incoming: PipeReader, mut socket: &TcpStream) {
    let mut buffer = vec![0; CHUNK];
    loop {
        match incoming.read(&mut buffer) {
            Ok(0) => {
                let _ = socket.shutdown(Shutdown::Write);
                return;
            }
            Ok(count) if socket.write_all(&buffer[..count]).is_ok() => {}
            _ => {
                let _ = socket.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}

/// From the socket to the controller; the last frame is empty, however it ended.
fn carry_out(link: &Link, stream: StreamId, mut socket: TcpStream) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(count) = socket.read(&mut buffer) {
        if count == 0 || link.is_gone() || link.data(stream, &buffer[..count]).is_err() {
            break;
        }
    }
    let _ = link.data(stream, &[]);
}
