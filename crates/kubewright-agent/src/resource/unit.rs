//! systemd units: the file, whether it is enabled, and that it runs with its present inputs.
//!
//! What a unit was started with is remembered as one fingerprint over its file and its inputs. A unit whose fingerprint
//! differs is restarted; one that does not run is started; everything else is left alone. What somebody put beside the
//! file ([`overrides`]) is removed, and a process that is not what the file says ([`process`]) is restarted.

mod overrides;
mod process;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use kubewright_core::errors::ErrorId;
use kubewright_core::journal::Undo;
use kubewright_core::observed::{Change, UnitAction, UnitFileProblem, UnitFinding};
use kubewright_core::resource::{Digest, NodeState, ResourceId, Start, Unit};
use kubewright_core::wire::NodeError;

use super::identity;
use crate::fault::{fault, hinted};
use crate::journal;
use crate::node::Node;
use crate::system::{Command, System, act, ask};
use crate::tree::{Kind, Look, Owner};

/// Unit files are readable by root alone (CIS 4.1.1).
pub(super) const MODE: u32 = 0o600;
/// How long a start may take: systemd knows each unit's own bound, which is shorter.
const START_TIMEOUT: Duration = Duration::from_secs(900);
/// Lines of a unit's journal an error carries.
pub const LOG_LINES: u32 = 20;

/// Where a unit's file is.
pub fn path(name: &str) -> String {
    format!("/etc/systemd/system/{name}")
}

/// What systemd says about a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `ActiveState`.
    pub active: String,
    /// `SubState`.
    pub sub: String,
    /// `UnitFileState`.
    pub file: String,
    /// The file on disk is not what systemd has read.
    pub needs_reload: bool,
    /// `MainPID`; 0 when there is none.
    pub main_pid: u32,
    /// `NRestarts`: how often systemd has restarted it since it was last started by a command.
    pub restarts: u32,
    /// When its last process began, microseconds of the monotonic clock; 0 when there was none.
    begun: u64,
    /// When its last process ended; 0 while it runs.
    ended: u64,
}

/// A process that has ended so often by itself is in a crash loop.
const LOOP_RESTARTS: u32 = 2;
/// After so many ends a further start is no hope either.
const HOPELESS_RESTARTS: u32 = 4;
/// A process that lived for longer may wait for something: an API server that finds no etcd gives up after 20 s.
const SHORT_LIFE: Duration = Duration::from_secs(15);

impl Status {
    /// Whether the unit is up, or on its way and nobody waits for more.
    pub fn is_up(&self, start: Start) -> bool {
        match self.active.as_str() {
            "active" | "reloading" => true,
            "activating" => start == Start::Ask && self.sub != "auto-restart",
            _ => false,
        }
    }

    /// Whether its process ends again and again: what is seen of it between two ends means nothing.
    pub fn is_crash_looping(&self) -> bool {
        // systemd counts a restart when it begins, and waits a moment before.
        let due = u32::from(self.sub == "auto-restart");
        self.restarts.saturating_add(due) >= LOOP_RESTARTS
    }

    /// Whether its process has ended often, each time soon: waiting for it is in vain.
    pub fn is_hopeless(&self) -> bool {
        let lived = Duration::from_micros(self.ended.saturating_sub(self.begun));
        self.sub == "auto-restart" && self.restarts >= HOPELESS_RESTARTS && lived < SHORT_LIFE
    }

    fn describe(&self) -> String {
        if self.active.is_empty() {
            return "unknown to systemd".to_owned();
        }
        format!("{} ({})", self.active, self.sub)
    }
}

/// Asks systemd about units, all in one go.
///
/// # Errors
/// When systemd cannot be asked.
pub fn statuses(system: &dyn System, names: &[&str]) -> Result<BTreeMap<String, Status>, NodeError> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut arguments = vec![
        "show",
        "--property=Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,MainPID,NRestarts,\
         ExecMainStartTimestampMonotonic,ExecMainExitTimestampMonotonic",
        "--",
    ];
    arguments.extend(names);
    let output = ask(system, &Command::new("systemctl", &arguments))?;
    let blocks = output
        .stdout
        .split("\n\n")
        .filter(|block| !block.trim().is_empty());
    // One block per unit, in the order asked; a name's own block knows it by its Id.
    Ok(names
        .iter()
        .zip(blocks)
        .map(|(name, block)| ((*name).to_owned(), parse(block)))
        .collect())
}

