//! The simulated init system: what `systemctl` answers, and processes that begin, get ready and end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kubewright_agent::system::Output;
use kubewright_agent::x509;
use kubewright_core::resource::{AuthorityName, Digest, ResourceId};

use super::etcd;
use super::machine::{Machine, Process, WAITS};
use super::unit_file::{Command, Readiness, UnitFile};
use super::world::State;

pub(crate) const API: &str = "kube-apiserver.service";
pub(crate) const PROXY: &str = "kubewright-api-proxy.service";
const CONTAINERD: &str = "containerd.service";
pub(crate) const KUBELET: &str = "kubelet.service";

pub(crate) fn said(text: impl Into<String>) -> Output {
    Output {
        success: true,
        status: "exit status: 0".to_owned(),
        stdout: text.into(),
        stderr: String::new(),
    }
}

pub(crate) fn failed(text: impl Into<String>) -> Output {
    Output {
        success: false,
        status: "exit status: 1".to_owned(),
        stdout: String::new(),
        stderr: text.into(),
    }
}

/// What is left to do after `systemctl` did what it does at once.
pub(crate) enum Pending {
    Nothing(Output),
    /// It returns when these units are up.
    Up(Vec<String>),
}

/// Runs `systemctl`.
pub(crate) fn systemctl(state: &mut State, node: &str, arguments: &[String]) -> Pending {
    let split = arguments.iter().position(|argument| argument == "--");
    let (options, names) = split.map_or((arguments, &[][..]), |at| {
        (&arguments[..at], &arguments[at + 1..])
    });
    let Some(machine) = state.machines.get_mut(node) else {
        return Pending::Nothing(failed("no such machine"));
    };
    if matches!(options[0].as_str(), "restart" | "stop") && state.failed.is_some() {
        let parts = names
            .iter()
            .filter(|name| [etcd::UNIT, API].contains(&name.as_str()));
        let disturbed = parts.filter(|name| machine.is_active(name));
        state
            .disturbed
            .extend(disturbed.map(|name| (node.to_owned(), name.clone())));
    }
    let mut wait = Vec::new();
    match options[0].as_str() {
        "--version" => return Pending::Nothing(said("systemd 252 (252.1)\n")),
        "show" => {
            let blocks: Vec<_> = names.iter().map(|name| show(machine, name)).collect();
            return Pending::Nothing(said(blocks.join("\n")));
        }
        "is-active" => {
            let states = names
                .iter()
                .map(|name| machine.units.get(name).map_or("inactive", |unit| unit.state().0));
            return Pending::Nothing(said(states.collect::<Vec<_>>().join("\n")));
        }
        "daemon-reload" => machine.reload(),
        "enable" => {
            for name in names {
                if machine.unit_file(name).is_none() {
                    return Pending::Nothing(failed(format!("Unit file {name} does not exist.")));
                }
                machine.enabled.insert(name.clone());
            }
        }
        "disable" => machine.enabled.retain(|name| !names.contains(name)),
        "start" | "restart" => {
            let is_asked = options.iter().any(|option| option == "--no-block");
            for name in names {
                if options[0] == "restart" {
                    stop(machine, name);
                }
                match machine.want(name) {
                    Err(complaint) if !is_asked || complaint.contains("not found") => {
                        settle(state);
                        return Pending::Nothing(failed(complaint));
                    }
                    Err(_) | Ok(()) => {}
                }
                if !is_asked {
                    wait.push(name.clone());
                }
            }
        }
        "stop" => names.iter().for_each(|name| stop(machine, name)),
        "reset-failed" => {}
        "kill" => names.iter().for_each(|name| {
            if let Some(unit) = machine.units.get_mut(name) {
                unit.process = None;
            }
        }),
        other => state
            .violations
            .push(format!("systemctl {other} is not simulated")),
    }
    settle(state);
    if wait.is_empty() {
        return Pending::Nothing(said(""));
    }
    Pending::Up(wait)
}

fn show(machine: &Machine, name: &str) -> String {
    let unit = machine.units.get(name).cloned().unwrap_or_default();
    let file = machine.unit_file(name);
    let (active, sub) = unit.state();
    let enabled = match (&file, machine.enabled.contains(name)) {
        (None, _) => "",
        (_, true) => "enabled",
        (_, false) => "disabled",
    };
    let load = if unit.loaded.is_some() {
        "loaded"
    } else {
        "not-found"
    };
    let is_stale = unit.loaded.is_some() && unit.loaded != file;
    let reload = if is_stale { "yes" } else { "no" };
    // Whatever ends at once has ended many times by the time anybody looks.
    let restarts = if sub == "auto-restart" { 9 } else { 0 };
    format!(
        "Id={name}\nLoadState={load}\nActiveState={active}\nSubState={sub}\nUnitFileState={enabled}\nNeedDaemonReload={reload}\nNRestarts={restarts}\n"
    )
}

