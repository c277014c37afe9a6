//! A node on a temporary root with simulated programs, and a controller that answers at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use kubewright_core::carrier::systemd::process_words;
use kubewright_core::resource::{AuthorityName, Blob, Digest, ResourceId};
use kubewright_core::secret::Secret;
use kubewright_core::wire::NodeError;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

use crate::fault::fault;
use crate::peer::Peer;
use crate::system::{Command, Output, System};

/// 14 November 2023, the test nodes' time.
pub(crate) const NOW: i64 = 1_700_000_000;

#[derive(Default)]
pub(crate) struct Simulated {
    /// Effects so far.
    pub(crate) effects: u64,
    /// What each of them was.
    pub(crate) done: Vec<String>,
    /// The first effect that does not happen any more, nor any after it.
    pub(crate) power_cut_at: Option<u64>,
    /// Commands that were run, as lines.
    pub(crate) commands: Vec<String>,
    /// Units systemd knows: active state and the file's content it read.
    pub(crate) units: BTreeMap<String, SimulatedUnit>,
    /// Units that fail when they are started.
    pub(crate) broken: BTreeSet<String>,
    /// Modules and kernel parameters that cannot be had.
    pub(crate) refused: BTreeSet<String>,
    /// Images: reference to manifest.
    pub(crate) images: BTreeMap<String, Digest>,
    /// Routes of kubewright's, and what hides pods: a table of nftables (its rule's mark), a chain and a jump of iptables.
    pub(crate) routes: BTreeMap<String, IpAddr>,
    pub(crate) nft_mark: Option<String>,
    pub(crate) chain: Vec<String>,
    pub(crate) has_jump: bool,
    /// What other programs say, by name; the rest is not installed.
    pub(crate) says: BTreeMap<String, String>,
    /// What the clock says, if not [`NOW`].
    pub(crate) now: Option<i64>,
    /// What etcd and the API server answer, by URL; nobody listens elsewhere.
    pub(crate) answers: BTreeMap<String, u16>,
    /// Time since the start; stands still unless a test moves it.
    pub(crate) boot_time: Duration,
}

#[derive(Clone, Default)]
pub(crate) struct SimulatedUnit {
    pub(crate) active: String,
    pub(crate) enabled: bool,
    pub(crate) starts: u32,
    /// Its process in `/proc`, 0 when there is none.
    pub(crate) main_pid: u32,
    /// Since when it is active, by the monotonic clock.
    pub(crate) since: Option<Duration>,
    /// `SubState`; `running` when empty.
    pub(crate) sub: String,
    /// How often systemd has restarted it by itself.
    pub(crate) restarts: u32,
    /// How long its last process lived.
    pub(crate) lived: Duration,
    pub(crate) loaded: Option<String>,
}

pub(crate) struct TestSystem {
    root: tempfile::TempDir,
    simulated: Mutex<Simulated>,
}

