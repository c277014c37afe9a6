//! What differs on a machine: the agent's differences as findings.

use super::{Finding, Kind, Seen, is_built};
use crate::observed::{Change, Difference, UnitFinding};
use crate::resource::{NodeState, Resource};
use crate::shown::{count, sentence, shown, unified};

/// Everything that differs on one machine.
pub(super) fn findings(seen: &Seen<'_>, node: &str) -> Vec<Finding> {
    let finding = |kind, subject: &str, message: String, diff| Finding {
        kind,
        node: Some(node.to_owned()),
        subject: subject.to_owned(),
        message,
        diff,
    };
    if let Some(why) = seen.observed.unreachable.get(node) {
        return vec![finding(Kind::NodeUnreachable, "the machine", sentence(why), None)];
    }
    let Some(observed) = seen.observed.nodes.get(node) else {
        return Vec::new();
    };
    if !is_built(seen, node) {
        let lacks = count(observed.differences.len(), "resource");
        return vec![finding(
            Kind::NotBuilt,
            "the machine",
            format!("is not set up yet: {lacks} missing"),
            None,
        )];
    }
    let state = seen.states.get(node);
    let mut found = Vec::new();
    for difference in &observed.differences {
        for (kind, subject, message, diff) in of_difference(state, difference) {
            found.push(finding(kind, &subject, message, diff));
        }
    }
    found
}

type Particulars = (Kind, String, String, Option<String>);

fn of_difference(state: Option<&NodeState>, difference: &Difference) -> Vec<Particulars> {
    let id = &difference.resource;
    let resource = state
        .and_then(|state| state.get(id))
        .map(|staged| &staged.resource);
    // Names of what is no longer wanted come from the node.
    let what = shown(id.what());
    let one = |kind, message: &str, diff| vec![(kind, what.clone(), message.to_owned(), diff)];
    match &difference.change {
        Change::Missing => match id.kind() {
            "user" => one(Kind::FileMissing, "there is no such user", None),
            other => one(missing(other), "is missing", None),
        },
        Change::Content { before } => {
            let diff = before
                .as_deref()
                .zip(resource.and_then(content))
                .map(|(before, after)| unified(before, after));
            let message = if diff.is_some() {
                "differs"
            } else {
                "differs; its content is not shown"
            };
            one(changed(id.kind()), message, diff)
        }
        Change::Access { before, after } => {
            let message = format!("is {}, should be {after}", shown(before));
            one(Kind::AccessChanged, &message, None)
        }
        Change::Value { before, after } => {
            let message = format!("is {}, should be {after}", shown(before));
            one(changed(id.kind()), &message, None)
        }
        Change::Certificate { problem } => one(Kind::Certificate, &sentence(&problem.to_string()), None),
        Change::Orphaned => one(Kind::Orphaned, "is orphaned", None),
        Change::Blocked { reason } => one(Kind::InTheWay, &sentence(reason), None),
        Change::Unit {
            before,
            enable,
            found,
            ..
        } => {
            let mut particulars = Vec::new();
            for found in found {
                let after = resource.and_then(content);
                particulars.extend(of_unit(&what, found, before.as_deref().zip(after)));
            }
            if *enable {
                let message = "is not enabled: it would not start after a reboot".to_owned();
                particulars.push((Kind::UnitDisabled, what.clone(), message, None));
            }
            particulars
        }
    }
}

/// What there is to say about a unit; nothing of what only follows another difference.
fn of_unit(unit: &str, found: &UnitFinding, texts: Option<(&str, &str)>) -> Option<Particulars> {
    let (kind, message, diff) = match found {
        UnitFinding::InputChanges { .. } => return None,
        UnitFinding::NotRunning { .. } => (
            Kind::UnitStopped,
            format!("is {}", sentence(&found.to_string())),
            None,
        ),
        UnitFinding::File { problem } => {
            let diff = texts.map(|(before, after)| unified(before, after));
            (Kind::UnitChanged, problem.to_string(), diff)
        }
        UnitFinding::Inputs {} => (
            Kind::ProcessStale,
            "files it reads have changed since it was started".to_owned(),
            None,
        ),
        UnitFinding::Override { path, content } => {
            let diff = content.as_deref().map(|content| unified(content, ""));
            (Kind::UnitOverridden, format!("by {}", shown(path)), diff)
        }
        UnitFinding::Arguments { foreign, lacking } => {
            let signed = |sign: char| move |word: &String| format!("{sign} {}\n", sentence(word));
            let lines = foreign
                .iter()
                .map(signed('-'))
                .chain(lacking.iter().map(signed('+')));
            let mut message = Vec::new();
            if !foreign.is_empty() {
                message.push(format!(
                    "runs with {} that its unit file does not have",
                    count(foreign.len(), "argument")
                ));
            }
            if !lacking.is_empty() {
                message.push(format!(
                    "runs without {} of its unit file",
                    count(lacking.len(), "argument")
                ));
            }
            let message = message.join(", and ");
            (Kind::ProcessArguments, message, Some(lines.collect()))
        }
        UnitFinding::Executable { path, running } => (
            Kind::ProcessExecutable,
            format!(
                "runs {}, which differs from {} on disk",
                shown(running),
                shown(path)
            ),
            None,
        ),
    };
    Some((kind, unit.to_owned(), message, diff))
}

fn missing(kind: &str) -> Kind {
    match kind {
        "secret" => Kind::SecretChanged,
        "certificate" => Kind::Certificate,
        "binary" => Kind::BinaryChanged,
        "image" => Kind::ImageMissing,
        "sysctl" | "module" | "swap" => Kind::KernelSetting,
        "routing" => Kind::Routing,
        _ => Kind::FileMissing,
    }
}

fn changed(kind: &str) -> Kind {
    match missing(kind) {
        Kind::FileMissing => Kind::FileChanged,
        other => other,
    }
}

fn content(resource: &Resource) -> Option<&str> {
    match resource {
        Resource::File(file) => Some(&file.content),
        Resource::Unit(unit) => Some(&unit.content),
        _ => None,
    }
}
