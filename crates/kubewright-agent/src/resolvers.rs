//! The name servers of the node: reads the files that may have them, and makes the one that the kubelet passes on.
//!
//! The kubelet's unit has it made each time before the kubelet starts. It is a link where a file of the node can be
//! passed on as it is, so that its later changes count.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::symlink;

use kubewright_core::observed::{RESOLVER_FILES, ResolverFile, Resolvers, choose_resolvers};

use crate::system::System;

/// What a file says in which no server of the node stands.
const NOTE: &str = "\
# No name server of this node can be reached from pods. So its own address stands here: whoever is asked there refuses
# at once, and names outside the cluster fail without a wait.
";

/// Reads the files that are there.
pub fn read(system: &dyn System) -> Vec<ResolverFile> {
    let parse = |path: &&str| Some(ResolverFile::parse(path, &system.text(path)?));
    RESOLVER_FILES.iter().filter_map(parse).collect()
}

/// Makes the file that the kubelet passes on; `own` is the node's address.
///
/// Without any server there has to be one all the same: the cluster's DNS does not start with none, and asks itself for
/// ever with a loopback address.
///
/// # Errors
/// When the file cannot be written.
pub fn choose(system: &dyn System, target: &str, own: IpAddr) -> io::Result<()> {
    let files = read(system);
    let path = system.path(target);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut name = path.clone().into_os_string();
    name.push(".new");
    match fs::remove_file(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match choose_resolvers(&files) {
        Resolvers::File(file) => symlink(&file.path, &name)?,
        Resolvers::Part(file) => fs::write(&name, text(&file))?,
        Resolvers::None => fs::write(&name, format!("{NOTE}nameserver {own}\n"))?,
    }
    fs::rename(&name, &path)
}

fn text(file: &ResolverFile) -> String {
    let mut text = format!("# What pods can use of {}.\n", file.path);
    for server in &file.servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    for (word, values) in [("search", &file.search), ("options", &file.options)] {
        if !values.is_empty() {
            let _ = writeln!(text, "{word} {}", values.join(" "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestSystem;

    const TARGET: &str = "/run/kubewright/resolv.conf";

    /// What is made on a node with these files: where a link leads, or the lines of a file that are no comment.
    fn made(files: &[(&str, &str)]) -> String {
        let system = TestSystem::new();
        for (path, text) in files {
            system.put(path, text);
        }
        // What an earlier start left is replaced.
        system.put(TARGET, "old");
        choose(&*system, TARGET, "192.0.2.11".parse().unwrap()).unwrap();
        if let Ok(link) = fs::read_link(system.path(TARGET)) {
            return format!("-> {}", link.display());
        }
        let text = system.get(TARGET);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_good_file_is_linked() {
        assert_eq!(
            made(&[("/etc/resolv.conf", "nameserver 198.51.100.1\n")]),
            "-> /etc/resolv.conf"
        );
        let stub = ("/etc/resolv.conf", "nameserver 127.0.0.53\n");
        let real = ("/run/systemd/resolve/resolv.conf", "nameserver 198.51.100.1\n");
        assert_eq!(made(&[stub, real]), "-> /run/systemd/resolve/resolv.conf");
    }

    #[test]
    fn of_a_mixed_file_the_good_part_is_written() {
        let mixed = "nameserver 127.0.0.1\nnameserver 198.51.100.1\nsearch a b\noptions ndots:2\n";
        assert_eq!(
            made(&[("/etc/resolv.conf", mixed)]),
            "nameserver 198.51.100.1; search a b; options ndots:2"
        );
    }

    #[test]
    fn without_any_server_the_nodes_own_address_refuses() {
        let stub = ("/etc/resolv.conf", "nameserver 127.0.0.53\n");
        let empty = ("/run/systemd/resolve/resolv.conf", "# No DNS servers known.\n");
        for files in [&[stub, empty][..], &[stub], &[empty], &[]] {
            assert_eq!(made(files), "nameserver 192.0.2.11");
        }
    }
}