impl TestSystem {
    pub(crate) fn new() -> Arc<Self> {
        // Memory where there is some to be had: these nodes are fsynced a thousand times.
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        }
        .unwrap();
        let system = Self {
            root,
            simulated: Mutex::default(),
        };
        let (uid, gid) = ids();
        system.put("/etc/passwd", &format!("root:x:{uid}:{gid}:root:/root:/bin/sh\n"));
        system.put("/etc/group", &format!("root:x:{gid}:\n"));
        system.put(
            "/etc/fstab",
            "/dev/vda / ext4 defaults 0 1\n/dev/vdb none swap sw 0 0\n",
        );
        system.put(
            "/proc/swaps",
            "Filename Type Size Used Priority\n/dev/vdb partition 1 0 -2\n",
        );
        system.put("/proc/modules", "");
        system.put("/proc/sys/kernel/osrelease", "6.1\n");
        system.put("/proc/sys/net/ipv4/ip_forward", "0\n");
        system.put("/proc/sys/kernel/panic", "0\n");
        system.put("/run/containerd/containerd.sock", "");
        system.put("/sys/module/.keep", "");
        Arc::new(system)
    }

    pub(crate) fn simulated(&self) -> MutexGuard<'_, Simulated> {
        self.simulated.lock().unwrap()
    }

    /// A link went down and up.
    pub(crate) fn forget_routes(&self) {
        self.simulated().routes.clear();
    }

    /// Somebody flushed the packet filters.
    pub(crate) fn forget_rules(&self) {
        let mut simulated = self.simulated();
        simulated.nft_mark = None;
        simulated.chain.clear();
        simulated.has_jump = false;
    }

    /// Puts a file on the node behind the agent's back.
    pub(crate) fn put(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn get(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub(crate) fn mode(&self, path: &str) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;
        self.path(path).symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    pub(crate) fn set_mode(&self, path: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Every path below the root with its inode, times and size: what changes when anything is written.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, String> {
        use std::os::unix::fs::MetadataExt as _;
        let mut found = BTreeMap::new();
        let mut pending = vec![self.root.path().to_owned()];
        while let Some(path) = pending.pop() {
            let data = path.symlink_metadata().unwrap();
            let stamp = format!(
                "{} {} {} {}",
                data.ino(),
                data.ctime(),
                data.ctime_nsec(),
                data.len()
            );
            found.insert(path.clone(), stamp);
            if data.is_dir() {
                pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        found
    }

    /// Every file's content below the root, for looking for what must not be there.
    pub(crate) fn all_content(&self, below: &str) -> Vec<u8> {
        let mut content = Vec::new();
        let mut pending = vec![self.path(below)];
        while let Some(path) = pending.pop() {
            let Ok(data) = path.symlink_metadata() else {
                continue;
            };
            if data.is_dir() {
                pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else if data.is_file() {
                content.extend(fs::read(&path).unwrap());
            }
        }
        content
    }

    /// The machine starts again: processes are gone, enabled units run, what the kernel was told is forgotten.
    pub(crate) fn power_returns(&self) {
        let mut simulated = self.simulated();
        simulated.power_cut_at = None;
        simulated.effects = 0;
    }

    fn systemctl(&self, simulated: &mut Simulated, arguments: &[String]) -> Output {
        let split = arguments.iter().position(|argument| argument == "--");
        let (options, names) = split.map_or((arguments, &[][..]), |at| {
            (&arguments[..at], &arguments[at + 1..])
        });
        let file = |name: &str| fs::read_to_string(self.path(&format!("/etc/systemd/system/{name}"))).ok();
        let ask = options.iter().any(|option| option == "--no-block");
        match options[0].as_str() {
            "show" => {
                let blocks: Vec<_> = names
                    .iter()
                    .map(|name| {
                        let unit = simulated.units.get(name).cloned().unwrap_or_default();
                        let active = if unit.active.is_empty() { "inactive" } else { &unit.active };
                        let enabled = match (file(name), unit.enabled) {
                            (None, _) => "",
                            (_, true) => "enabled",
                            (_, false) => "disabled",
                        };
                        let stale = unit.loaded.is_some() && unit.loaded != file(name);
                        let load = if unit.loaded.is_some() { "loaded" } else { "not-found" };
                        let reload = if stale { "yes" } else { "no" };
                        let sub = if unit.sub.is_empty() { "running" } else { &unit.sub };
                        let since = unit.since.unwrap_or_default().as_micros();
                        format!(
                            "Id={name}\nLoadState={load}\nActiveState={active}\nSubState={sub}\nUnitFileState={enabled}\nNeedDaemonReload={reload}\nMainPID={}\nNRestarts={}\nActiveEnterTimestampMonotonic={since}\nExecMainStartTimestampMonotonic=1\nExecMainExitTimestampMonotonic={}\n",
                            unit.main_pid,
                            unit.restarts,
                            1 + unit.lived.as_micros()
                        )
                    })
                    .collect();
                return said(&blocks.join("\n"));
            }
            "is-active" => {
                let lines: Vec<_> = names
                    .iter()
                    .map(|name| {
                        simulated
                            .units
                            .get(name)
                            .map_or("inactive", |unit| unit.active.as_str())
                    })
                    .collect();
                return said(&lines.join("\n"));
            }
            "daemon-reload" => {
                let directory = self.path("/etc/systemd/system");
                simulated.units.values_mut().for_each(|unit| unit.loaded = None);
                for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                    let name = entry.file_name().into_string().unwrap();
                    let content = file(&name);
                    simulated.units.entry(name).or_default().loaded = content;
                }
            }
            "enable" | "disable" => {
                for name in names {
                    if file(name).is_none() {
                        return failed(&format!("Unit file {name} does not exist."));
                    }
                    simulated.units.entry(name.clone()).or_default().enabled = options[0] == "enable";
                }
            }
            "start" | "restart" => {
                for name in names {
                    let broken = simulated.broken.contains(name);
                    let unit = simulated.units.entry(name.clone()).or_default();
                    if unit.loaded.is_none() {
                        return failed(&format!("Unit {name} not found."));
                    }
                    unit.starts += 1;
                    self.spawn(unit);
                    unit.active = match (broken, ask) {
                        (true, false) => "failed",
                        (_, true) => "activating",
                        (false, false) => "active",
                    }
                    .to_owned();
                    if broken && !ask {
                        return failed(&format!("Job for {name} failed."));
                    }
                }
            }
            "stop" | "reset-failed" => {
                for name in names {
                    if options[0] == "stop" && simulated.refused.contains(name) {
                        return failed(&format!("Job for {name} timed out."));
                    }
                    let unit = simulated.units.entry(name.clone()).or_default();
                    "inactive".clone_into(&mut unit.active);
                    unit.main_pid = 0;
                }
            }
            other => panic!("systemctl {other} is not simulated"),
        }
        said("")
    }

    /// Gives a unit a process with the arguments its file has, and its program as what it executes.
    fn spawn(&self, unit: &mut SimulatedUnit) {
        let Some(words) = unit.loaded.as_deref().and_then(process_words) else {
            return;
        };
        let pid = (4000..5000)
            .find(|pid| !self.path(&format!("/proc/{pid}")).exists())
            .unwrap();
        self.put(&format!("/proc/{pid}/cmdline"), &(words.join("\0") + "\0"));
        std::os::unix::fs::symlink(self.path(&words[0]), self.path(&format!("/proc/{pid}/exe"))).unwrap();
        unit.main_pid = pid;
    }

    fn account(&self, program: &str, arguments: &[String]) -> Output {
        let (uid, gid) = ids();
        let name = arguments.last().unwrap();
        match program {
            "useradd" => {
                let home = &arguments[arguments
                    .iter()
                    .position(|argument| argument == "--home-dir")
                    .unwrap()
                    + 1];
                self.add(
                    "/etc/passwd",
                    &format!("{name}:x:{uid}:{gid}::{home}:/usr/sbin/nologin"),
                );
                self.add("/etc/group", &format!("{name}:x:{gid}:"));
            }
            "groupadd" => self.add("/etc/group", &format!("{name}:x:{gid}:")),
            "userdel" => {
                for table in ["/etc/passwd", "/etc/group"] {
                    let text = self.get(table);
                    let lines = text.lines().filter(|line| !line.starts_with(&format!("{name}:")));
                    let kept = lines.fold(String::new(), |kept, line| kept + line + "\n");
                    self.put(table, &kept);
                }
            }
            "usermod" => {
                let home = &arguments[1];
                let changed: String = self
                    .get("/etc/passwd")
                    .lines()
                    .map(|line| {
                        if line.starts_with(&format!("{name}:")) {
                            format!("{name}:x:{uid}:{gid}::{home}:/usr/sbin/nologin\n")
                        } else {
                            format!("{line}\n")
                        }
                    })
                    .collect();
                self.put("/etc/passwd", &changed);
            }
            other => panic!("{other} is not simulated"),
        }
        said("")
    }

    fn add(&self, table: &str, line: &str) {
        let text = self.get(table);
        self.put(table, &format!("{text}{line}\n"));
    }
}

fn ids() -> (u32, u32) {
    (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    )
}

/// What `nft --json list table` prints of our table, shortened.
pub(crate) fn listing(mark: &str) -> String {
    format!(
        r#"{{"nftables": [{{"metainfo": {{"version": "1.0.6"}}}}, {{"table": {{"family": "ip", "name": "kubewright", "handle": 1}}}},
        {{"chain": {{"family": "ip", "table": "kubewright", "name": "postrouting", "handle": 1, "type": "nat",
        "hook": "postrouting", "prio": 100, "policy": "accept"}}}}, {{"rule": {{"family": "ip", "table": "kubewright",
        "chain": "postrouting", "handle": 3, "comment": "{mark}", "expr": [{{"match": {{"op": "==", "left": {{"payload":
        {{"protocol": "ip", "field": "saddr"}}}}, "right": {{"prefix": {{"addr": "10.244.0.0", "len": 24}}}}}}}},
        {{"masquerade": {{"flags": "fully-random"}}}}]}}}}]}}"#
    )
}

/// A batch of `ip`; a gateway that ends in .99 cannot be reached.
fn set_routes(simulated: &mut Simulated, batch: &str) -> Output {
    let mut unreachable = false;
    for line in batch.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["route", "del", range, ..] => drop(simulated.routes.remove(*range)),
            ["route", "replace", _, "via", via, ..] if via.ends_with(".99") => unreachable = true,
            ["route", "replace", range, "via", via, ..] => {
                simulated.routes.insert((*range).to_owned(), via.parse().unwrap());
            }
            other => panic!("{other:?} is not simulated"),
        }
    }
    if unreachable {
        return failed("RTNETLINK answers: Network is unreachable");
    }
    said("")
}