fn parse(block: &str) -> Status {
    let mut status = Status::default();
    for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
        match key {
            "ActiveState" => value.clone_into(&mut status.active),
            "SubState" => value.clone_into(&mut status.sub),
            "UnitFileState" => value.clone_into(&mut status.file),
            "MainPID" => status.main_pid = value.parse().unwrap_or_default(),
            "NRestarts" => status.restarts = value.parse().unwrap_or_default(),
            "ExecMainStartTimestampMonotonic" => status.begun = value.parse().unwrap_or_default(),
            "ExecMainExitTimestampMonotonic" => status.ended = value.parse().unwrap_or_default(),
            // A unit others refer to is remembered as not found, also when its file has come since.
            "LoadState" => status.needs_reload |= value == "not-found",
            "NeedDaemonReload" => status.needs_reload |= value == "yes",
            _ => {}
        }
    }
    status
}

/// How a unit differs, given what systemd says and which of its inputs are about to change.
pub(crate) fn inspect(
    node: &mut Node,
    state: &NodeState,
    unit: &Unit,
    status: &Status,
    changing: &[ResourceId],
) -> Result<Option<Change>, NodeError> {
    let path = path(&unit.name);
    let mut before = None;
    let rewrite = match node.tree.look(&path)? {
        Look::Missing => Some(UnitFileProblem::Missing),
        Look::Blocked(reason) => return Ok(Some(Change::Blocked { reason })),
        Look::There(seen) if seen.kind == Kind::Link => {
            let target = node.tree.read_link(&path)?.unwrap_or_default();
            let reason = if target == "/dev/null" {
                format!("{} is masked: `systemctl unmask {}`", unit.name, unit.name)
            } else {
                format!("{path} is a link to {target}, where a file should be")
            };
            return Ok(Some(Change::Blocked { reason }));
        }
        Look::There(seen) if seen.kind != Kind::File => {
            let reason = format!("{} is at {path}, where a file should be", seen.kind.article());
            return Ok(Some(Change::Blocked { reason }));
        }
        Look::There(seen) => {
            let wanted = Digest::of(unit.content.as_bytes());
            if node.hashes.of(&node.tree, &path)? != Some(wanted) {
                before = super::file::shown(node, &path, &seen);
                Some(UnitFileProblem::Content)
            } else if seen.owner == Owner::mine(MODE) {
                None
            } else {
                Some(UnitFileProblem::Access)
            }
        }
    };
    let overrides = overrides::find(node, &unit.name)?;
    if let Some(reason) = overrides.blocked {
        return Ok(Some(Change::Blocked { reason }));
    }
    let mut found = overrides.removable;
    // Before it is up, the process may be systemd's own, about to become the program.
    if status.main_pid > 0 && matches!(status.active.as_str(), "active" | "reloading") {
        found.extend(process::inspect(node.system.as_ref(), unit, status.main_pid));
    }
    let mut restart = !found.is_empty();
    restart |= matches!(rewrite, Some(UnitFileProblem::Missing | UnitFileProblem::Content));
    let unread = status.needs_reload.then_some(UnitFileProblem::NotRead);
    if let Some(problem) = rewrite.or(unread) {
        found.push(UnitFinding::File { problem });
    }
    let enable = is_installable(unit) && !matches!(status.file.as_str(), "enabled" | "enabled-runtime");
    let action = if is_on_demand(unit) {
        UnitAction::None
    } else if !status.is_up(unit.start) {
        found.push(UnitFinding::NotRunning {
            active: status.active.clone(),
            sub: status.sub.clone(),
        });
        UnitAction::Start
    } else {
        for input in unit.inputs.iter().filter(|input| changing.contains(input)) {
            restart = true;
            found.push(UnitFinding::InputChanges { input: input.clone() });
        }
        let present = fingerprint(node, state, unit)?;
        if !restart && node.ledger.started.get(&unit.name) != Some(&present) {
            restart = true;
            found.push(UnitFinding::Inputs {});
        }
        if restart {
            UnitAction::Restart
        } else {
            UnitAction::None
        }
    };
    if !enable && found.is_empty() {
        return Ok(None);
    }
    Ok(Some(Change::Unit {
        before,
        enable,
        action,
        found,
    }))
}

