//! `kubewright apply`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use kubewright_control::execute::{Outcome, RunContext, Verification};
use kubewright_control::observe::Observation;
use kubewright_control::session::Purpose;
use kubewright_core::check::{Finding, Scope};
use kubewright_core::observed::{Counters, Observed};
use kubewright_core::plan::{Deferred, Plan, Refusal, SavedPlan, deferred_text, explain, text};
use kubewright_core::shown::sentence;
use kubewright_core::spec::Cluster;

use super::run::perform;
use super::run::question::Question;
use super::{check, operations, plan, saved_plan, session, stopped};
use crate::failure::{ErrorId, Failure};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Arguments of `apply`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Apply exactly the plan that kubewright plan --out saved; refuse if anything has changed since
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Limit the run to these nodes (cluster-wide steps they depend on are included)
    #[arg(long, value_name = "NODE,…", value_delimiter = ',', conflicts_with = "plan")]
    only: Vec<String>,
    /// Leave a node that is not healthy after its change as it is, instead of taking the change back
    #[arg(long)]
    keep_failed: bool,
    #[command(flatten)]
    skipping: session::Skipping,
}

/// How many of the slowest steps the closing words name.
const SLOWEST: usize = 5;

/// Looks, plans, asks, does.
pub(crate) async fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut opened = session::open("apply", flags, ui)?.with_policy(arguments.skipping.into());
    opened.session.keep_failed = arguments.keep_failed;
    let saved = arguments.plan.as_deref().map(saved_plan::read).transpose()?;
    let observation = opened.observe(Purpose::Change).await?;
    let (all, mut made) = choose(arguments, saved.as_ref(), &opened, &observation)?;
    if flags.yes || made.steps.is_empty() {
        session::tell_absent(&observation.observed, ui);
        deferred_text(&made.deferred)
            .lines()
            .for_each(|line| ui.say(line));
    }
    // A saved plan does not hold any more once part of it is done: the rest is planned again, for the same nodes.
    let only = saved.as_ref().map_or(&arguments.only, |saved| &saved.only);
    let again = stopped::command("apply", &opened.file.path, only, arguments.skipping);
    if made.steps.is_empty() {
        ui.say(&if !all.steps.is_empty() {
            format!("no changes on {}", arguments.only.join(", "))
        } else if made.left_out.is_empty() {
            format!(
                "cluster {} matches {}",
                opened.file.cluster.name,
                flags.file.display()
            )
        } else {
            "no changes that can be made now".to_owned()
        });
        let summary = Summary::of(&made, &Outcome::default(), &observation.run_context);
        ui.result(&summary, || text::summary(&made))?;
        return refuse_incomplete(
            &made,
            &observation.observed,
            &opened.file.cluster,
            arguments.skipping,
            &again,
        );
    }
    for line in operations::unfinished(&observation.run_context, &observation.observed, &opened).await {
        ui.say(&line);
    }
    refuse_findings(&opened, &observation.observed, &made, ui).await?;
    if !flags.yes {
        let question = Question {
            cluster: &opened.file.cluster,
            show: &|plan| plan::show(plan, &observation),
            explain: &explain,
        };
        made = question.ask(&all, made, ui)?;
    }
    let (outcome, verification) = perform(
        &made,
        &observation.run_context,
        &observation.observed,
        &opened,
        &again,
        ui,
    )
    .await?;
    refuse_unverified(&verification)?;
    ui.say(&closing(
        &outcome,
        &verification,
        &made,
        begun.elapsed().as_secs_f64(),
    ));
    let summary = Summary::of(&made, &outcome, &observation.run_context);
    ui.result(&summary, || text::count(outcome.changed, "change"))?;
    refuse_incomplete(
        &made,
        &observation.observed,
        &opened.file.cluster,
        arguments.skipping,
        &again,
    )
}