fn iptables(simulated: &mut Simulated, words: &[String]) -> Output {
    let line = words.join(" ");
    match (words[0].as_str(), words[1].as_str()) {
        ("-S", _) if !simulated.chain.is_empty() => return said(&simulated.chain.join("\n")),
        ("-C", "POSTROUTING") if simulated.has_jump => {}
        ("-N", _) if simulated.chain.is_empty() => simulated.chain.push(line),
        ("-F", _) => simulated.chain.truncate(1),
        ("-A", "POSTROUTING") => simulated.has_jump = true,
        ("-A", _) => simulated.chain.push(line),
        _ => return failed("iptables: No chain/target/match by that name."),
    }
    said("")
}

fn said(text: &str) -> Output {
    Output {
        success: true,
        status: "exit status: 0".to_owned(),
        stdout: text.to_owned(),
        stderr: String::new(),
    }
}

fn failed(text: &str) -> Output {
    Output {
        success: false,
        status: "exit status: 1".to_owned(),
        stdout: String::new(),
        stderr: format!("{text}\n"),
    }
}

impl System for TestSystem {
    fn http_status(&self, url: &str, _ca_file: Option<&str>) -> Option<Result<u16, String>> {
        use kubewright_core::component::{apiserver, etcd};
        let answer = self.simulated().answers.get(url).copied();
        // Other servers are real ones, which a test keeps.
        [apiserver::PROBE, etcd::PROBE]
            .iter()
            .any(|probe| probe.url() == url)
            .then(|| answer.ok_or_else(|| "connection refused".to_owned()))
    }