/// What overrides a unit, of what was found about it: with how to put it back.
pub(crate) fn record_overrides(
    node: &mut Node,
    change: &Change,
) -> Result<Vec<(ResourceId, Undo)>, NodeError> {
    overridden_by(change)
        .into_iter()
        .map(|path| Ok((ResourceId::new("override", path), overrides::record(node, path)?)))
        .collect()
}

/// The paths of what overrides a unit.
fn overridden_by(change: &Change) -> Vec<&str> {
    let Change::Unit { found, .. } = change else {
        return Vec::new();
    };
    found
        .iter()
        .filter_map(|found| match found {
            UnitFinding::Override { path, .. } => Some(path.as_str()),
            _ => None,
        })
        .collect()
}

/// A unit nobody enables is static; systemd could not say "enabled" of it.
fn is_installable(unit: &Unit) -> bool {
    unit.content.lines().any(|line| line.trim() == "[Install]")
}

/// A one-shot that does not remain is started by something else, a timer for instance.
fn is_on_demand(unit: &Unit) -> bool {
    let has = |wanted: &str| unit.content.lines().any(|line| line.trim() == wanted);
    has("Type=oneshot") && !has("RemainAfterExit=yes") && !has("RemainAfterExit=true")
}

/// One digest over the unit's file and everything it reads, as it is on the node now.
fn fingerprint(node: &mut Node, state: &NodeState, unit: &Unit) -> Result<Digest, NodeError> {
    let mut text = unit.content.clone();
    for input in &unit.inputs {
        let identity = identity(node, state, input)?;
        let _ = write!(text, "\n{input} {identity}");
    }
    Ok(Digest::of(text.as_bytes()))
}

pub(super) fn record(node: &mut Node, unit: &Unit) -> Result<Undo, NodeError> {
    record_named(node, &unit.name)
}

pub(super) fn record_named(node: &mut Node, name: &str) -> Result<Undo, NodeError> {
    let status = statuses(node.system.as_ref(), &[name])?
        .remove(name)
        .unwrap_or_default();
    let (file, owner) = match super::file::record(node, &path(name))? {
        Undo::Restore {
            sha256,
            mode,
            uid,
            gid,
        } => (Some(sha256), Some((mode, uid, gid))),
        _ => (None, None),
    };
    Ok(Undo::Unit {
        enabled: status.file == "enabled",
        active: status.active == "active",
        file,
        mode: owner.map(|(mode, _, _)| mode),
        uid: owner.map(|(_, uid, _)| uid),
        gid: owner.map(|(_, _, gid)| gid),
        started: node.started_before(name),
    })
}

/// Writes the files of several units, enables them and has systemd read them, once.
pub(crate) fn install(node: &mut Node, units: &[(&Unit, &Change)]) -> Result<(), NodeError> {
    let mut reload = false;
    let mut enable = vec!["enable", "--no-reload", "--quiet", "--"];
    for (unit, change) in units {
        let path = path(&unit.name);
        let bytes = unit.content.as_bytes();
        let differs = node.hashes.of(&node.tree, &path)? != Some(Digest::of(bytes));
        let Change::Unit {
            enable: enables,
            found,
            ..
        } = change
        else {
            continue;
        };
        if differs || matches!(node.tree.look(&path)?, Look::There(seen) if seen.owner != Owner::mine(MODE)) {
            node.tree.write(&path, bytes, Owner::mine(MODE))?;
            node.hashes.remember(&node.tree, &path, Digest::of(bytes))?;
            reload = true;
        }
        reload |= found.contains(&UnitFinding::File {
            problem: UnitFileProblem::NotRead,
        });
        for path in overridden_by(change) {
            node.tree.remove(path)?;
            reload = true;
        }
        if *enables {
            enable.push(&unit.name);
            reload = true;
        }
    }
    node.tree.sync()?;
    if enable.last().is_some_and(|last| *last != "--") {
        act(node.system.as_ref(), &Command::new("systemctl", &enable))?;
    }
    if reload {
        act(
            node.system.as_ref(),
            &Command::new("systemctl", &["daemon-reload"]),
        )?;
    }
    Ok(())
}