/// What was left out because a node cannot be reached makes the run no full success, unless the operator said that these
/// nodes may be skipped.
fn refuse_incomplete(
    plan: &Plan,
    observed: &Observed,
    cluster: &Cluster,
    skipping: session::Skipping,
    again: &str,
) -> Result<(), Failure> {
    let is_worker = |name: &str| cluster.node(name).is_some_and(|node| !node.is_control_plane());
    let is_expected = |name: &str| skipping.skip_unreachable_workers && is_worker(name);
    let mut missing: Vec<&str> = plan.left_out.keys().map(String::as_str).collect();
    missing.extend(
        plan.deferred
            .iter()
            .flat_map(|deferred| &deferred.waits_for)
            .map(String::as_str),
    );
    missing.retain(|name| !is_expected(name));
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(", ");
    let what = format!("not everything could be done: {names} cannot be reached");
    let mut failure = Failure::named(ErrorId::Incomplete, what);
    for name in &missing {
        if let Some(why) = observed.unreachable.get(*name) {
            failure = failure.detail(format!("{name}: {}", sentence(why)));
        }
    }
    for line in deferred_text(&plan.deferred).lines() {
        failure = failure.detail(line);
    }
    Err(failure.hint(format!(
        "bring back {names} (kubewright check shows more), then run: {again}"
    )))
}

/// The whole plan, and the part of it that was asked for: the saved one, if it still holds.
fn choose(
    arguments: &Arguments,
    saved: Option<&SavedPlan>,
    opened: &session::Opened,
    observation: &Observation,
) -> Result<(Plan, Plan), Failure> {
    let cluster = &opened.file.cluster;
    let all = plan::make(cluster, observation)?;
    let Some(saved) = saved else {
        let part = plan::only(all.clone(), &arguments.only, cluster)?;
        return Ok((all, part));
    };
    let refused = |refusal: Refusal| session::failure(&refusal.into());
    let now = observation.made_from(&opened.session);
    saved.refuse_changed(&now).map_err(refused)?;
    let planned = plan::only(all, &saved.only, cluster)?;
    saved
        .refuse_other(&planned, env!("CARGO_PKG_VERSION"))
        .map_err(refused)?;
    Ok((planned.clone(), planned))
}

/// What would make a first apply fail is told before anything is changed: of all nodes when the cluster is new, of the new
/// ones when it lives.
async fn refuse_findings(
    opened: &session::Opened,
    observed: &Observed,
    plan: &Plan,
    ui: &Ui,
) -> Result<(), Failure> {
    let touched = plan.steps.iter().filter_map(|planned| planned.step.node());
    let scope = Scope::of_run(&opened.file.cluster, observed, touched);
    if scope == Scope::Nobody {
        return Ok(());
    }
    let mut report = check::look(opened, scope.only()).await;
    report.keep(|finding| scope.covers(finding));
    // Whoever is left out need not be ready.
    let is_left_out = |node: &String| observed.unreachable.contains_key(node);
    let is_error = |finding: &Finding| finding.is_error() && !finding.node.as_ref().is_some_and(is_left_out);
    if report.findings.iter().any(is_error) {
        return Err(Failure::named(
            ErrorId::ChecksFailed,
            "preflight checks failed; nothing was changed",
        )
        .findings(report.text(), &report.findings)
        .hint("fix every finding marked as error above; kubewright check runs the checks again"));
    }
    if !report.findings.is_empty() {
        ui.say(&report.text());
    }
    Ok(())
}

/// What is not as it was applied when the run is done makes it no success.
fn refuse_unverified(verification: &Verification) -> Result<(), Failure> {
    if verification.not_so.is_empty() {
        return Ok(());
    }
    let what = "everything was done, and a second look finds that not all of it holds";
    let failure = Failure::named(ErrorId::NotVerified, what);
    let not_so = verification.not_so.iter();
    Err(not_so
        .fold(failure, Failure::detail)
        .hint("kubewright plan shows what differs now, kubewright apply goes on from there"))
}

/// What was done and where the time went.
fn closing(outcome: &Outcome, verification: &Verification, plan: &Plan, seconds: f64) -> String {
    let mut slowest: Vec<_> = outcome.finished.iter().collect();
    slowest.sort_by(|one, other| other.1.total_cmp(one.1));
    let slowest: Vec<String> = slowest
        .iter()
        .take(SLOWEST)
        .map(|(id, seconds)| format!("{id} {seconds:.1} s"))
        .collect();
    format!(
        "{} in {seconds:.1} s; longest: {}\n{}next: kubewright kubeconfig gives access, kubewright smoke tests the cluster",
        text::changes(plan),
        slowest.join(", "),
        verified(verification),
    )
}