    fn root(&self) -> &Path {
        self.root.path()
    }

    fn run(&self, command: &Command) -> io::Result<Output> {
        let mut simulated = self.simulated();
        simulated.commands.push(command.line());
        let arguments = &command.arguments;
        Ok(match command.program.as_str() {
            "systemctl" => self.systemctl(&mut simulated, arguments),
            "useradd" | "userdel" | "groupadd" | "usermod" => self.account(&command.program, arguments),
            "modprobe" => {
                let name = arguments.last().unwrap();
                if simulated.refused.contains(name) {
                    return Ok(failed(&format!("modprobe: FATAL: Module {name} not found.")));
                }
                fs::create_dir_all(self.path(&format!("/sys/module/{}", name.replace('-', "_")))).unwrap();
                said("")
            }
            "swapoff" => {
                self.put("/proc/swaps", "Filename Type Size Used Priority\n");
                said("")
            }
            "kill" => {
                for pid in arguments.iter().filter(|argument| !argument.starts_with('-')) {
                    fs::remove_dir_all(self.path(&format!("/proc/{pid}"))).unwrap();
                }
                said("")
            }
            "umount" => {
                let lazily = arguments.iter().any(|argument| argument == "--lazy");
                let (busy, rest): (Vec<_>, Vec<_>) = self
                    .get("/proc/self/mountinfo")
                    .lines()
                    .map(str::to_owned)
                    .partition(|line| line.contains("busy") && !lazily);
                let named = |line: &String| {
                    arguments
                        .iter()
                        .any(|point| line.split(' ').nth(4) == Some(point))
                };
                let kept: Vec<_> = rest.into_iter().filter(|line| !named(line)).collect();
                self.put(
                    "/proc/self/mountinfo",
                    &format!("{}\n", [busy, kept].concat().join("\n")),
                );
                said("")
            }
            "ip" if arguments.iter().any(|argument| argument == "show") => {
                let routes = simulated.routes.iter().map(|(range, via)| {
                    format!(
                        r#"{{"dst":"{range}","gateway":"{via}","dev":"eth0","protocol":"75","flags":[]}}"#
                    )
                });
                said(&format!("[{}]", routes.collect::<Vec<_>>().join(",")))
            }
            "nft" if arguments.iter().any(|argument| argument == "kubewright") => match &simulated.nft_mark {
                Some(mark) => said(&listing(mark)),
                None => failed("Error: No such file or directory"),
            },
            "iptables" if !simulated.says.contains_key("iptables") => {
                iptables(&mut simulated, &arguments[3..])
            }
            "journalctl" => match simulated.says.get("journalctl") {
                Some(text) => said(text),
                None => said("it broke\nbecause of this\n"),
            },
            "ctr" => {
                if arguments.iter().any(|argument| argument == "rm") {
                    simulated.images.remove(arguments.last().unwrap());
                    return Ok(said(""));
                }
                let lines: Vec<_> = simulated
                    .images
                    .iter()
                    .map(|(reference, digest)| {
                        format!("{reference} oci sha256:{digest} 1.0 MiB linux/amd64 -")
                    })
                    .collect();
                said(&format!(
                    "REF TYPE DIGEST SIZE PLATFORMS LABELS\n{}\n",
                    lines.join("\n")
                ))
            }
            other if simulated.says.contains_key(other) => said(&simulated.says[other]),
            other => {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("{other} is not installed"),
                ));
            }
        })
    }

    fn feed(&self, command: &Command, input: &mut dyn Read) -> io::Result<Output> {
        let mut archive = String::new();
        let read = input.read_to_string(&mut archive);
        let mut simulated = self.simulated();
        simulated.commands.push(command.line());
        match command.program.as_str() {
            "ip" => return Ok(set_routes(&mut simulated, &archive)),
            "nft" => {
                simulated.nft_mark = archive.split('"').nth(1).map(str::to_owned);
                return Ok(said(""));
            }
            program => assert_eq!(program, "ctr"),
        }
        if let Some((reference, digest)) = archive.trim().split_once(' ') {
            simulated
                .images
                .insert(reference.to_owned(), digest.parse().unwrap());
        }
        read.map(|_| said(""))
    }

    fn now(&self) -> i64 {
        self.simulated().now.unwrap_or(NOW)
    }

    fn boot_time(&self) -> Duration {
        self.simulated().boot_time
    }

    fn effect(&self, doing: &str) -> io::Result<()> {
        let mut simulated = self.simulated();
        let number = simulated.effects;
        if simulated.power_cut_at.is_some_and(|cut| number >= cut) {
            return Err(io::Error::other("the power is gone"));
        }
        simulated.effects += 1;
        simulated.done.push(doing.to_owned());
        if let Some(key) = doing.strip_prefix("set ").and_then(|rest| rest.split(' ').next())
            && simulated.refused.contains(key)
        {
            return Err(io::Error::from_raw_os_error(30));
        }
        Ok(())
    }
}

