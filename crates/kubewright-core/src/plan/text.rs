//! A plan as text: what a colleague would say before touching the cluster.
//!
//! Steps that change the same things on several nodes read as one paragraph with the nodes named (or counted, when
//! they are many). New things are one line each; changed text is a unified diff; secrets are named, never shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::waits::{self, NAMED_NODES, names_of};
use super::{Disruption, Plan, PlannedStep, Step, Totals, deferred, disruption, guards};
use crate::observed::{Change, Difference, UnitAction, UnitFinding, unit_reasons};
use crate::resource::{NodeState, Resource};
pub use crate::shown::count;
use crate::shown::{line, sentence, shown, unified};

/// Renders the plan. `states` give the new content for diffs; `objects` the diffs of cluster objects.
pub fn render(
    plan: &Plan,
    states: &BTreeMap<String, NodeState>,
    objects: &BTreeMap<String, Option<String>>,
) -> String {
    let mut text = String::new();
    for (node, why) in &plan.left_out {
        let _ = writeln!(text, "{node} is skipped: {}", shown(why));
    }
    text.push_str(&deferred::told(&plan.deferred));
    for note in &plan.notes {
        let _ = writeln!(text, "note: {}", sentence(note));
    }
    for group in group(plan, states) {
        let _ = writeln!(text, "{}", headline(&group));
        let disruption = &group.steps[0].disruption;
        let is_disturbed = *disruption != Disruption::None;
        if is_disturbed {
            let _ = writeln!(text, "  disturbs: {}", disruption::told(disruption));
        }
        if let (true, Some(guards)) = (is_disturbed, guards::told(&group.steps)) {
            let _ = writeln!(text, "  only while: {guards}");
        }
        if let Some(waits) = waits::told(&group.steps) {
            let _ = writeln!(text, "  after: {waits}");
        }
        text.push_str(&body(group.steps[0], states, objects));
        text.push('\n');
    }
    text.push_str(&summary(plan));
    text
}

/// The last line of a plan: `0 changes`, or how much it adds, changes and removes where.
pub fn summary(plan: &Plan) -> String {
    if plan.is_empty() {
        return "0 changes\n".to_owned();
    }
    let Totals { add, change, remove } = plan.totals();
    let nodes = count(changed_nodes(plan), "node");
    format!("Plan: {add} to add, {change} to change, {remove} to remove on {nodes}\n")
}

/// How many changes a plan makes where, in one line for when it is carried out.
pub fn changes(plan: &Plan) -> String {
    let (changes, nodes) = (plan.changes(), changed_nodes(plan));
    format!("{} on {}", count(changes, "change"), count(nodes, "node"))
}

fn changed_nodes(plan: &Plan) -> usize {
    let nodes: BTreeSet<&str> = plan
        .steps
        .iter()
        .filter(|planned| planned.step.totals().all() > 0)
        .filter_map(|planned| planned.step.node())
        .collect();
    nodes.len()
}

/// Steps of several nodes that read the same.
struct Group<'a> {
    steps: Vec<&'a PlannedStep>,
    nodes: Vec<String>,
}

fn group<'a>(plan: &'a Plan, states: &BTreeMap<String, NodeState>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for planned in &plan.steps {
        let node = planned.step.node().unwrap_or_default().to_owned();
        let key = likeness(planned, &node, states);
        let index = *known.entry(key).or_insert_with(|| {
            groups.push(Group {
                steps: Vec::new(),
                nodes: Vec::new(),
            });
            groups.len() - 1
        });
        groups[index].steps.push(planned);
        groups[index].nodes.push(node);
    }
    groups
}

