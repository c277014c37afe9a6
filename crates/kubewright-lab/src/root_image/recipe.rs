//! What the Debian root of the machines consists of. Any change here changes its digest, so a new root is built.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// The Debian release of the machines.
pub(super) const SUITE: &str = "bookworm";

/// Bump when `finish` changes in a way the tables below do not show.
const REVISION: u32 = 1;

/// Packages on top of the minimal base.
pub(super) const PACKAGES: &[&str] = &[
    "ca-certificates",
    "conntrack",
    "curl",
    "dbus",
    "ethtool",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "less",
    "mount",
    "nftables",
    "openssh-server",
    "openssl",
    "procps",
    "socat",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tzdata",
    "util-linux",
];

/// Files and directories removed after installation: caches, documents, and all that must differ per machine.
pub(super) const REMOVED: &[&str] = &[
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
];

/// Files of the lab: path, mode, content.
pub(super) const FILES: &[(&str, u32, &str)] = &[
    (
        "etc/systemd/system/lab-host.service",
        0o644,
        include_str!("../../assets/lab-host.service"),
    ),
    (
        "etc/systemd/system/lab-net.service",
        0o644,
        include_str!("../../assets/lab-net.service"),
    ),
    (
        "usr/local/lib/kubewright-lab/host.sh",
        0o755,
        include_str!("../../assets/host.sh"),
    ),
    // Otherwise every machine would copy the kernel log of the whole computer.
    (
        "etc/systemd/journald.conf.d/lab.conf",
        0o644,
        "[Journal]\nReadKMsg=no\nAudit=no\n",
    ),
    // Many sessions at once push files; logins of other users wait for the end of the boot instead of being refused.
    (
        "etc/ssh/sshd_config.d/lab.conf",
        0o644,
        "HostKey /etc/ssh/ssh_host_ed25519_key\nMaxSessions 100\nMaxStartups 100:30:200\nPasswordAuthentication no\n\
         UseDNS no\nPrintLastLog no\n",
    ),
    (
        "etc/systemd/system/ssh.service.d/lab.conf",
        0o644,
        "[Unit]\nAfter=systemd-user-sessions.service\n",
    ),
    ("etc/sudoers.d/ops", 0o440, "ops ALL=(ALL:ALL) NOPASSWD:ALL\n"),
    ("etc/machine-id", 0o444, ""),
    ("etc/motd", 0o644, ""),
    ("etc/resolv.conf", 0o644, ""),
    ("etc/fstab", 0o644, ""),
];

/// Units that only cost time on a machine that lives for minutes.
pub(super) const MASKED: &[&str] = &[
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
];

/// Units of the lab that run early at every boot.
pub(super) const ENABLED: &[&str] = &["lab-host.service", "lab-net.service"];

/// The digest of everything above, short enough for a directory name.
pub(super) fn digest() -> String {
    let mut hash = Sha256::new();
    hash.update(format!(
        "{REVISION} {SUITE} {PACKAGES:?} {REMOVED:?} {FILES:?} {MASKED:?} {ENABLED:?}"
    ));
    hash.finalize()
        .iter()
        .take(6)
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
