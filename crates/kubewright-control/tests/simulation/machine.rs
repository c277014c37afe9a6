//! One simulated machine: a directory that is its root, and what its kernel and its init system know.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use kubewright_core::resource::Digest;

use super::disk::{Disk, Loss};
use super::etcd::Identity;
use super::unit_file::UnitFile;

/// Kernel parameters a machine boots with.
const KERNEL: [(&str, &str); 12] = [
    ("net/ipv4/ip_forward", "0"),
    ("net/ipv4/tcp_rto_max_ms", "120000"),
    ("net/bridge/bridge-nf-call-iptables", "0"),
    ("net/bridge/bridge-nf-call-ip6tables", "0"),
    ("kernel/keys/root_maxbytes", "20000"),
    ("kernel/keys/root_maxkeys", "200"),
    ("kernel/panic", "0"),
    ("kernel/panic_on_oops", "0"),
    ("vm/overcommit_memory", "0"),
    ("vm/panic_on_oom", "1"),
    ("fs/inotify/max_user_instances", "128"),
    ("fs/inotify/max_user_watches", "8192"),
];

/// A unit as the init system knows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unit {
    /// The file's text when systemd read it.
    pub(crate) loaded: Option<String>,
    /// Its start was asked for, and its stop not since.
    pub(crate) is_wanted: bool,
    /// Its process; none while it waits for something or starts again and again.
    pub(crate) process: Option<Process>,
    /// Why it has no process although it is wanted.
    pub(crate) trouble: Option<String>,
    /// How many processes it has had.
    pub(crate) starts: u32,
}

/// A process of a unit.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) file: UnitFile,
    /// What it read when it began: digests by path.
    pub(crate) read: BTreeMap<String, Digest>,
    /// It told that it is up.
    pub(crate) is_up: bool,
    /// The member it is, if it is etcd.
    pub(crate) member: Option<Identity>,
}

impl Unit {
    pub(crate) fn is_active(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.is_up)
    }

    /// `ActiveState` and `SubState`.
    pub(crate) fn state(&self) -> (&'static str, &'static str) {
        match (&self.process, self.is_wanted) {
            (Some(process), _) if process.is_up => ("active", "running"),
            (Some(_), _) => ("activating", "start"),
            (None, true) if self.trouble.as_deref() == Some(WAITS) => ("activating", "start-pre"),
            (None, true) => ("activating", "auto-restart"),
            (None, false) => ("inactive", "dead"),
        }
    }
}

/// The trouble of a unit whose first command waits for the API.
pub(crate) const WAITS: &str = "waits for the API";

/// One simulated machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) root: PathBuf,
    pub(crate) units: BTreeMap<String, Unit>,
    pub(crate) enabled: BTreeSet<String>,
    pub(crate) images: BTreeMap<String, Digest>,
    pub(crate) boots: u32,
    /// What survives a power cut, in runs that have one.
    pub(crate) disk: RefCell<Option<Disk>>,
}