/// Two steps with the same likeness are shown as one: same kind, same resources, same changes, same order.
fn likeness(planned: &PlannedStep, node: &str, states: &BTreeMap<String, NodeState>) -> String {
    let after: BTreeSet<&str> = planned
        .after
        .iter()
        .filter(|id| !planned.in_turn.contains(id))
        .map(|id| id.kind.as_str())
        .collect();
    let what = match &planned.step {
        Step::Converge {
            stage, differences, ..
        } => {
            let changes: Vec<String> = differences
                .iter()
                .map(|difference| lines(difference, node, states))
                .collect();
            format!("converge {stage:?} {changes:?}")
        }
        Step::Wait {
            condition: super::Condition::OnNode { condition, .. },
            timeout_seconds,
        } => {
            format!("wait {condition} {timeout_seconds}")
        }
        Step::Wait {
            condition: super::Condition::NodeReady { .. },
            ..
        } => "wait for the node".to_owned(),
        Step::ResetNode { .. } => "reset".to_owned(),
        Step::RecordFounders { founders, .. } => format!("record {founders}"),
        Step::AddMember { .. } => "add a member".to_owned(),
        Step::PromoteMember { .. } => "promote a member".to_owned(),
        Step::MarkBootstrapped { .. } => "settle".to_owned(),
        other => format!("{other:?}"),
    };
    // Whom a guard is about differs by its nature.
    let guards: Vec<_> = planned.guard.iter().map(std::mem::discriminant).collect();
    format!("{} {what} {after:?} {guards:?}", planned.id.kind)
}

fn headline(group: &Group<'_>) -> String {
    let planned = group.steps[0];
    let place = match planned.step.node() {
        Some(_) => names_of(&group.nodes),
        None => "cluster".to_owned(),
    };
    match &planned.step {
        Step::Converge { stage, .. } => {
            let each = if group.nodes.len() > 1 { " per node" } else { "" };
            format!(
                "{place}: {} ({}{each})",
                stage.title(),
                planned.step.totals().told()
            )
        }
        step => format!("{place}: {} ({})", step.title(), planned.why),
    }
}

fn body(
    planned: &PlannedStep,
    states: &BTreeMap<String, NodeState>,
    objects: &BTreeMap<String, Option<String>>,
) -> String {
    match &planned.step {
        Step::Converge {
            node, differences, ..
        } => differences
            .iter()
            .map(|difference| lines(difference, node, states))
            .collect(),
        Step::RegisterNodes { nodes, present } if nodes.len() > NAMED_NODES => {
            let counts = [('+', nodes.len() - present.len()), ('~', present.len())];
            let counts = counts.iter().filter(|(_, count)| *count > 0);
            counts.fold(String::new(), |mut text, (sign, count)| {
                let _ = writeln!(text, "  {sign} {count} Node objects");
                text
            })
        }
        Step::RegisterNodes { nodes, present } => nodes.iter().fold(String::new(), |mut text, node| {
            let sign = if present.contains(node) { '~' } else { '+' };
            let _ = writeln!(text, "  {sign} Node {}", shown(node));
            text
        }),
        Step::ApplyManifests { objects: names, .. } => names.iter().fold(String::new(), |mut text, name| {
            let shown_name = sentence(name);
            match objects.get(name) {
                Some(Some(diff)) => {
                    let _ = writeln!(text, "  ~ {shown_name}");
                    text.push_str(&indent(diff));
                }
                _ => {
                    let _ = writeln!(text, "  + {shown_name}");
                }
            }
            text
        }),
        Step::PruneObjects { objects } => objects.iter().fold(String::new(), |mut text, name| {
            let _ = writeln!(text, "  - {}", sentence(name));
            text
        }),
        Step::Wait { .. }
        | Step::ResetNode { .. }
        | Step::RecordFounders { .. }
        | Step::AddMember { .. }
        | Step::PromoteMember { .. }
        | Step::MarkBootstrapped { .. } => String::new(),
    }
}

