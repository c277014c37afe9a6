//! Whether other nodes can be reached: TCP connections tried from here, and ports held open for others to try.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use kubewright_core::wire::NodeError;

use crate::fault::{Doing as _, fault};

/// Most targets of one request, each of which takes a thread.
const TARGETS: usize = 256;

/// Tries connections, all at once; reached targets map to `None`.
///
/// # Errors
/// When too many are asked for at once.
pub fn probe(targets: &[String], timeout: Duration) -> Result<BTreeMap<String, Option<String>>, NodeError> {
    if targets.len() > TARGETS {
        return Err(fault("probe", format!("more than {TARGETS} targets at once")));
    }
    let (sender, receiver) = mpsc::channel();
    let mut outcomes = BTreeMap::new();
    for target in targets {
        let (sender, name) = (sender.clone(), target.clone());
        let spawned = std::thread::Builder::new().stack_size(128 << 10).spawn(move || {
            let outcome = reach(&name, timeout);
            let _ = sender.send((name, outcome));
        });
        if let Err(error) = spawned {
            outcomes.insert(target.clone(), Some(fault("", error).cause));
        }
    }
    drop(sender);
    outcomes.extend(receiver);
    Ok(outcomes)
}

fn reach(target: &str, timeout: Duration) -> Option<String> {
    let Ok(address) = target.parse::<SocketAddr>() else {
        return Some("not an address with a port".to_owned());
    };
    // A zero timeout is an error of its own to the standard library.
    let timeout = timeout.max(Duration::from_millis(1));
    match TcpStream::connect_timeout(&address, timeout) {
        Ok(_) => None,
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Some("timed out".to_owned()),
        Err(error) => Some(fault("", error).cause),
    }
}

/// Listens on those ports that are free; the kernel answers connections for as long as the listeners are kept.
///
/// # Errors
/// When the address is not one of the node's.
pub fn listen(address: IpAddr, ports: &[u16]) -> Result<Vec<TcpListener>, NodeError> {
    let mut listeners = Vec::new();
    for port in ports.iter().take(TARGETS) {
        match TcpListener::bind((address, *port)) {
            Ok(listener) => listeners.push(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error).doing(|| format!("listen on {address} port {port}")),
        }
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaches_a_listening_port_and_no_other() {
        let local = IpAddr::from([127, 0, 0, 1]);
        let open = listen(local, &[0]).unwrap();
        let closed = listen(local, &[0]).unwrap();
        let open_address = open[0].local_addr().unwrap().to_string();
        let closed_address = closed[0].local_addr().unwrap().to_string();
        drop(closed);
        let targets = [
            open_address.clone(),
            closed_address.clone(),
            "nonsense".to_owned(),
        ];
        let outcomes = probe(&targets, Duration::from_secs(5)).unwrap();
        assert_eq!(outcomes[&open_address], None);
        assert!(outcomes[&closed_address].is_some());
        assert_eq!(
            outcomes["nonsense"].as_deref(),
            Some("not an address with a port")
        );
    }
}