impl Machine {
    /// A machine with nothing on it but an operating system.
    pub(crate) fn blank(name: &str, root: PathBuf) -> Self {
        let machine = Self {
            name: name.to_owned(),
            root,
            units: BTreeMap::new(),
            enabled: BTreeSet::new(),
            images: BTreeMap::new(),
            boots: 0,
            disk: RefCell::default(),
        };
        // Owners are looked up by name; the user who runs the test is root on the machine.
        let owner = fs::metadata(machine.root.parent().unwrap_or(Path::new("/"))).unwrap();
        machine.put(
            "/etc/passwd",
            &format!("root:x:{}:{}:root:/root:/bin/sh\n", owner.uid(), owner.gid()),
        );
        machine.put("/etc/group", &format!("root:x:{}:\n", owner.gid()));
        machine.put(
            "/etc/fstab",
            "/dev/vda / ext4 defaults 0 1\n/dev/vdb none swap sw 0 0\n",
        );
        machine.put(
            "/etc/machine-id",
            &format!("{:.32}\n", Digest::of(name.as_bytes())),
        );
        machine.put("/etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian 12\"\n");
        machine.put("/etc/resolv.conf", "nameserver 192.0.2.1\n");
        fs::create_dir_all(machine.path("/etc/systemd/system")).unwrap();
        fs::create_dir_all(machine.path("/var/lib")).unwrap();
        fs::create_dir_all(machine.path("/var/log")).unwrap();
        fs::create_dir_all(machine.path("/usr/local/bin")).unwrap();
        machine.boot_kernel();
        machine
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub(crate) fn get(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.keep(&path);
    }

    /// A program of the machine's has written or removed something.
    pub(crate) fn keep(&self, path: &Path) {
        if let Some(disk) = self.disk.borrow_mut().as_mut() {
            disk.keep(path);
        }
    }

    /// Whether the disk would still know after a power cut that something was about to be changed.
    pub(crate) fn announced(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or_default();
        let word = match name {
            // One file for all resources of a kind.
            "99-kubewright.conf" => "sysctl:".to_owned(),
            "kubewright.conf" => "module:".to_owned(),
            "fstab" => "swap:off".to_owned(),
            _ if path.starts_with("/etc/systemd/system/") => format!("unit:{name}"),
            _ => path.trim_end_matches(".key").to_owned(),
        };
        let disk = self.disk.borrow();
        disk.as_ref()
            .is_none_or(|disk| disk.mentions("/var/lib/kubewright/journal", &word))
    }

    /// The power goes, and with it what the disk did not have yet.
    pub(crate) fn lose(&mut self, loss: Loss) {
        if let Some(disk) = self.disk.get_mut() {
            disk.lose(loss);
            *disk = Disk::new(&self.root);
        }
    }

    pub(crate) fn add_line(&self, path: &str, line: &str) {
        self.put(path, &format!("{}{line}\n", self.get(path)));
    }

    pub(crate) fn unit_file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(&format!("/etc/systemd/system/{name}"))).ok()
    }

    pub(crate) fn is_active(&self, unit: &str) -> bool {
        self.units.get(unit).is_some_and(Unit::is_active)
    }

    /// Has systemd read all its files.
    pub(crate) fn reload(&mut self) {
        for unit in self.units.values_mut() {
            unit.loaded = None;
        }
        let files = fs::read_dir(self.path("/etc/systemd/system"));
        for entry in files.into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // What is being written ends otherwise.
            if name.starts_with('.') {
                continue;
            }
            let text = self.unit_file(&name);
            self.units.entry(name).or_default().loaded = text;
        }
        self.units
            .retain(|_, unit| unit.loaded.is_some() || unit.is_wanted);
    }

    /// The machine starts again: memory is empty, the disks are as they were, enabled units are wanted.
    pub(crate) fn boot(&mut self) {
        self.boots += 1;
        self.units.clear();
        let run = self.path("/run");
        let _ = fs::remove_dir_all(&run);
        self.boot_kernel();
        for line in self.get("/etc/sysctl.d/99-kubewright.conf").lines() {
            if let Some((key, value)) = line.split_once(" = ") {
                let key = key.trim_start_matches('-').replace('.', "/");
                self.put(&format!("/proc/sys/{key}"), &format!("{value}\n"));
            }
        }
        for module in self.get("/etc/modules-load.d/kubewright.conf").lines() {
            if !module.starts_with('#') {
                let module = format!("/sys/module/{}", module.replace('-', "_"));
                fs::create_dir_all(self.path(&module)).unwrap();
            }
        }
        self.reload();
        for name in self.enabled.clone() {
            // A unit whose conditions do not hold stays down.
            let _ = self.want(&name);
        }
    }

    /// Asks for a unit's start; says why not when its conditions do not hold.
    pub(crate) fn want(&mut self, name: &str) -> Result<(), String> {
        let Some(text) = self.units.get(name).and_then(|unit| unit.loaded.clone()) else {
            return Err(format!("Unit {name} not found."));
        };
        let file = UnitFile::parse(&text);
        if !file.asserts.is_empty() && !file.asserts.iter().any(|path| self.has(path)) {
            return Err(format!("Assertion failed on job for {name}."));
        }
        if let Some(unit) = self.units.get_mut(name) {
            unit.is_wanted = true;
        }
        Ok(())
    }

    fn boot_kernel(&self) {
        for (key, value) in KERNEL {
            self.put(&format!("/proc/sys/{key}"), &format!("{value}\n"));
        }
        let _ = fs::remove_dir_all(self.path("/sys/module"));
        fs::create_dir_all(self.path("/sys/module")).unwrap();
        fs::create_dir_all(self.path("/run/systemd/system")).unwrap();
        self.put("/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
        self.put("/proc/modules", "");
        self.put("/proc/meminfo", "MemTotal: 8000000 kB\n");
        self.put("/proc/cpuinfo", "processor : 0\nprocessor : 1\n");
        self.put("/proc/self/mountinfo", "21 1 254:0 / / rw - ext4 /dev/vda rw\n");
        self.put("/proc/sys/kernel/hostname", &format!("{}\n", self.name));
        self.put("/proc/sys/kernel/osrelease", "6.12.0\n");
        self.put(
            "/proc/sys/kernel/random/boot_id",
            &format!("{}-{}\n", self.name, self.boots),
        );
        let swap = self
            .get("/etc/fstab")
            .lines()
            .any(|line| !line.starts_with('#') && line.contains(" swap "));
        let header = "Filename Type Size Used Priority\n";
        let area = if swap { "/dev/vdb partition 1 0 -2\n" } else { "" };
        self.put("/proc/swaps", &format!("{header}{area}"));
    }
}