/// The lines that tell of one difference. All of it may be a node's invention, but for what `states` has.
fn lines(difference: &Difference, node: &str, states: &BTreeMap<String, NodeState>) -> String {
    let resource = states
        .get(node)
        .and_then(|state| state.get(&difference.resource))
        .map(|found| &found.resource);
    let name = resource.map_or_else(|| sentence(difference.resource.as_str()), describe);
    match &difference.change {
        Change::Missing => format!("  + {name}\n"),
        Change::Orphaned => format!("  - {name}\n"),
        Change::Access { before, after } | Change::Value { before, after } => {
            format!("  ~ {name}: {} -> {}\n", sentence(before), sentence(after))
        }
        Change::Certificate { problem } => format!("  ~ {name}: {}\n", sentence(&problem.to_string())),
        Change::Blocked { reason } => format!("  ! {name}: {}\n", sentence(reason)),
        Change::Content { before } => {
            format!(
                "  ~ {name}\n{}",
                diff(before.as_deref(), resource.and_then(content))
            )
        }
        Change::Unit {
            before,
            action,
            enable,
            found,
        } => {
            let sign = if before.is_none() && *enable { '+' } else { '~' };
            let act = match action {
                UnitAction::None => "",
                UnitAction::Start => ", starts",
                UnitAction::Restart => ", restarts",
            };
            let because = match unit_reasons(*enable, found) {
                reasons if reasons.is_empty() => String::new(),
                reasons => format!(" ({})", sentence(&reasons)),
            };
            let change = before.as_deref().map_or_else(String::new, |before| {
                diff(Some(before), resource.and_then(content))
            });
            let found: String = found.iter().map(found_lines).collect();
            format!("  {sign} {name}{act}{because}\n{change}{found}")
        }
    }
}

/// The lines that tell of something beside a unit's own file.
fn found_lines(found: &UnitFinding) -> String {
    match found {
        // The unit's own line says it.
        UnitFinding::File { .. }
        | UnitFinding::NotRunning { .. }
        | UnitFinding::InputChanges { .. }
        | UnitFinding::Inputs {} => String::new(),
        UnitFinding::Override { path, content } => {
            let content = content.as_deref().map_or_else(
                || "      (content is not shown)\n".to_owned(),
                |content| {
                    content.lines().fold(String::new(), |mut text, line| {
                        text.push_str(&indent(&format!("-{line}")));
                        text
                    })
                },
            );
            let path = sentence(path);
            format!("    - {path} (removed; the node's journal keeps it)\n{content}")
        }
        UnitFinding::Arguments { foreign, lacking } => {
            let lines = |what: &str, words: &[String]| {
                words.iter().fold(String::new(), |mut text, word| {
                    let _ = writeln!(text, "      its process {what} {}", sentence(word));
                    text
                })
            };
            lines("was given", foreign) + &lines("lacks", lacking)
        }
        UnitFinding::Executable { path, running } => {
            format!(
                "      its process executes {}, not what is at {} now\n",
                sentence(running),
                sentence(path)
            )
        }
    }
}

/// A resource by the name people know it by.
fn describe(resource: &Resource) -> String {
    match resource {
        Resource::User(user) => format!("user {}", user.name),
        Resource::Directory(directory) => {
            format!("directory {} {:04o}", directory.path, directory.access.mode)
        }
        Resource::File(file) => format!("file {} {:04o}", file.path, file.access.mode),
        Resource::Symlink(link) => format!("link {} -> {}", link.path, link.target),
        Resource::SharedSecret(secret) => format!("secret {} (content is not shown)", secret.path),
        Resource::Certificate(certificate) => {
            format!(
                "certificate {} ({})",
                certificate.certificate_path, certificate.common_name
            )
        }
        Resource::Sysctl(sysctl) => format!("sysctl {}={}", sysctl.key, sysctl.value),
        Resource::KernelModule(module) => format!("kernel module {}", module.name),
        Resource::SwapOff(_) => "swap off".to_owned(),
        Resource::Binary(binary) => format!("binary {} {} {}", binary.path, binary.name, binary.version),
        Resource::Image(image) => format!("image {}", image.reference),
        Resource::Routing(_) => "routes to pods and masquerading".to_owned(),
        Resource::Unit(unit) => format!("unit {}", unit.name),
    }
}

fn content(resource: &Resource) -> Option<&str> {
    match resource {
        Resource::File(file) => Some(&file.content),
        Resource::Unit(unit) => Some(&unit.content),
        _ => None,
    }
}

fn diff(before: Option<&str>, after: Option<&str>) -> String {
    let (Some(before), Some(after)) = (before, after) else {
        return "      (content is not shown)\n".to_owned();
    };
    indent(&unified(before, after))
}

fn indent(text: &str) -> String {
    text.lines().fold(String::new(), |mut indented, one| {
        let _ = writeln!(indented, "      {}", line(one));
        indented
    })
}
