//! Machines for real: power, cables, two labs at once, crashes, and nothing left afterwards.
//!
//! Ignored unless asked for (`cargo test -p kubewright-lab --test machines -- --ignored`), because they boot machines;
//! without root or systemd-nspawn each says so and passes. They see only what the program makes: other labs on the
//! same computer may come and go.

// These functions are only compiled into tests, which the lint does not see outside of `#[test]`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A lab of this test run, taken down at the end whatever happens.
struct TestLab {
    name: String,
    directory: PathBuf,
}

impl TestLab {
    /// Names a lab, or tells why there cannot be one.
    fn new(name: &str) -> Option<Self> {
        let is_root = rustix::process::geteuid().is_root();
        let has_nspawn = Path::new("/usr/bin/systemd-nspawn").exists();
        if !is_root || !has_nspawn {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                b"skipped: machines need root and the packages systemd-container and debootstrap\n",
            );
            return None;
        }
        let name = format!("{name}-{}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        Some(Self { name, directory })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubewright-lab"));
        command
            .args(["--lab", &self.name, "--dir"])
            .arg(&self.directory)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed; returns its standard output.
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{arguments:?}: {}\n{said}",
            output.status
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail; returns what it said.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }

    fn on(&self, machine: &str, command: &[&str]) -> String {
        self.run(&[&["exec", machine, "--"], command].concat())
            .trim()
            .to_owned()
    }

    fn list(&self) -> Value {
        serde_json::from_str(&self.run(&["list", "-o", "json"])).unwrap()
    }

    fn states(&self) -> Vec<String> {
        let list = self.list();
        let machines = list["machines"].as_array().unwrap();
        machines
            .iter()
            .map(|m| format!("{}={}", m["name"].as_str().unwrap(), m["state"].as_str().unwrap()))
            .collect()
    }

    /// Everything of the lab that this computer still knows.
    fn traces(&self) -> Vec<String> {
        let mut traces = Vec::new();
        let directory = self.directory.to_string_lossy().into_owned();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        traces.extend(
            mounts
                .lines()
                .filter(|line| line.contains(&directory))
                .map(|line| format!("mount {line}")),
        );
        for interface in fs::read_dir("/sys/class/net").unwrap().flatten() {
            let alias = fs::read_to_string(interface.path().join("ifalias")).unwrap_or_default();
            if alias.trim() == format!("kubewright-lab:{}", self.name) {
                traces.push(format!("interface {}", interface.file_name().display()));
            }
        }
        let hierarchies = fs::read_dir("/sys/fs/cgroup")
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        for hierarchy in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
            let cgroup = hierarchy.join("kubewright-lab").join(&self.name);
            if cgroup.exists() {
                traces.push(format!("cgroup {}", cgroup.display()));
            }
        }
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&command).contains(&directory) {
                traces.push(format!(
                    "process {} {}",
                    process.file_name().display(),
                    String::from_utf8_lossy(&command)
                ));
            }
        }
        for file in ["json", "lock"] {
            let path = Path::new("/run/kubewright-lab").join(format!("{}.{file}", self.name));
            if path.exists() {
                traces.push(format!("file {}", path.display()));
            }
        }
        if self.directory.exists() {
            traces.push(format!("directory {directory}"));
        }
        traces
    }

    fn assert_no_trace(&self) {
        assert_eq!(self.traces(), Vec::<String>::new());
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        let _ = self.command(&["down"]).stderr(Stdio::null()).status();
    }
}

