//! Whether datagrams reach other nodes: sent from here and sent back from there, small ones and ones as large as the link.
//!
//! Only what begins with a mark is sent back, as it came, to whoever sent it: nobody gets more bytes than he spent, and
//! stray packets get nothing.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use kubewright_core::observed::Datagrams;
use kubewright_core::wire::NodeError;

use crate::fault::{Doing as _, fault};

/// What datagrams of a check begin with.
const MARK: &[u8] = b"kubewright check ";
/// Headers of IPv4 and UDP.
const HEADERS: u16 = 28;
/// The smallest datagram, with its headers.
const SMALL: u16 = 64;
/// Pause between two datagrams of one size: a busy node has time to answer.
const AGAIN: Duration = Duration::from_millis(400);
/// How often an echo looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(200);
/// Most targets of one request, each of which takes a thread.
const TARGETS: usize = 256;

/// Sends datagrams back for as long as it is kept.
#[derive(Debug)]
pub struct Echo(Arc<AtomicBool>);

impl Drop for Echo {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Answers on those of the ports that are free.
///
/// # Errors
/// When the address is not one of the node's.
pub fn echo(address: IpAddr, ports: &[u16]) -> Result<Vec<Echo>, NodeError> {
    let mut echoes = Vec::new();
    for port in ports.iter().take(TARGETS) {
        let socket = match UdpSocket::bind((address, *port)) {
            Ok(socket) => socket,
            // The kernel's own VXLAN device answers nobody.
            Err(error) if error.kind() == ErrorKind::AddrInUse => continue,
            Err(error) => return Err(error).doing(|| format!("listen on {address} UDP port {port}")),
        };
        echoes.push(answer(socket)?);
    }
    Ok(echoes)
}

fn answer(socket: UdpSocket) -> Result<Echo, NodeError> {
    let doing = || "answer datagrams".to_owned();
    socket.set_read_timeout(Some(LOOK)).doing(doing)?;
    let ends = Arc::new(AtomicBool::new(false));
    let echo = Echo(Arc::clone(&ends));
    let work = move || {
        let mut buffer = vec![0; 1 << 16];
        while !ends.load(Ordering::Relaxed) {
            if let Ok((count, from)) = socket.recv_from(&mut buffer)
                && buffer[..count].starts_with(MARK)
            {
                let _ = socket.send_to(&buffer[..count], from);
            }
        }
    };
    std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(work)
        .doing(doing)?;
    Ok(echo)
}

/// Sends datagrams to all targets at once, from one of this node's addresses; `bytes` is the size of the large ones, with
/// their headers.
///
/// # Errors
/// When too many are asked for at once.
pub fn probe(
    from: IpAddr,
    targets: &[String],
    bytes: u16,
    timeout: Duration,
) -> Result<BTreeMap<String, Datagrams>, NodeError> {
    if targets.len() > TARGETS {
        return Err(fault("probe", format!("more than {TARGETS} targets at once")));
    }
    let (sender, receiver) = mpsc::channel();
    for target in targets {
        let (sender, target) = (sender.clone(), target.clone());
        let work = move || {
            let outcome = reach(from, &target, bytes, timeout);
            let _ = sender.send((target, outcome));
        };
        std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn(work)
            .doing(|| "probe".to_owned())?;
    }
    drop(sender);
    Ok(receiver.into_iter().collect())
}

fn reach(from: IpAddr, target: &str, bytes: u16, timeout: Duration) -> Datagrams {
    let attempt = || {
        let to: SocketAddr = target.parse().map_err(std::io::Error::other)?;
        let socket = UdpSocket::bind((from, 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(AGAIN))?;
        let mut found = Datagrams {
            small: comes_back(&socket, SMALL, timeout),
            ..Datagrams::default()
        };
        // Linux marks what fits its own link as not to be taken apart on the way, until a router complains.
        if found.small && bytes > SMALL && !comes_back(&socket, bytes, timeout) {
            found.lost_bytes = Some(bytes);
        }
        Ok::<_, std::io::Error>(found)
    };
    attempt().unwrap_or_else(|error| Datagrams {
        error: Some(fault("", error).cause),
        ..Datagrams::default()
    })
}

/// Whether a datagram of a size comes back in time; one may be lost on the way.
fn comes_back(socket: &UdpSocket, bytes: u16, timeout: Duration) -> bool {
    let mut sent = vec![b'.'; usize::from(bytes.saturating_sub(HEADERS)).max(MARK.len())];
    sent[..MARK.len()].copy_from_slice(MARK);
    let mut buffer = vec![0; 1 << 16];
    let end = Instant::now() + timeout;
    while Instant::now() < end {
        let begun = Instant::now();
        // A refused port shows at the next send or receive.
        let _ = socket.send(&sent);
        match socket.recv(&mut buffer) {
            Ok(count) if buffer[..count] == sent => return true,
            Ok(_) => {}
            Err(_) => std::thread::sleep(
                AGAIN
                    .saturating_sub(begun.elapsed())
                    .min(end - Instant::now().min(end)),
            ),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// A port that nothing has.
    fn free() -> u16 {
        UdpSocket::bind((LOCAL, 0)).unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn datagrams_of_both_sizes_come_back_from_an_echo() {
        let port = free();
        let echo = echo(LOCAL, &[port]).unwrap();
        assert_eq!(echo.len(), 1);
        let target = format!("127.0.0.1:{port}");
        let outcomes = probe(
            LOCAL,
            std::slice::from_ref(&target),
            1500,
            Duration::from_secs(20),
        )
        .unwrap();
        let expected = Datagrams {
            small: true,
            ..Datagrams::default()
        };
        assert_eq!(outcomes[&target], expected);
    }

    #[test]
    fn where_nothing_answers_nothing_comes_back() {
        let target = format!("127.0.0.1:{}", free());
        let outcomes = probe(
            LOCAL,
            std::slice::from_ref(&target),
            1500,
            Duration::from_millis(50),
        )
        .unwrap();
        assert_eq!(outcomes[&target], Datagrams::default());
    }

    #[test]
    fn a_port_in_use_is_left_alone_and_strangers_get_no_answer() {
        let taken = UdpSocket::bind((LOCAL, 0)).unwrap();
        assert!(
            echo(LOCAL, &[taken.local_addr().unwrap().port()])
                .unwrap()
                .is_empty()
        );
        let port = free();
        let _echo = echo(LOCAL, &[port]).unwrap();
        taken.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        taken.send_to(b"hello", (LOCAL, port)).unwrap();
        assert!(taken.recv(&mut [0; 16]).is_err());
    }
}