pub(crate) fn stop(machine: &mut Machine, name: &str) {
    if name == CONTAINERD {
        let _ = fs::remove_file(machine.path("/run/containerd/containerd.sock"));
    }
    if let Some(unit) = machine.units.get_mut(name) {
        unit.is_wanted = false;
        unit.process = None;
        unit.trouble = None;
    }
}

/// Lets everything that was asked for go as far as it can, then looks whether all of it may be so.
pub(crate) fn settle(state: &mut State) {
    loop {
        let waiting: Vec<(String, String)> = state
            .machines
            .values()
            .flat_map(|machine| {
                let units = machine.units.iter();
                let waiting = units.filter(|(_, unit)| unit.is_wanted && !unit.is_active());
                waiting.map(|(name, _)| (machine.name.clone(), name.clone()))
            })
            .collect();
        let mut has_moved = false;
        for (machine, unit) in waiting {
            has_moved |= progress(state, &machine, &unit);
        }
        if !has_moved {
            break;
        }
    }
    etcd::elect(state);
    state.register_kubelets();
    state.look_for_violations();
}

/// One move of one unit, if there is one.
fn progress(state: &mut State, node: &str, name: &str) -> bool {
    let Some(unit) = state
        .machines
        .get(node)
        .and_then(|machine| machine.units.get(name))
    else {
        return false;
    };
    match &unit.process {
        None => launch(state, node, name),
        Some(process) => {
            if process.is_up || !is_ready(state, node, name) {
                return false;
            }
            let commands = process.file.after_start.clone();
            let Some(machine) = state.machines.get_mut(node) else {
                return false;
            };
            run_commands(machine, &commands);
            if name == CONTAINERD {
                machine.put("/run/containerd/containerd.sock", "");
            }
            if let Some(process) = machine.units.get_mut(name).and_then(|unit| unit.process.as_mut()) {
                process.is_up = true;
            }
            true
        }
    }
}

/// Begins a unit's process.
fn launch(state: &mut State, node: &str, name: &str) -> bool {
    let has_api = state.any_api().is_some();
    let inputs = state.inputs.get(&(node.to_owned(), name.to_owned()));
    let inputs = inputs.map_or(&[][..], Vec::as_slice);
    let Some(machine) = state.machines.get_mut(node) else {
        return false;
    };
    let Some(text) = machine.units.get(name).and_then(|unit| unit.loaded.clone()) else {
        return false;
    };
    let file = UnitFile::parse(&text);
    let asks_api = file
        .before
        .iter()
        .any(|command| command.words.iter().any(|word| word == "wait-url"));
    let trouble = if asks_api && !(has_api && machine.is_active(PROXY)) {
        Some(WAITS.to_owned())
    } else {
        run_commands(machine, &file.before);
        troubles(machine, name, &file)
    };
    let mut violations = Vec::new();
    let began = match trouble {
        Some(trouble) => Err(trouble),
        None => begin(
            machine,
            name,
            file,
            inputs,
            &mut state.memberships,
            &mut violations,
        ),
    };
    let has_moved = began.is_ok();
    if let Some(unit) = machine.units.get_mut(name) {
        match began {
            Ok(process) => {
                unit.process = Some(process);
                unit.trouble = None;
                unit.starts += 1;
            }
            Err(trouble) => unit.trouble = Some(trouble),
        }
    }
    state.violations.extend(violations);
    if has_moved {
        state.began(node, name, &text);
    }
    has_moved
}

/// The process of a unit that nothing keeps from running; etcd may still refuse by itself.
fn begin(
    machine: &Machine,
    name: &str,
    file: UnitFile,
    inputs: &[ResourceId],
    memberships: &mut etcd::Memberships,
    violations: &mut Vec<String>,
) -> Result<Process, String> {
    if file.readiness == Readiness::Finished {
        run_commands(machine, &file.start);
    }
    let mut process = Process {
        read: read_by(machine, &file, inputs),
        file,
        is_up: false,
        member: None,
    };
    if name == etcd::UNIT {
        let (identity, forbidden) = etcd::begin(machine, &process, memberships)?;
        violations.extend(forbidden);
        process.member = Some(identity);
    }
    Ok(process)
}