/// Starts or restarts a unit whose file is in place, and remembers what it was started with.
pub(crate) fn bring_up(
    node: &mut Node,
    state: &NodeState,
    unit: &Unit,
    action: UnitAction,
) -> Result<(), NodeError> {
    let verb = match action {
        UnitAction::None => return Ok(()),
        UnitAction::Start => "start",
        UnitAction::Restart => "restart",
    };
    let fingerprint = fingerprint(node, state, unit)?;
    let system = node.system.clone();
    let before = status_of(node, &unit.name)?;
    if before.active == "failed" {
        act(
            system.as_ref(),
            &Command::new("systemctl", &["reset-failed", "--", &unit.name]),
        )?;
    }
    let name = unit.name.as_str();
    let commands = match (unit.start, action) {
        // Whoever waits for its health next must not be answered by the process that is on its way out.
        (Start::Ask, UnitAction::Restart) => {
            vec![vec!["stop", "--", name], vec!["start", "--no-block", "--", name]]
        }
        (Start::Ask, _) => vec![vec!["start", "--no-block", "--", name]],
        (Start::Wait, _) => vec![vec![verb, "--", name]],
    };
    for arguments in commands {
        let command = Command::new("systemctl", &arguments).within(START_TIMEOUT);
        act(system.as_ref(), &command).map_err(|error| {
            let mut own = fault(format!("{verb} {name}"), error.cause);
            own.command = error.command;
            with_log(node, name, own)
        })?;
    }
    node.unit_actions += 1;
    if unit.start == Start::Wait {
        let status = status_of(node, &unit.name)?;
        if !status.is_up(Start::Ask) {
            let error = fault(
                format!("{verb} {}", unit.name),
                format!("it is {}", status.describe()),
            );
            return Err(with_log(node, &unit.name, error));
        }
    }
    node.ledger.started.insert(unit.name.clone(), fingerprint);
    Ok(())
}

fn status_of(node: &Node, name: &str) -> Result<Status, NodeError> {
    Ok(statuses(node.system.as_ref(), &[name])?
        .remove(name)
        .unwrap_or_default())
}

/// Adds the last lines of a unit's journal to an error about it.
fn with_log(node: &Node, name: &str, mut error: NodeError) -> NodeError {
    error.id = ErrorId::UnitFailed;
    error.unit = Some(name.to_owned());
    error.log = log(node.system.as_ref(), name, LOG_LINES).unwrap_or_default();
    hinted(
        error,
        format!("the whole story is in `journalctl -u {name}` on the node"),
    )
}

/// Kills the main process of a unit of ours, as a crash would.
///
/// # Errors
/// When it is no unit of ours, or cannot be killed.
pub fn crash(node: &mut Node, name: &str) -> Result<(), NodeError> {
    if !node.ledger.owned.contains_key(&ResourceId::new("unit", name)) {
        return Err(fault(format!("kill {name}"), "kubewright did not put it there"));
    }
    let arguments = ["kill", "--kill-who=main", "--signal=SIGKILL", "--", name];
    act(node.system.as_ref(), &Command::new("systemctl", &arguments))?;
    node.unit_actions += 1;
    Ok(())
}

/// The last lines of a unit's journal, oldest first.
///
/// # Errors
/// When the journal cannot be read.
pub fn log(system: &dyn System, name: &str, lines: u32) -> Result<Vec<String>, NodeError> {
    journal(system, &format!("--unit={name}"), lines)
}

/// The same of what the unit's processes wrote, without what systemd says of it: after each end of a process that is
/// the last line.
///
/// # Errors
/// As [`log`].
pub fn own_log(system: &dyn System, name: &str, lines: u32) -> Result<Vec<String>, NodeError> {
    journal(system, &format!("_SYSTEMD_UNIT={name}"), lines)
}

fn journal(system: &dyn System, selection: &str, lines: u32) -> Result<Vec<String>, NodeError> {
    let count = format!("--lines={}", lines.min(2000));
    let arguments = [&count, "--output=cat", "--no-pager", "--quiet", selection];
    let output = ask(system, &Command::new("journalctl", &arguments))?;
    Ok(output.stdout.lines().map(str::to_owned).collect())
}

/// Stops, disables and removes a unit.
pub(crate) fn remove(node: &mut Node, name: &str) -> Result<(), NodeError> {
    let names = [name.to_owned()];
    stop(node, &names)?;
    delete(node, &names)
}

