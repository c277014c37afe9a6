//! Which name servers a node has, and which of its files the kubelet is to pass on to pods.
//!
//! A file is judged by what is in it, not by being there: on one machine `/etc/resolv.conf` has the real servers, on
//! another one only the address of a stub that answers on the loopback interface of the node, where no pod reaches it
//! and where the cluster's DNS would ask itself. What the stub asks stands in a file of its own then, which is empty
//! where the machine was given no server.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The files that may have a node's name servers: what the node itself uses, then what systemd-resolved and
/// NetworkManager write for those who do not want to ask their stub. The first good one counts.
pub const RESOLVER_FILES: [&str; 3] = [
    "/etc/resolv.conf",
    "/run/systemd/resolve/resolv.conf",
    "/run/NetworkManager/no-stub-resolv.conf",
];

/// One of [`RESOLVER_FILES`] that is there, as the kubelet reads it (`parseResolvConf` in pkg/kubelet/network/dns).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResolverFile {
    /// Where it is.
    pub path: String,
    /// Its name servers, as they stand there.
    pub servers: Vec<String>,
    /// Its search domains.
    pub search: Vec<String>,
    /// Its options.
    pub options: Vec<String>,
}

impl ResolverFile {
    /// Reads the text of a file.
    pub fn parse(path: &str, text: &str) -> Self {
        let mut file = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace().map(str::to_owned);
            match words.next().as_deref() {
                Some("nameserver") => file.servers.extend(words.next()),
                // The last line counts.
                Some("search") => file.search = words.collect(),
                Some("options") => file.options = words.collect(),
                _ => {}
            }
        }
        file
    }

    /// The servers that a pod can ask.
    pub fn usable(&self) -> impl Iterator<Item = IpAddr> {
        self.servers.iter().filter_map(|server| usable(server))
    }

    /// The same file with the usable servers alone.
    fn only_usable(&self) -> Self {
        Self {
            servers: self.usable().map(|server| server.to_string()).collect(),
            ..self.clone()
        }
    }
}

/// An address that means the same in a pod as on its node; a loopback address is the pod itself there, and one of a
/// link is of no use without the link.
fn usable(server: &str) -> Option<IpAddr> {
    let address: IpAddr = server.parse().ok()?;
    let is_of_a_link = matches!(address, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80);
    (!address.is_loopback() && !address.is_unspecified() && !is_of_a_link).then_some(address)
}

/// What the kubelet is to pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolvers<'f> {
    /// A file as it is: what changes in it later counts at once.
    File(&'f ResolverFile),
    /// What pods can use of a file that also names servers they cannot.
    Part(ResolverFile),
    /// No file names a server that a pod can ask.
    None,
}

impl Resolvers<'_> {
    /// What is passed on, if there is something.
    pub const fn file(&self) -> Option<&ResolverFile> {
        match self {
            Self::File(file) => Some(file),
            Self::Part(file) => Some(file),
            Self::None => None,
        }
    }
}

/// Returns what the kubelet is to pass on of the files that are there: the first with nothing but usable servers, or
/// else the usable servers of the first that has some.
pub fn choose_resolvers(files: &[ResolverFile]) -> Resolvers<'_> {
    let good = |file: &&ResolverFile| {
        let usable = file.usable().count();
        usable > 0 && usable == file.servers.len()
    };
    if let Some(file) = files.iter().find(good) {
        return Resolvers::File(file);
    }
    match files.iter().find(|file| file.usable().next().is_some()) {
        Some(file) => Resolvers::Part(file.only_usable()),
        None => Resolvers::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETC: &str = RESOLVER_FILES[0];
    const RESOLVED: &str = RESOLVER_FILES[1];

    fn chosen(files: &[(&str, &str)]) -> (Option<String>, Vec<String>) {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| ResolverFile::parse(path, text))
            .collect();
        let chosen = choose_resolvers(&files);
        let servers = chosen.file().map(|file| file.servers.clone()).unwrap_or_default();
        match chosen {
            Resolvers::File(file) => (Some(file.path.clone()), servers),
            Resolvers::Part(_) | Resolvers::None => (None, servers),
        }
    }

    #[test]
    fn the_file_is_chosen_by_its_content() {
        let stub = (ETC, "nameserver 127.0.0.53\noptions edns0\n");
        let real = (RESOLVED, "# by hand: no\nnameserver 192.0.2.1\n");
        let plain = (ETC, "nameserver 198.51.100.7\n");
        let empty = (RESOLVED, "# No DNS servers known.\n");
        let of = |path: &str, server: &str| (Some(path.to_owned()), vec![server.to_owned()]);
        assert_eq!(chosen(&[stub, real]), of(RESOLVED, "192.0.2.1"));
        assert_eq!(
            chosen(&[plain, real]),
            of(ETC, "198.51.100.7"),
            "the node's own file is good"
        );
        assert_eq!(chosen(&[plain, empty]), of(ETC, "198.51.100.7"));
        assert_eq!(chosen(&[stub, empty]), (None, Vec::new()));
        assert_eq!(chosen(&[(ETC, "nameserver 127.0.0.1\n")]), (None, Vec::new()));
        assert_eq!(chosen(&[]), (None, Vec::new()));
    }

    #[test]
    fn of_a_mixed_file_only_what_pods_can_ask_is_passed_on() {
        let mixed = "nameserver ::1\nnameserver fe80::1%eth0\nnameserver 192.0.2.1\nsearch a b\n";
        assert_eq!(chosen(&[(ETC, mixed)]), (None, vec!["192.0.2.1".to_owned()]));
        let file = ResolverFile::parse(ETC, mixed);
        assert_eq!(file.only_usable().search, ["a", "b"]);
    }

    #[test]
    fn reads_what_the_kubelet_reads() {
        let text = "search old\n;nameserver 192.0.2.9\nnameserver 192.0.2.1 # comment\nsearch a.example b.example\noptions ndots:2\n";
        let file = ResolverFile::parse(ETC, text);
        assert_eq!(file.servers, ["192.0.2.1"]);
        assert_eq!(file.search, ["a.example", "b.example"]);
        assert_eq!(file.options, ["ndots:2"]);
    }
}