/// What keeps a process from running: files that are not there, certificates that do not fit.
fn troubles(machine: &Machine, name: &str, file: &UnitFile) -> Option<String> {
    for path in file.named_files() {
        if !machine.has(&path) && !path.ends_with("/audit.log") {
            return Some(format!("{path} is missing"));
        }
    }
    let (own, etcd, front) = (
        AuthorityName::Kubernetes,
        AuthorityName::Etcd,
        AuthorityName::FrontProxy,
    );
    let pairs: &[(AuthorityName, &str)] = match name {
        etcd::UNIT => &[(etcd, "etcd/server"), (etcd, "etcd/peer")],
        API => &[
            (own, "apiserver"),
            (etcd, "apiserver-etcd-client"),
            (own, "apiserver-kubelet-client"),
            (front, "front-proxy-client"),
        ],
        PROXY => &[(own, "api-proxy")],
        _ => &[],
    };
    pairs.iter().find_map(|(authority, pair)| {
        let base = format!("/etc/kubernetes/pki/{pair}");
        let (certificate, key) = (
            machine.get(&format!("{base}.crt")),
            machine.get(&format!("{base}.key")),
        );
        let authority = machine.get(authority.certificate_path());
        if !x509::key_matches(certificate.as_bytes(), key.as_bytes()) {
            return Some(format!("{base}: key and certificate do not belong together"));
        }
        (!x509::is_signed_by(certificate.as_bytes(), authority.as_bytes()))
            .then(|| format!("{base}.crt: another authority signed it"))
    })
}

/// What a process reads when it begins: what its command line names, and what its files name in turn.
fn read_by(machine: &Machine, file: &UnitFile, inputs: &[ResourceId]) -> BTreeMap<String, Digest> {
    let inputs = inputs.iter().map(|input| input.what().to_owned());
    file.named_files()
        .into_iter()
        .chain(inputs)
        .filter_map(|path| {
            let bytes = fs::read(machine.path(&path)).ok()?;
            Some((path, Digest::of(&bytes)))
        })
        .collect()
}

/// Whether a process that runs tells that it is up.
fn is_ready(state: &State, node: &str, name: &str) -> bool {
    match name {
        etcd::UNIT => etcd::has_quorum(state, node),
        API => etcd::serves(state, node),
        _ => true,
    }
}

/// The few programs that units run beside their own.
fn run_commands(machine: &Machine, commands: &[Command]) {
    for command in commands {
        let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
        let path = |path: &str| machine.path(path);
        let result = match words.as_slice() {
            ["mkdir", "-p", directory] => fs::create_dir_all(path(directory)),
            ["cp", from, to] => fs::copy(path(from), path(to)).map(|_| ()),
            ["mv", "-f", from, to] => fs::rename(path(from), path(to)),
            ["rm", "-f", file] => {
                let _ = fs::remove_file(path(file));
                Ok(())
            }
            ["ln", "-sfn", target, link] => {
                let _ = fs::remove_file(path(link));
                std::os::unix::fs::symlink(Path::new(target), path(link))
            }
            _ => Ok(()),
        };
        for word in words.iter().filter(|word| word.starts_with('/')) {
            machine.keep(&path(word));
        }
        assert!(
            result.is_ok() || command.may_fail,
            "{}: {words:?}: {result:?}",
            machine.name
        );
    }
}

/// Whether a node's kubelet would report it Ready.
pub(crate) fn is_node_ready(state: &State, node: &str) -> bool {
    let Some(machine) = state.machines.get(node).filter(|_| !state.unready.contains(node)) else {
        return false;
    };
    let has_network = fs::read_dir(machine.path("/run/kubewright/cni/net.d")).is_ok_and(|entries| {
        let mut names = entries.flatten().map(|entry| entry.file_name());
        names.any(|name| !name.to_string_lossy().starts_with('.'))
    });
    has_network
        && [KUBELET, CONTAINERD, PROXY]
            .iter()
            .all(|unit| machine.is_active(unit))
}

/// Whether a node's kubelet runs and can talk to the API.
pub(crate) fn can_register(machine: &Machine) -> bool {
    machine.is_active(KUBELET) && machine.is_active(PROXY)
}