/// An authority, and everything the test controller hands out.
pub(crate) struct TestController {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) authority_pem: String,
    pub(crate) secrets: BTreeMap<String, Vec<u8>>,
    /// Compressed content by its digest.
    pub(crate) blobs: BTreeMap<Digest, Vec<u8>>,
    /// Certificates end on this day.
    pub(crate) not_after: (i32, u8, u8),
    /// Gone after so many resources are done.
    pub(crate) gone_after: Option<usize>,
    pub(crate) done: Vec<ResourceId>,
    requests: BTreeMap<ResourceId, String>,
}

impl TestController {
    pub(crate) fn new() -> Self {
        Self::until((2033, 11, 1))
    }

    /// One whose authority ends on this day, and every certificate with it at the latest.
    pub(crate) fn until((year, month, day): (i32, u8, u8)) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.not_after = date_time_ymd(year, month, day);
        let name = AuthorityName::Kubernetes.common_name();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority_pem = parameters.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(parameters, key),
            authority_pem,
            secrets: BTreeMap::new(),
            blobs: BTreeMap::new(),
            not_after: (2024, 11, 1).min((year, month, day)),
            gone_after: None,
            done: Vec::new(),
            requests: BTreeMap::new(),
        }
    }

    /// Has content to hand out, and tells how it is named.
    pub(crate) fn offer(&mut self, content: &[u8]) -> Blob {
        let blob = Blob {
            sha256: Digest::of(content),
            size_bytes: content.len() as u64,
        };
        self.blobs
            .insert(blob.sha256, zstd::encode_all(content, 3).unwrap());
        blob
    }

    pub(crate) fn sign(&self, request: &str) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(request).unwrap();
        request.params.not_before = date_time_ymd(2023, 11, 1);
        let (year, month, day) = self.not_after;
        request.params.not_after = date_time_ymd(year, month, day);
        request.signed_by(&self.issuer).unwrap().pem()
    }
}

impl Peer for TestController {
    fn progress(&mut self, resource: &ResourceId, done: bool) {
        if done {
            self.done.push(resource.clone());
        }
    }

    fn is_gone(&self) -> bool {
        self.gone_after.is_some_and(|count| self.done.len() >= count)
    }

    fn blob(&mut self, sha256: Digest) -> Result<Box<dyn Read + Send>, NodeError> {
        let blob = self.blobs.get(&sha256).cloned();
        let blob = blob.ok_or_else(|| fault("receive", "the controller has disconnected"))?;
        Ok(Box::new(io::Cursor::new(blob)))
    }

    fn request_signature(&mut self, resource: &ResourceId, request: String) -> Result<(), NodeError> {
        self.requests.insert(resource.clone(), request);
        Ok(())
    }

    fn signature(&mut self, resource: &ResourceId) -> Result<String, NodeError> {
        let request = self.requests.remove(resource).unwrap();
        Ok(self.sign(&request))
    }

    fn secret(&mut self, name: &str) -> Result<Secret, NodeError> {
        let secret = self.secrets.get(name).cloned();
        secret
            .map(Secret::new)
            .ok_or_else(|| fault("receive", "the controller does not have it"))
    }
}