fn verified(verification: &Verification) -> String {
    match verification.nodes {
        0 => String::new(),
        nodes => format!(
            "verified: a second look at {} finds what was applied\n",
            text::count(nodes, "node")
        ),
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    changed: usize,
    steps: BTreeMap<String, f64>,
    /// Nodes that were left out because they cannot be reached, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    left_out: BTreeMap<String, String>,
    /// What waits until an unreachable control plane is back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deferred: Vec<Deferred>,
    /// What the nodes' agents did, all together.
    work: Counters,
}

impl Summary {
    fn of(plan: &Plan, outcome: &Outcome, run_context: &RunContext) -> Self {
        let steps = outcome
            .finished
            .iter()
            .map(|(id, seconds)| (id.to_string(), *seconds))
            .collect();
        Self {
            changed: outcome.changed,
            steps,
            left_out: plan.left_out.clone(),
            deferred: plan.deferred.clone(),
            work: run_context.counters(),
        }
    }
}

#[cfg(test)]
mod tests {
    use kubewright_core::observed::{Change, Difference};
    use kubewright_core::plan::Operation;
    use kubewright_core::resource::ResourceId;
    use kubewright_core::spec::parse;

    use super::*;

    /// What is said of a plan without these nodes, on which two changes of cp-1 wait where cp-3 is one of them.
    fn said(missing: &[&str], skip_unreachable_workers: bool) -> Result<(), Failure> {
        let nodes = [
            ("cp-1", "control-plane"),
            ("cp-2", "control-plane"),
            ("cp-3", "control-plane"),
            ("w-1", "worker"),
        ];
        let nodes = (1..).zip(nodes).map(|(number, (name, role))| {
            format!("    - {{ name: {name}, address: 192.0.2.{number}, roles: [{role}] }}\n")
        });
        let text = format!(
            "apiVersion: kubewright/v1alpha1\nkind: Cluster\nmetadata: {{ name: prod }}\nspec:\n  nodes:\n{}",
            nodes.collect::<String>()
        );
        let cluster = parse(&text, "cluster.yaml").unwrap().spec;
        let missing = missing
            .iter()
            .map(|name| ((*name).to_owned(), "no route to host".to_owned()));
        let observed = Observed {
            unreachable: missing.collect(),
            ..Observed::default()
        };
        let difference = |what: &str| Difference {
            resource: ResourceId::new("file", what),
            change: Change::Content { before: None },
        };
        let deferred = observed.unreachable.contains_key("cp-3").then(|| Deferred {
            joins: false,
            node: "cp-1".to_owned(),
            waits_for: vec!["cp-3".to_owned()],
            differences: vec![difference("/a"), difference("/b")],
        });
        let plan = Plan {
            operation: Operation::Apply,
            steps: Vec::new(),
            left_out: observed.unreachable.clone(),
            deferred: deferred.into_iter().collect(),
            notes: Vec::new(),
        };
        let skipping = session::Skipping {
            skip_unreachable_workers,
        };
        refuse_incomplete(&plan, &observed, &cluster, skipping, "kubewright apply")
    }

    #[test]
    fn what_waits_for_a_control_plane_is_said_with_an_exit_code_of_its_own() {
        let failure = said(&["cp-3"], true).unwrap_err();
        assert_eq!(failure.exit_code(), 4);
        insta::assert_snapshot!(failure.render(), @r"
        error: not everything could be done: cp-3 cannot be reached [incomplete]
          cp-3: no route to host
          cp-1: 2 changes that restart a part of the control plane wait for cp-3
          hint: bring back cp-3 (kubewright check shows more), then run: kubewright apply
        ");
    }

    #[test]
    fn workers_that_may_be_skipped_are_no_failure() {
        assert!(said(&["w-1"], true).is_ok());
        assert_eq!(said(&["w-1"], false).unwrap_err().exit_code(), 4);
        assert!(said(&[], false).is_ok());
    }
}
