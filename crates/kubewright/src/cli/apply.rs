//! `kubewright apply`.

use std::path::PathBuf;
use std::time::Instant;

use kubewright_control::execute::{Outcome, RunContext, Verification};
use kubewright_control::observe::Observation;
use kubewright_control::session::Purpose;
use kubewright_core::check::{Finding, Severity};
use kubewright_core::observed::{Counters, Observed};
use kubewright_core::plan::{Plan, Refusal, SavedPlan, explain, text};

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
    #[command(flatten)]
    skipping: session::Skipping,
}

/// How many of the slowest steps the closing words name.
const SLOWEST: usize = 5;

/// Looks, plans, asks, does.
pub(crate) async fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let begun = Instant::now();
    let opened = session::open("apply", flags, ui)?.lacking(arguments.skipping.into());
    let saved = arguments.plan.as_deref().map(saved_plan::read).transpose()?;
    let observation = opened.observe(Purpose::Change).await?;
    let (all, mut made) = choose(arguments, saved.as_ref(), &opened, &observation)?;
    if flags.yes || made.steps.is_empty() {
        session::tell_absent(&observation.observed, ui);
    }
    if made.steps.is_empty() {
        ui.say(&if all.steps.is_empty() {
            format!(
                "cluster {} matches {}",
                opened.file.cluster.name,
                flags.file.display()
            )
        } else {
            format!("no changes on {}", arguments.only.join(", "))
        });
        return ui.result(
            &Summary::of(&Outcome::default(), &observation.run_context),
            || text::summary(&made),
        );
    }
    for line in operations::unfinished(&observation.run_context, &observation.observed, &opened).await {
        ui.say(&line);
    }
    if !observation.observed.is_bootstrapped() {
        refuse_findings(&opened, &observation.observed, ui).await?;
    }
    if !flags.yes {
        let question = Question {
            cluster: &opened.file.cluster,
            show: &|plan| plan::show(plan, &observation),
            explain: &explain,
        };
        made = question.ask(&all, made, ui)?;
    }
    // A saved plan does not hold any more once part of it is done: the rest is planned again, for the same nodes.
    let only = saved.as_ref().map_or(&arguments.only, |saved| &saved.only);
    let again = stopped::command("apply", &opened.file.path, only, arguments.skipping);
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
    ui.result(&Summary::of(&outcome, &observation.run_context), || {
        text::count(outcome.changed, "change")
    })
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

/// What would make a first apply fail is told before anything is changed.
async fn refuse_findings(opened: &session::Opened, observed: &Observed, ui: &Ui) -> Result<(), Failure> {
    let report = check::look(opened).await;
    // Whoever is left out need not be ready.
    let is_left_out = |node: &String| observed.unreachable.contains_key(node);
    let is_error = |finding: &Finding| {
        finding.severity == Severity::Error && !finding.node.as_ref().is_some_and(is_left_out)
    };
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
    steps: std::collections::BTreeMap<String, f64>,
    /// What the nodes' agents did, all together.
    work: Counters,
}

impl Summary {
    fn of(outcome: &Outcome, run_context: &RunContext) -> Self {
        let steps = outcome
            .finished
            .iter()
            .map(|(id, seconds)| (id.to_string(), *seconds))
            .collect();
        Self {
            changed: outcome.changed,
            steps,
            work: run_context.counters(),
        }
    }
}
