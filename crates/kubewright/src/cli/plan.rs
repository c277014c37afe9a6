//! `kubewright plan`.

use std::collections::BTreeMap;

use kubewright_control::observe::Observation;
use kubewright_control::session::Purpose;
use kubewright_core::plan::{Plan, plan_apply, text};
use kubewright_core::{catalogue, offline};

use super::{cluster_file, session};
use crate::failure::{Failure, Kind};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Arguments of `plan`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Show what a blank set of machines would get, without talking to any
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Plans for machines nobody has looked at.
pub(crate) fn run_offline(flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let file = cluster_file::read(flags, ui)?;
    let release = catalogue::release(&file.cluster.kubernetes)
        .ok_or_else(|| Failure::new(Kind::User, "this Kubernetes version is not in the catalogue"))?;
    let blank =
        offline::blank(&file.cluster, &release).map_err(|error| Failure::from_error(Kind::User, &error))?;
    let plan = plan_apply(&file.cluster, &blank.states, &blank.objects, &blank.observed)
        .map_err(|refusal| session::failure(&refusal.into()))?;
    ui.result(&plan, || text::render(&plan, &blank.states, &BTreeMap::new()))
}

/// Plans for the machines as they are.
pub(crate) async fn run(_arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let opened = session::open("plan", flags, ui)?;
    let observation = opened.observe(Purpose::Read).await?;
    let plan = make(&opened.file.cluster, &observation)?;
    ui.result(&plan, || show(&plan, &observation))
}

/// Makes the plan of an apply.
pub(crate) fn make(
    cluster: &kubewright_core::spec::Cluster,
    observation: &Observation,
) -> Result<Plan, Failure> {
    plan_apply(
        cluster,
        &observation.states,
        &observation.objects,
        &observation.observed,
    )
    .map_err(|refusal| session::failure(&refusal.into()))
}

/// The plan as text.
pub(crate) fn show(plan: &Plan, observation: &Observation) -> String {
    let objects = observation
        .observed
        .api
        .as_ref()
        .map(|api| api.objects.clone())
        .unwrap_or_default();
    text::render(plan, &observation.states, &objects)
}
