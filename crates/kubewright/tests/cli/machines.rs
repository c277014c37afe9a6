//! Mistakes on machines, as the program answers them, and that nothing is left half-done by any of them.

use std::fs;

use kubewright_core::observed::{Listener, ModuleState};

use super::fake_node::Machines;

/// Nobody was asked for more than to look.
fn assert_untouched(machines: &Machines) {
    let heard = machines.heard();
    assert!(!heard.contains(&"change".to_owned()), "{heard:?}");
    assert!(!heard.is_empty());
}

/// What `apply` says; it must change nothing.
fn apply(machines: &Machines) -> String {
    let (code, out, error) = machines.run(&["apply", "--yes", "--quiet"]);
    assert_eq!(out, "");
    assert_untouched(machines);
    format!("{error}exit code {code}")
}

/// What `check` finds; it changes nothing.
fn check(machines: &Machines) -> String {
    let (code, out, error) = machines.run(&["check", "--quiet"]);
    assert_untouched(machines);
    format!("{out}{error}exit code {code}")
}

#[test]
fn machines_that_are_right_pass() {
    let machines = Machines::new();
    insta::assert_snapshot!(check(&machines), @r"
    nothing found on 4 nodes, 33 connections between them
    exit code 0
    ");
    assert_eq!(machines.heard(), ["connect", "facts", "listen", "probe"]);
}

#[test]
fn neither_the_program_nor_ssh_leaves_a_core_dump() {
    let machines = Machines::new();
    machines.says("192.0.2.11", "", 255);
    let ssh = std::fs::read_to_string(machines.path("bin/ssh")).unwrap();
    let ssh = ssh.replacen('\n', "\nulimit -Hc > \"$0.core-limit\"\n", 1);
    std::fs::write(machines.path("bin/ssh"), ssh).unwrap();
    machines.run_after("ulimit -c unlimited", &["check", "--quiet"]);
    let limit = std::fs::read_to_string(machines.path("bin/ssh.core-limit")).unwrap();
    assert_eq!(limit, "0\n");
}

#[test]
fn a_shell_that_grants_few_descriptors_does_not_stand_in_the_way() {
    let machines = Machines::new();
    let (code, out, error) = machines.run_after("ulimit -Sn 24", &["check", "--quiet"]);
    assert_eq!(error, "");
    assert_eq!((code, out.lines().count()), (0, 1), "{out}");
    let (code, _, error) = machines.run_after("ulimit -n 24", &["plan", "--quiet"]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("because: too many files are open"), "{error}");
    assert!(error.contains("every node needs four open files"), "{error}");
}

#[test]
fn a_host_key_that_changed() {
    let machines = Machines::new();
    // Both made with ssh-keygen; the words are OpenSSH's.
    let known = machines.path(".ssh/known_hosts");
    let key = "AAAAC3NzaC1lZDI1NTE5AAAAINr/imW8T7ktjGLgHjkj/LRlcU1FrByJATBLJiDPlFz3";
    fs::write(&known, format!("192.0.2.13 ssh-ed25519 {key}\n")).unwrap();
    let text = format!(
        "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n\
         @    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n\
         @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n\
         IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r\n\
         Someone could be eavesdropping on you right now (man-in-the-middle attack)!\r\n\
         It is also possible that a host key has just been changed.\r\n\
         The fingerprint for the ED25519 key sent by the remote host is\n\
         SHA256:wtde5iXSPPnWoo5eBZD/h7HOHUvWsS77zCdkbhW14yk.\r\n\
         Please contact your system administrator.\r\n\
         Add correct host key in {0} to get rid of this message.\r\n\
         Offending ED25519 key in {0}:1\r\n  \
         remove with:\r\n  \
         ssh-keygen -f '{0}' -R '192.0.2.13'\r\n\
         Host key for 192.0.2.13 has changed and you have requested strict checking.\r\n\
         Host key verification failed.\r\n",
        known.display()
    );
    machines.says("192.0.2.13", &text, 255);
    insta::assert_snapshot!(apply(&machines), @r"
    error: node cp-3: connect to ada@192.0.2.13 [ssh-host-key-changed]
      because: host key verification failed for 192.0.2.13: the key has changed
      because: expected: SHA256:nLeuDjb6PdTUUUMcCRAiBZ0MrxcOCFuhiyJN7pCjC8k (~/.ssh/known_hosts line 1)
      because: received: SHA256:wtde5iXSPPnWoo5eBZD/h7HOHUvWsS77zCdkbhW14yk
      hint: if you do not know why the key changed, the connection may be intercepted: stop here. If the machine was reinstalled: `ssh-keygen -f ~/.ssh/known_hosts -R 192.0.2.13`, then `ssh ada@192.0.2.13` once by hand, and compare the fingerprint with the output of `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the machine's console
      hint: the full log is LOG
    exit code 13
    ");
}

#[test]
fn a_host_key_nobody_knows() {
    let machines = Machines::new();
    let text = "No ED25519 host key is known for 192.0.2.13 and you have requested strict checking.\r\n\
                Host key verification failed.\r\n";
    machines.says("192.0.2.13", text, 255);
    insta::assert_snapshot!(apply(&machines), @r"
    error: node cp-3: connect to ada@192.0.2.13 [ssh-host-key-unknown]
      because: host key verification failed for 192.0.2.13: the key is not known
      hint: compare the output of `ssh-keyscan 192.0.2.13 | ssh-keygen -lf -` here with that of `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the machine's console; if they are equal: `ssh-keyscan 192.0.2.13 >> ~/.ssh/known_hosts`, or set `hostKey` of node cp-3 in cluster.yaml
      hint: the full log is LOG
    exit code 13
    ");
}

#[test]
fn sudo_that_wants_a_password() {
    let machines = Machines::new();
    machines.says("192.0.2.21", "sudo: a password is required\n", 1);
    insta::assert_snapshot!(apply(&machines), @r"
    error: node w-1: connect to ada@192.0.2.21 [sudo-password]
      because: sudo asks for a password
      hint: kubewright never types passwords; on w-1, allow sudo without one, as root: `echo 'ada ALL=(ALL) NOPASSWD: ALL' >> /etc/sudoers.d/kubewright`
      hint: the full log is LOG
    exit code 13
    ");
}

#[test]
fn a_login_that_runs_something_else() {
    let machines = Machines::new();
    machines.says("192.0.2.21", "This account is currently not available.\n", 1);
    insta::assert_snapshot!(apply(&machines), @r"
    error: node w-1: connect to ada@192.0.2.21 [ssh-other-program]
      because: the login shell ran another program instead of the command; output: This account is currently not available.
      hint: `ssh ada@192.0.2.21 echo works` must print `works`: log in as another user (`ssh.user`), give the user an ordinary shell (chsh -s /bin/sh), or remove the forced command (`command=` in authorized_keys, ForceCommand in sshd_config) on w-1
      hint: the full log is LOG
    exit code 13
    ");
}

#[test]
fn a_worker_or_a_control_plane_of_a_new_cluster_that_does_not_answer() {
    let silent = "ssh: connect to host 192.0.2.1 port 22: No route to host\n";
    let machines = Machines::new();
    machines.says("192.0.2.21", silent, 255);
    let said = apply(&machines);
    assert!(said.contains("add --skip-unreachable-workers\n"), "{said}");
    assert!(said.ends_with("exit code 13"), "{said}");
    // Skipping workers gives nobody leave to found a cluster without a control plane.
    machines.says("192.0.2.12", silent, 255);
    let (code, _, said) = machines.run(&["apply", "--yes", "--skip-unreachable-workers"]);
    assert_eq!(code, 13, "{said}");
    assert!(
        said.contains("node cp-2: ") && !said.contains("node w-1: "),
        "{said}"
    );
    assert_eq!(machines.heard(), ["connect", "facts"]);
}

#[test]
fn a_kernel_that_was_upgraded_and_not_booted() {
    let machines = Machines::new();
    machines.facts("192.0.2.21", |facts| {
        let release = "6.1.0-20-amd64".to_owned();
        for module in ["br_netfilter", "vxlan"] {
            let release = release.clone();
            let state = ModuleState::OtherKernel { release };
            facts.modules.insert(module.to_owned(), state);
        }
    });
    insta::assert_snapshot!(check(&machines), @r"
    error: w-1: br_netfilter, vxlan cannot be loaded: the modules of the running kernel 6.1.0-18-amd64 are gone; those of 6.1.0-20-amd64 are installed [kernel-module]
      fix: the kernel was upgraded: reboot the node

    1 error on 1 of 4 nodes
    error: kubewright apply would fail on these machines [check-errors]
      hint: fix every finding marked as error above, then check again
    exit code 3
    ");
}

#[test]
fn a_port_that_is_taken() {
    let machines = Machines::new();
    machines.facts("192.0.2.11", |facts| {
        facts.listening.push(Listener {
            port: 6443,
            process: "nginx".to_owned(),
            unit: "nginx.service".to_owned(),
        });
    });
    insta::assert_snapshot!(check(&machines), @r"
    error: cp-1: port 6443 (the API server) is in use by nginx (nginx.service) [port-in-use]
      fix: systemctl disable --now nginx.service, or move it to another port

    1 error on 1 of 4 nodes
    error: kubewright apply would fail on these machines [check-errors]
      hint: fix every finding marked as error above, then check again
    exit code 3
    ");
}

#[test]
fn a_clock_that_is_ten_minutes_off() {
    let machines = Machines::new();
    machines.clock("192.0.2.12", 600_500);
    machines.facts("192.0.2.12", |facts| facts.clock_synchronized = Some(false));
    insta::assert_snapshot!(check(&machines), @r"
    error: cp-2: the clock is 10 min ahead of that of your workstation; certificates issued now would not be accepted there [clock-offset]
      fix: install chrony or systemd-timesyncd, then: timedatectl set-ntp true

    1 error on 1 of 4 nodes
    error: kubewright apply would fail on these machines [check-errors]
      hint: fix every finding marked as error above, then check again
    exit code 3
    ");
}

#[test]
fn a_disk_that_is_full() {
    let machines = Machines::new();
    machines.facts("192.0.2.11", |facts| {
        for disk in facts.disks.values_mut() {
            disk.free_bytes = 40 << 20;
        }
    });
    insta::assert_snapshot!(check(&machines), @r"
    error: cp-1: / has 40 MiB free, 3.3 GiB are needed for /usr/local/bin, /var/lib/containerd, /var/lib/etcd, /var/lib/kubelet [disk-space]
      fix: free space on /, or mount a larger file system at one of these directories

    1 error on 1 of 4 nodes
    error: kubewright apply would fail on these machines [check-errors]
      hint: fix every finding marked as error above, then check again
    exit code 3
    ");
}

#[test]
fn a_first_apply_refuses_what_check_finds_before_it_changes_anything() {
    let machines = Machines::new();
    machines.clock("192.0.2.12", 600_500);
    insta::assert_snapshot!(apply(&machines), @r"
    error: cp-2: the clock is 10 min ahead of that of your workstation; certificates issued now would not be accepted there [clock-offset]
      fix: timedatectl set-ntp true (with chrony: chronyc makestep), then check again

    1 error on 1 of 4 nodes
    error: preflight checks failed; nothing was changed [checks-failed]
      hint: fix every finding marked as error above; kubewright check runs the checks again
    exit code 20
    ");
    assert_eq!(
        machines.heard(),
        ["connect", "facts", "inspect", "listen", "probe"]
    );
}

#[test]
fn one_machine_under_two_names() {
    let machines = Machines::new();
    machines.facts("192.0.2.12", |facts| facts.machine_id = "0".repeat(32));
    insta::assert_snapshot!(apply(&machines), @r"
    error: nodes cp-1 and cp-2 have the same machine id 00000000000000000000000000000000 [node-identity]
      because: safety rule node-identity
      hint: check the addresses; if cp-2 was cloned: rm /etc/machine-id && systemd-machine-id-setup, then reboot it
    exit code 20
    ");
}

#[test]
fn programs_are_told_in_one_line_of_json() {
    let machines = Machines::new();
    machines.says("192.0.2.21", "sudo: a password is required\n", 1);
    let (code, out, error) = machines.run(&["plan", "-o", "json"]);
    assert_eq!((code, out.as_str()), (13, ""));
    let document: serde_json::Value = serde_json::from_str(error.lines().last().unwrap()).unwrap();
    assert_eq!(document["apiVersion"], "kubewright/v1alpha1");
    assert_eq!(document["kind"], "Error");
    assert_eq!(document["id"], "sudo-password");
    assert_eq!(document["exitCode"], 13);
    assert_eq!(document["node"], "w-1");
    assert!(document["next"][0].as_str().unwrap().contains("NOPASSWD"));
}

#[test]
fn programs_are_told_what_a_first_apply_found() {
    let machines = Machines::new();
    machines.clock("192.0.2.12", 600_500);
    let (code, _, error) = machines.run(&["apply", "--yes", "-o", "json"]);
    assert_eq!(code, 20);
    let document: serde_json::Value = serde_json::from_str(error.lines().last().unwrap()).unwrap();
    assert_eq!(document["id"], "checks-failed");
    assert_eq!(document["findings"][0]["id"], "clock-offset");
    assert_eq!(document["findings"][0]["node"], "cp-2");
}

#[test]
fn what_a_machine_says_cannot_reach_the_terminal() {
    let machines = Machines::new();
    machines.facts("192.0.2.11", |facts| {
        facts.listening.push(Listener {
            port: 6443,
            process: "evil\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}".to_owned(),
            unit: "evil\n\u{1b}[31m.service".to_owned(),
        });
    });
    machines.says("192.0.2.12", "\u{1b}[2J\u{1b}]52;c;ZXZpbA==\u{7}go away\n", 255);
    for arguments in [&["check"][..], &["apply", "--yes"], &["check", "-o", "json"]] {
        let (_, out, error) = machines.run(arguments);
        let hostile = |text: &str| {
            text.chars()
                .find(|c| *c != '\n' && kubewright_core::shown::is_harmful(*c))
        };
        assert_eq!(hostile(&out), None, "{out:?}");
        assert_eq!(hostile(&error), None, "{error:?}");
    }
}

#[test]
fn a_machine_that_claims_a_gigabyte_is_hung_up_on() {
    let machines = Machines::new();
    let mut frame = vec![1];
    frame.extend((1_u32 << 30).to_be_bytes());
    machines.floods("192.0.2.12", &frame);
    let report = check(&machines);
    assert!(
        report.contains("cp-2: ") && report.contains("[node-unreachable]"),
        "{report}"
    );
    assert!(report.ends_with("exit code 3"), "{report}");
}
