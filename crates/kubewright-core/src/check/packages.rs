//! Which package brings a missing program, and the command that installs it, by distribution.

use std::collections::BTreeSet;

use super::text::is_plain;

/// A family of distributions with one package manager.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Debian,
    RedHat,
    Suse,
}

/// The family of an os-release `ID`.
fn family(os_id: &str) -> Option<Family> {
    Some(match os_id {
        "debian" | "ubuntu" | "raspbian" | "linuxmint" | "devuan" => Family::Debian,
        "rhel" | "centos" | "rocky" | "almalinux" | "fedora" | "ol" | "amzn" => Family::RedHat,
        "sles" | "opensuse-leap" | "opensuse-tumbleweed" | "sled" => Family::Suse,
        _ => return None,
    })
}

/// The package of a program; where nothing is known, its own name is the best guess.
fn package(family: Family, command: &str) -> &str {
    match (family, command) {
        (_, "nft") => "nftables",
        (
            _,
            "iptables" | "iptables-save" | "iptables-restore" | "ip6tables" | "ip6tables-save"
            | "ip6tables-restore",
        ) => "iptables",
        (Family::Debian, "conntrack") => "conntrack",
        (_, "conntrack") => "conntrack-tools",
        (Family::RedHat, "ip" | "bridge" | "ss") => "iproute",
        (_, "ip" | "bridge" | "ss") => "iproute2",
        (Family::Debian, "kill") => "procps",
        (_, "mount" | "umount" | "swapoff" | "kill" | "nsenter" | "findmnt") => "util-linux",
        (_, "modprobe" | "lsmod") => "kmod",
        (Family::RedHat, "sysctl") => "procps-ng",
        (_, "sysctl") => "procps",
        (Family::Debian, "useradd" | "groupadd" | "userdel" | "usermod") => "passwd",
        (Family::RedHat, "useradd" | "groupadd" | "userdel" | "usermod") => "shadow-utils",
        (Family::Suse, "useradd" | "groupadd" | "userdel" | "usermod") => "shadow",
        (_, "systemctl" | "journalctl" | "systemd-machine-id-setup") => "systemd",
        (_, "sha256sum" | "mkdir" | "ln" | "touch" | "rm" | "cp" | "mv") => "coreutils",
        (_, "find") => "findutils",
        (_, other) => other,
    }
}

/// The command that installs what brings these programs, or what to do where the distribution is not known.
pub(super) fn install(os_id: &str, commands: &[&str]) -> String {
    let plain: Vec<&str> = commands
        .iter()
        .copied()
        .filter(|command| is_plain(command))
        .collect();
    let (Some(family), false) = (family(os_id), plain.is_empty()) else {
        return "install them with the system's package manager".to_owned();
    };
    let packages: BTreeSet<&str> = plain.iter().map(|command| package(family, command)).collect();
    let packages = packages.into_iter().collect::<Vec<_>>().join(" ");
    match family {
        Family::Debian => format!("apt-get install {packages}"),
        Family::RedHat => format!("dnf install {packages}"),
        Family::Suse => format!("zypper install {packages}"),
    }
}

#[cfg(test)]
mod tests {
    use super::install;

    #[test]
    fn names_the_command_of_the_distribution() {
        let missing = ["nft", "ip", "conntrack", "ss"];
        assert_eq!(
            install("debian", &missing),
            "apt-get install conntrack iproute2 nftables"
        );
        assert_eq!(
            install("rocky", &missing),
            "dnf install conntrack-tools iproute nftables"
        );
        assert_eq!(
            install("gentoo", &missing),
            "install them with the system's package manager"
        );
        assert_eq!(
            install("debian", &["a;reboot"]),
            "install them with the system's package manager"
        );
    }
}
