//! What a stranger reads, word for word, and can act on.

use super::super::{Report, Unreachable};
use super::wrong::*;
use super::{GIB, Scene};
use crate::observed::{Leftover, Marker, ModuleState, PathObstacleKind};

#[test]
fn a_wrong_host_key_is_told_so_that_anyone_can_act() {
    let mut scene = Scene::blank();
    silent(
        &mut scene,
        "cp-1",
        "root@192.0.2.11 port 22: the host key is not the known one, so nothing was sent; the node shows SHA256:abc",
        "if the machine was reinstalled, remove the old key with ssh-keygen -R and log in once by hand (ssh \
         root@192.0.2.11); if not, somebody may be between you and it",
    );
    insta::assert_snapshot!(scene.text(), @"
    error: cp-1: root@192.0.2.11 port 22: the host key is not the known one, so nothing was sent; the node shows SHA256:abc [node-unreachable]
      fix: if the machine was reinstalled, remove the old key with ssh-keygen -R and log in once by hand (ssh root@192.0.2.11); if not, somebody may be between you and it

    1 error on 1 of 5 nodes
    ");
}

#[test]
fn missing_sudo_is_told_so_that_anyone_can_act() {
    let mut scene = Scene::blank();
    for node in ["w-1", "w-2"] {
        silent(
            &mut scene,
            node,
            "sudo asks for a password",
            "allow sudo without a password for this user: a line `USER ALL=(ALL) NOPASSWD: ALL` in \
             /etc/sudoers.d/kubewright",
        );
    }
    insta::assert_snapshot!(scene.text(), @"
    error: w-1, w-2: sudo asks for a password [node-unreachable]
      fix: allow sudo without a password for this user: a line `USER ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d/kubewright

    2 errors on 2 of 5 nodes
    ");
}

#[test]
fn a_taken_port_is_told_so_that_anyone_can_act() {
    let mut scene = Scene::blank();
    listen(&mut scene, "cp-1", 6443, "haproxy", "haproxy.service");
    listen(&mut scene, "cp-3", 6443, "haproxy", "haproxy.service");
    listen(&mut scene, "cp-2", 6443, "python3", "session-4.scope");
    insta::assert_snapshot!(scene.text(), @"
    error: cp-1, cp-3: port 6443 (the API server) is in use by haproxy (haproxy.service) [port-in-use]
      fix: systemctl disable --now haproxy.service, or move it to another port

    error: cp-2: port 6443 (the API server) is in use by python3 (session-4.scope) [port-in-use]
      fix: find it with: ss -ltnp 'sport = :6443', and stop it

    3 errors on 3 of 5 nodes
    ");
}

#[test]
fn a_clock_ten_minutes_off_is_told_so_that_anyone_can_act() {
    let mut scene = Scene::blank();
    clock(&mut scene, "cp-2", -600_000);
    scene.facts("cp-2").clock_synchronized = Some(false);
    insta::assert_snapshot!(scene.text(), @"
    error: cp-2: the clock is 10 min behind that of your workstation; certificates issued now would not be accepted there [clock-offset]
      fix: install chrony or systemd-timesyncd, then: timedatectl set-ntp true

    1 error on 1 of 5 nodes
    ");
}

#[test]
fn a_full_disk_is_told_so_that_anyone_can_act() {
    let mut scene = Scene::blank();
    let disk = scene.facts("w-1").disks.get_mut("/var/lib/containerd").unwrap();
    disk.mount = "/var/lib/containerd".to_owned();
    disk.free_bytes = 120 << 20;
    disk.total_bytes = 20 * GIB;
    for disk in scene.facts("w-2").disks.values_mut() {
        disk.free_bytes = 16 * GIB;
    }
    insta::assert_snapshot!(scene.text(), @"
    error: w-1: /var/lib/containerd has 120 MiB free, 1 GiB are needed for /var/lib/containerd [disk-space]
      fix: free space on /var/lib/containerd, or mount a larger file system at one of these directories

    error: w-2: / will have 13.6 GiB of 100 GiB free; the kubelet evicts pods below 15 % (15 GiB) for /var/lib/containerd [disk-space]
      fix: free space on /, or mount a larger file system at /var/lib/containerd, or set evictionHard under components.kubelet.extraConfig in cluster.yaml

    2 errors on 2 of 5 nodes
    ");
}

#[test]
fn a_report_says_what_is_the_same_once_and_errors_first() {
    let mut scene = Scene::blank();
    for facts in scene.all() {
        facts.swaps.push("/swapfile".to_owned());
        facts.missing_commands = vec!["modprobe".to_owned(), "nft".to_owned()];
    }
    for from in ["cp-1", "cp-2", "w-1", "w-2"] {
        for port in [6443, 2379, 2380] {
            if from.starts_with("cp") || port == 6443 {
                scene.measured.unreachable.push(Unreachable {
                    from: from.to_owned(),
                    to: "cp-3".to_owned(),
                    port,
                    cause: "no route to host".to_owned(),
                });
            }
        }
    }
    scene.facts("w-1").marker = Some(Marker {
        cluster: "staging\u{1b}[2J".to_owned(),
        cluster_id: "00".to_owned(),
        node: "w-9".to_owned(),
        pod_cidr: None,
        ..Marker::default()
    });
    scene.facts("w-2").leftovers = ["/etc/kubernetes/manifests", "/var/lib/kubelet", "kubelet.service"]
        .map(|what| Leftover {
            what: what.to_owned(),
            of: "kubeadm".to_owned(),
        })
        .into();
    clock(&mut scene, "cp-1", 320);
    insta::assert_snapshot!(scene.text(), @r"
    error: w-1: the node belongs to cluster staging\u{1b}[2J, as its node w-9 [other-cluster]
      fix: correct the node's address in cluster.yaml; to take the machine over: kubewright reset with the cluster.yaml of the cluster it belongs to

    error: w-2: traces of kubeadm: /etc/kubernetes/manifests, /var/lib/kubelet, kubelet.service [leftovers]
      fix: kubeadm reset --force && rm -rf /etc/kubernetes /etc/cni/net.d, and remove its packages (kubeadm, kubelet)

    error: cp-3: TCP 2379 (etcd's clients), 2380 (etcd's peers) cannot be reached from cp-1, cp-2: no route to host [unreachable-port]
      fix: allow TCP 2379, 2380 from 192.0.2.11, 192.0.2.12 to 192.0.2.13 in the firewalls of the nodes and between them

    error: cp-3: TCP 6443 (the API server) cannot be reached from cp-1, cp-2, w-1, w-2: no route to host [unreachable-port]
      fix: allow TCP 6443 from 192.0.2.11, 192.0.2.12, 192.0.2.21, 192.0.2.22 to 192.0.2.13 in the firewalls of the nodes and between them

    error: cp-1, cp-2, cp-3, w-1, w-2: not installed: modprobe, nft (kube-proxy, flanneld) [missing-command]
      fix: apt-get install kmod nftables

    warning: cp-1, cp-2, cp-3, w-1, w-2: swap is on (/swapfile); the kubelet does not start with it [swap-on]
      fix: none needed: apply turns it off and comments it out in /etc/fstab

    warning: cp-1: the clock is 0.30 s ahead of that of cp-3; etcd and leader leases need control planes within 0.20 s [clock-offset]
      fix: timedatectl set-ntp true (with chrony: chronyc makestep), then check again

    9 errors and 6 warnings on 5 of 5 nodes
    ");
    insta::assert_snapshot!(serde_json::to_string_pretty(&scene.findings()[0]).unwrap(), @r#"
    {
      "id": "other-cluster",
      "severity": "error",
      "node": "w-1",
      "message": "the node belongs to cluster staging\\u{1b}[2J, as its node w-9",
      "fix": "correct the node's address in cluster.yaml; to take the machine over: kubewright reset with the cluster.yaml of the cluster it belongs to"
    }
    "#);
}

#[test]
fn what_the_kernel_lacks_is_told_so_that_anyone_can_act() {
    let mut scene = Scene::blank();
    module(&mut scene, "vxlan", ModuleState::Absent {});
    module(&mut scene, "br_netfilter", ModuleState::Absent {});
    scene.facts("w-1").os_id = "ubuntu".to_owned();
    let by = "/etc/modprobe.d/cis.conf".to_owned();
    let modules = &mut scene.facts("w-2").modules;
    modules.insert("overlay".to_owned(), ModuleState::Blocked { by });
    modules.insert("vxlan".to_owned(), ModuleState::Locked {});
    let release = "6.1.0-20-amd64".to_owned();
    for state in scene.facts("cp-1").modules.values_mut() {
        *state = ModuleState::OtherKernel {
            release: release.clone(),
        };
    }
    module(&mut scene, "nf_tables", ModuleState::OnHost {});
    later(&mut scene, "net.ipv4.ip_forward", "0");
    later(&mut scene, "kernel.panic", "0");
    insta::assert_snapshot!(scene.text(), @"
    error: cp-1: br_netfilter, nf_conntrack, nf_tables, overlay, vxlan cannot be loaded: the modules of the running kernel 6.1.0-18-amd64 are gone; those of 6.1.0-20-amd64 are installed [kernel-module]
      fix: the kernel was upgraded: reboot the node

    error: w-1: nf_tables (for kube-proxy with nftables) is not loaded, and a container cannot load it [kernel-module]
      fix: on the host of the container: modprobe nf_tables

    error: w-1: the kernel 6.1.0-18-amd64 has no br_netfilter (for flannel, which does not start without it), vxlan (for flannel) [kernel-module]
      fix: apt-get install linux-modules-extra-6.1.0-18-amd64, or boot a kernel that has it

    error: w-2: overlay (for containerd, for the file systems of containers) cannot be loaded: /etc/modprobe.d/cis.conf blocks it [kernel-module]
      fix: remove the line that begins with `install overlay` from /etc/modprobe.d/cis.conf

    error: w-2: vxlan (for flannel) is not loaded, and kernel.modules_disabled = 1 forbids loading it until the next boot [kernel-module]
      fix: load it at boot, before that is set: echo vxlan >> /etc/modules-load.d/kubernetes.conf, then reboot

    error: w-1: /etc/sysctl.d/99-sysctl.conf sets kernel.panic = 0 after kubewright's file: after the next boot, the kubelet does not start [kernel-setting-undone]
      fix: remove that line from /etc/sysctl.d/99-sysctl.conf, or set it to 10

    error: w-1: /etc/sysctl.d/99-sysctl.conf sets net.ipv4.ip_forward = 0 after kubewright's file: after the next boot, pods lose their connections [kernel-setting-undone]
      fix: remove that line from /etc/sysctl.d/99-sysctl.conf, or set it to 1

    7 errors on 3 of 5 nodes
    ");
}

#[test]
fn what_cannot_be_written_is_told_so_that_anyone_can_act() {
    let mut scene = Scene::blank();
    obstacle(&mut scene, "/var/lib/etcd", PathObstacleKind::Link);
    obstacle(&mut scene, "/etc/kubernetes", PathObstacleKind::NotADirectory);
    obstacle(&mut scene, "/etc/passwd", PathObstacleKind::Immutable);
    obstacle(&mut scene, "/etc/shadow", PathObstacleKind::Immutable);
    obstacle(&mut scene, "/var/log; reboot", PathObstacleKind::AppendOnly);
    disks(&mut scene, |disk| disk.no_exec = true);
    scene.facts("w-1").swap_units = vec!["dev-zram0.swap".to_owned(), "zramswap.service".to_owned()];
    scene.facts("w-2").links = one_mac(&mut scene, "w-1", 24);
    insta::assert_snapshot!(scene.text(), @"
    error: w-1: eth0 has the same MAC address 52:54:00:00:00:03 as w-2 on the same network: they receive each other's packets [duplicate-mac]
      fix: give the clone's network card another MAC address in the hypervisor, and reboot the clone

    error: w-2: eth0 has the same MAC address 52:54:00:00:00:03 as w-1 on the same network: they receive each other's packets [duplicate-mac]
      fix: give the clone's network card another MAC address in the hypervisor, and reboot the clone

    error: w-1: /etc/kubernetes: it is not a directory, but has to be one [blocked]
      fix: move it away on the node, then run the same command again

    error: w-1: /var/lib/etcd: it is a symbolic link, but has to be a directory; links are not followed [blocked]
      fix: replace it with a directory; to keep the content elsewhere, bind-mount it: mount --bind TARGET /var/lib/etcd, and a line in /etc/fstab

    error: w-1: swap is turned on at each boot by dev-zram0.swap, zramswap.service; the kubelet does not start with swap [swap-returns]
      fix: systemctl mask --now dev-zram0.swap zramswap.service

    error: w-1: / is mounted noexec; the binaries in /usr/local/bin cannot be run there [no-exec]
      fix: mount -o remount,exec /, and remove noexec from its line in /etc/fstab

    error: w-1: append-only and cannot be changed: /var/log; reboot [immutable]
      fix: chattr -a PATH

    error: w-1: immutable and cannot be changed: /etc/passwd, /etc/shadow [immutable]
      fix: chattr -i /etc/passwd /etc/shadow

    8 errors on 2 of 5 nodes
    ");
}

#[test]
fn an_accepted_finding_is_told_with_its_reason_and_is_no_error() {
    let mut scene = Scene::with(
        "  checks: { accept: [{ id: cgroup-controllers, reason: \"these boards have no cpuset\" }] }",
    );
    for node in ["w-1", "w-2"] {
        scene
            .facts(node)
            .cgroup_controllers
            .retain(|name| name != "cpuset");
    }
    let findings = scene.findings();
    assert!(findings.iter().all(|finding| !finding.is_error()), "{findings:?}");
    let report = Report::new(&scene.cluster, 0, &scene.measured, findings);
    assert!(!report.has_errors());
    assert_eq!((report.errors, report.warnings, report.accepted), (0, 0, 2));
    insta::assert_snapshot!(report.text(), @r"
    accepted: w-1, w-2: cgroup controllers are not available: cpuset [cgroup-controllers]
      reason: these boards have no cpuset

    2 accepted on 2 of 5 nodes
    ");
    scene.facts("cp-1").processors = 1;
    scene.facts("cp-2").systemd = 0;
    assert_eq!(
        scene.text().lines().last(),
        Some("1 error, 1 warning and 2 accepted on 4 of 5 nodes")
    );
}