/// Stops units, all in one go, and sees to it that they have stopped.
pub(crate) fn stop(node: &mut Node, names: &[String]) -> Result<(), NodeError> {
    let system = node.system.clone();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let running: Vec<_> = statuses(system.as_ref(), &names)?
        .into_iter()
        .filter(|(_, status)| !matches!(status.active.as_str(), "" | "inactive" | "failed"))
        .map(|(name, _)| name)
        .collect();
    if running.is_empty() {
        return Ok(());
    }
    let running: Vec<_> = running.iter().map(String::as_str).collect();
    let arguments: Vec<_> = ["stop", "--"].iter().chain(&running).copied().collect();
    // Whatever it complains of: a unit that fails while it stops has stopped, and one that runs on is seen below.
    let stopped = act(
        system.as_ref(),
        &Command::new("systemctl", &arguments).within(START_TIMEOUT),
    );
    node.unit_actions += running.len() as u64;
    let left = statuses(system.as_ref(), &running)?;
    if let Some((name, _)) = left.iter().find(|(_, status)| status.is_up(Start::Ask)) {
        let mut error = fault(format!("stop {name}"), "it is still running");
        if let Err(refused) = stopped {
            (error.cause, error.command) = (refused.cause, refused.command);
        }
        return Err(with_log(node, name, error));
    }
    Ok(())
}

/// Disables units that were stopped, removes their files and has systemd forget them.
pub(crate) fn delete(node: &mut Node, names: &[String]) -> Result<(), NodeError> {
    if names.is_empty() {
        return Ok(());
    }
    let system = node.system.clone();
    let all: Vec<_> = names.iter().map(String::as_str).collect();
    let statuses = statuses(system.as_ref(), &all)?;
    let those = |verb: &[&'static str], wanted: &dyn Fn(&Status) -> bool| -> Option<Command> {
        let names: Vec<_> = statuses
            .iter()
            .filter(|(_, status)| wanted(status))
            .map(|(name, _)| name.as_str())
            .collect();
        let arguments: Vec<_> = verb.iter().chain(&names).copied().collect();
        (!names.is_empty()).then(|| Command::new("systemctl", &arguments))
    };
    let is_enabled = |status: &Status| matches!(status.file.as_str(), "enabled" | "enabled-runtime");
    if let Some(command) = those(&["disable", "--no-reload", "--quiet", "--"], &is_enabled) {
        act(system.as_ref(), &command)?;
    }
    for name in names {
        node.tree.remove(&path(name))?;
        node.ledger.started.remove(name);
    }
    act(system.as_ref(), &Command::new("systemctl", &["daemon-reload"]))?;
    // Their entries would stay in the list of failed units for ever.
    if let Some(command) = those(&["reset-failed", "--"], &|status: &Status| {
        status.active == "failed"
    }) {
        let _ = act(system.as_ref(), &command);
    }
    Ok(())
}

/// How a unit was.
pub(super) struct Before {
    pub(super) enabled: bool,
    pub(super) active: bool,
    /// Its kept file, if it had one.
    pub(super) file: Option<(Digest, Owner)>,
    /// The fingerprint it was started with, if that is known.
    pub(super) started: Option<Digest>,
}

pub(super) fn undo(node: &mut Node, name: &str, before: &Before) -> Result<(), NodeError> {
    let Some((file, owner)) = before.file else {
        return remove(node, name);
    };
    let system = node.system.clone();
    journal::restore(&node.tree, &path(name), file, owner)?;
    node.hashes.remember(&node.tree, &path(name), file)?;
    node.ledger.started.remove(name);
    let enablement = if before.enabled { "enable" } else { "disable" };
    act(
        system.as_ref(),
        &Command::new("systemctl", &[enablement, "--quiet", "--", name]),
    )?;
    act(system.as_ref(), &Command::new("systemctl", &["daemon-reload"]))?;
    if status_of(node, name)?.active == "failed" {
        act(
            system.as_ref(),
            &Command::new("systemctl", &["reset-failed", "--", name]),
        )?;
    }
    let verb = if before.active { "restart" } else { "stop" };
    let command = Command::new("systemctl", &[verb, "--", name]).within(START_TIMEOUT);
    let done = act(system.as_ref(), &command);
    node.unit_actions += 1;
    done.map_err(|error| with_log(node, name, error))?;
    // If what it reads is back as well, this is what it has been started with again.
    if let Some(started) = before.started.filter(|_| before.active) {
        node.ledger.started.insert(name.to_owned(), started);
    }
    Ok(())
}