/// Looks until something is so; a bound keeps a broken program from hanging the test.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(300);
    while !holds() {
        assert!(Instant::now() < end, "waited 300 s for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
#[ignore = "boots machines: needs root, systemd-container and debootstrap"]
fn five_machines_are_different_machines() {
    let Some(lab) = TestLab::new("t-five") else { return };
    lab.run(&["up"]);
    assert_eq!(
        lab.states(),
        [
            "cp-1=running",
            "cp-2=running",
            "cp-3=running",
            "w-1=running",
            "w-2=running"
        ]
    );
    let mut ids = Vec::new();
    let mut keys = Vec::new();
    for machine in ["cp-1", "cp-2", "cp-3", "w-1", "w-2"] {
        assert_eq!(lab.on(machine, &["hostname"]), machine);
        assert_eq!(
            lab.on(machine, &["systemctl", "is-system-running", "--wait"]),
            "running"
        );
        ids.push(lab.on(machine, &["cat", "/etc/machine-id"]));
        keys.push(lab.on(machine, &["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]));
    }
    for values in [&mut ids, &mut keys] {
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 5);
    }
    assert_eq!(
        lab.run(&["exec", "--user", "ops", "w-1", "--", "sudo", "id", "-u"])
            .trim(),
        "0"
    );
    assert_eq!(
        lab.on("w-1", &["echo", "a  b", "$(hostname)", "it's"]),
        "a  b $(hostname) it's"
    );
    let said = lab.refused(&["up"]);
    assert!(said.contains("is up already"), "{said}");
    lab.run(&["down"]);
    lab.assert_no_trace();
    lab.run(&["down"]);
}

#[test]
#[ignore = "boots machines: needs root, systemd-container and debootstrap"]
fn ssh_refuses_a_machine_with_another_host_key() {
    let Some(lab) = TestLab::new("t-key") else { return };
    lab.run(&["up", "--machines", "a,b"]);
    let known_hosts = lab.directory.join("known_hosts");
    let text = fs::read_to_string(&known_hosts).unwrap();
    let [a, b] = text.lines().collect::<Vec<_>>()[..] else {
        panic!("two lines: {text}")
    };
    let swap = |names: &str, key: &str| {
        format!(
            "{} {}\n",
            names.split_once(' ').unwrap().0,
            key.split_once(' ').unwrap().1
        )
    };
    fs::write(&known_hosts, swap(a, b) + &swap(b, a)).unwrap();
    let said = lab.refused(&["exec", "a", "--", "true"]);
    assert!(said.contains("Host key verification failed"), "{said}");
}

#[test]
#[ignore = "boots machines: needs root, systemd-container and debootstrap"]
fn machines_lose_their_power_and_keep_their_disk() {
    let Some(lab) = TestLab::new("t-power") else {
        return;
    };
    lab.run(&["up", "--control-planes", "1", "--workers", "2"]);
    let paths = ["/root/kept", "/var/lib/etcd/kept", "/run/lost"];
    lab.on("cp-1", &[&["touch"], &paths[..]].concat());
    let boot = lab.on("cp-1", &["cat", "/proc/sys/kernel/random/boot_id"]);

    lab.run(&["kill", "cp-1"]);
    assert_eq!(lab.states(), ["cp-1=off", "w-1=running", "w-2=running"]);
    let said = lab.refused(&["kill", "cp-1"]);
    assert!(said.contains("cp-1 is off already"), "{said}");
    let said = lab.refused(&["exec", "--nsenter", "cp-1", "--", "true"]);
    assert!(said.contains("cp-1 is off"), "{said}");

    lab.run(&["start", "cp-1"]);
    let said = lab.refused(&["start", "cp-1"]);
    assert!(said.contains("cp-1 is on already"), "{said}");
    assert_ne!(lab.on("cp-1", &["cat", "/proc/sys/kernel/random/boot_id"]), boot);
    lab.on(
        "cp-1",
        &[
            "test", "-e", paths[0], "-a", "-e", paths[1], "-a", "!", "-e", paths[2],
        ],
    );

    lab.run(&["kill", "--all"]);
    assert_eq!(lab.states(), ["cp-1=off", "w-1=off", "w-2=off"]);
    let said = lab.refused(&["up"]);
    assert!(said.contains("start --all"), "{said}");
    lab.run(&["start", "--all"]);
    assert_eq!(lab.states(), ["cp-1=running", "w-1=running", "w-2=running"]);
    lab.run(&["down"]);
    lab.assert_no_trace();
}

#[test]
#[ignore = "boots machines: needs root, systemd-container and debootstrap"]
fn a_cut_is_silent_and_can_be_healed() {
    let Some(lab) = TestLab::new("t-cut") else { return };
    lab.run(&["up", "--machines", "a,b"]);
    let b = lab.list()["machines"][1]["address"].as_str().unwrap().to_owned();
    let inside = |command: &[&str]| lab.output(&[&["exec", "--nsenter", "a", "--"], command].concat());
    let reaches_b = || inside(&["ping", "-c1", "-W1", &b]).status.success();
    assert!(reaches_b());

    lab.run(&["cut", "a"]);
    assert_eq!(lab.states(), ["a=cut", "b=running"]);
    assert!(!reaches_b());
    assert_eq!(
        inside(&["cat", "/sys/class/net/host0/carrier"]).stdout,
        b"1\n",
        "the machine must not notice"
    );

    lab.run(&["heal", "a"]);
    assert_eq!(lab.states(), ["a=running", "b=running"]);
    assert!(reaches_b());
    assert_eq!(lab.on("a", &["hostname"]), "a");
}

#[test]
#[ignore = "boots machines: needs root, systemd-container and debootstrap"]
fn two_labs_share_nothing() {
    let (Some(one), Some(two)) = (TestLab::new("t-one"), TestLab::new("t-two")) else {
        return;
    };
    thread::scope(|scope| {
        for lab in [&one, &two] {
            scope.spawn(|| lab.run(&["up", "--machines", "a,b"]));
        }
    });
    let (left, right) = (one.list(), two.list());
    assert_ne!(left["bridge"], right["bridge"]);
    let addresses = |list: &Value| -> Vec<String> {
        list["machines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["address"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(
        addresses(&left)
            .iter()
            .all(|address| !addresses(&right).contains(address))
    );
    assert_ne!(
        one.on("a", &["cat", "/etc/machine-id"]),
        two.on("a", &["cat", "/etc/machine-id"])
    );
    let ping = one.output(&["exec", "a", "--", "ping", "-c1", "-W1", &addresses(&right)[1]]);
    assert!(
        !ping.status.success(),
        "machines of one lab must not reach those of another"
    );

    one.run(&["kill", "--all"]);
    assert_eq!(two.states(), ["a=running", "b=running"]);
    one.run(&["down"]);
    one.assert_no_trace();
    assert_eq!(two.states(), ["a=running", "b=running"]);
    assert_eq!(two.on("b", &["hostname"]), "b");
}

#[test]
#[ignore = "boots machines: needs root, systemd-container and debootstrap"]
fn a_lab_whose_making_was_killed_is_cleaned_up_by_the_next_up_or_by_down() {
    let Some(lab) = TestLab::new("t-crash") else {
        return;
    };
    let machines = lab.directory.join("machines");
    let moments: [(&str, &dyn Fn() -> bool); 4] = [
        ("the description", &|| lab.directory.join("lab.json").exists()),
        ("the first disk", &|| {
            machines.join("a/root/etc/hostname").exists()
        }),
        ("a console", &|| machines.join("a/console.log").exists()),
        ("a boot", &|| lab.output(&["list"]).stdout.ends_with(b"running\n")),
    ];
    for (moment, has_come) in moments {
        for cleaner in ["up", "down"] {
            let mut up = lab
                .command(&["up", "--machines", "a,b"])
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            wait_until(moment, has_come);
            up.kill().unwrap();
            up.wait().unwrap();
            if cleaner == "up" {
                let output = lab.output(&["up", "--machines", "c"]);
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "after {moment}: {said}");
                assert!(
                    said.contains("removing what an unfinished `up`"),
                    "after {moment}: {said}"
                );
                assert_eq!(lab.states(), ["c=running"]);
            }
            lab.run(&["down"]);
            lab.assert_no_trace();
        }
    }
}

#[test]
#[ignore = "boots machines: needs root, systemd-container and debootstrap"]
fn files_that_are_no_labs_are_never_touched() {
    let Some(lab) = TestLab::new("t-files") else {
        return;
    };
    let key = lab.directory.join("id_ed25519");
    fs::create_dir_all(&lab.directory).unwrap();
    fs::write(&key, "somebody's key").unwrap();
    let said = lab.refused(&["up", "--machines", "a"]);
    assert!(said.contains("holds id_ed25519, which is no lab's"), "{said}");
    lab.run(&["down"]);
    assert_eq!(fs::read_to_string(&key).unwrap(), "somebody's key");
    fs::rename(&key, lab.directory.join("notes")).unwrap();

    lab.run(&["up", "--machines", "a"]);
    lab.run(&["down"]);
    let left: Vec<_> = fs::read_dir(&lab.directory)
        .unwrap()
        .flatten()
        .map(|file| file.file_name())
        .collect();
    assert_eq!(left, ["notes"]);
    fs::remove_dir_all(&lab.directory).unwrap();
    lab.assert_no_trace();
}

#[test]
#[ignore = "boots machines: needs root, systemd-container and debootstrap"]
fn down_leaves_nothing_after_anything_was_killed_or_deleted() {
    let Some(lab) = TestLab::new("t-down") else { return };
    lab.run(&["up", "--machines", "a,b"]);
    let init = lab.list()["machines"][0]["pid"].as_i64().unwrap();
    let stat = fs::read_to_string(format!("/proc/{init}/stat")).unwrap();
    let nspawn = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let nspawn = rustix::process::Pid::from_raw(nspawn).unwrap();
    rustix::process::kill_process(nspawn, rustix::process::Signal::KILL).unwrap();
    lab.run(&["down"]);
    lab.assert_no_trace();

    lab.run(&["up", "--machines", "a,b"]);
    fs::remove_file(lab.directory.join("lab.json")).unwrap();
    let said = lab.refused(&["up", "--machines", "a,b"]);
    assert!(said.contains("down"), "{said}");
    lab.run(&["down"]);
    lab.assert_no_trace();
}
