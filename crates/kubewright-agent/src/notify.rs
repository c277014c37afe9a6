//! Tells systemd how a process of ours fares (sd_notify(3)): ready, stopping, and the watchdog's sign of life.
//!
//! Without `NOTIFY_SOCKET` everything here does nothing.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The way to the service manager, when there is one.
#[derive(Debug)]
pub(crate) struct Notifier {
    target: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// Uses the socket the service manager named in the environment.
    pub(crate) fn from_environment() -> Self {
        Self::new(std::env::var_os("NOTIFY_SOCKET").as_deref())
    }

    fn new(socket: Option<&OsStr>) -> Self {
        let target = socket.and_then(|socket| {
            let address = match socket.as_bytes().strip_prefix(b"@") {
                Some(name) => SocketAddr::from_abstract_name(name).ok()?,
                None => SocketAddr::from_pathname(socket).ok()?,
            };
            let datagram = UnixDatagram::unbound().ok()?;
            datagram.set_nonblocking(true).ok()?;
            Some((datagram, address))
        });
        Self { target }
    }

    /// Sends assignments such as `READY=1`, one per line; a manager that does not listen is not an error.
    pub(crate) fn send(&self, state: &str) {
        if let Some((datagram, address)) = &self.target {
            let _ = datagram.send_to_addr(state.as_bytes(), address);
        }
    }
}

/// Half the time after which systemd takes the process for hung, when it watches.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    let microseconds: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (microseconds > 0).then(|| Duration::from_micros(microseconds / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_to_a_socket_with_a_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        Notifier::new(Some(path.as_os_str())).send("READY=1");
        let mut buffer = [0; 32];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
    }

    #[test]
    fn speaks_to_an_abstract_socket() {
        let name = format!("kubewright-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notifier::new(Some(OsStr::new(&format!("@{name}")))).send("STOPPING=1");
        let mut buffer = [0; 32];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"STOPPING=1");
    }

    #[test]
    fn is_silent_without_a_manager() {
        Notifier::new(None).send("READY=1");
        Notifier::new(Some(OsStr::new("/nonexistent/notify"))).send("READY=1");
    }
}
