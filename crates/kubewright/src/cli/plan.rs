//! `kubewright plan`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use kubewright_control::addon;
use kubewright_control::observe::Observation;
use kubewright_control::session::Purpose;
use kubewright_core::observed::{Marker, Observed};
use kubewright_core::plan::{Making, Plan, PlanDocument, SavedPlan, plan_apply, restrict, text};
use kubewright_core::spec::Cluster;
use kubewright_core::{catalogue, offline};

use super::{cluster_file, saved_plan, session};
use crate::failure::{ErrorId, Failure, Kind};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Arguments of `plan`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Plan for empty machines, without connecting to any
    #[arg(long)]
    pub(crate) offline: bool,
    /// Save the plan, for kubewright apply --plan FILE
    #[arg(long, value_name = "FILE", conflicts_with = "offline")]
    out: Option<PathBuf>,
    /// Limit the plan to these nodes (cluster-wide steps they depend on are included)
    #[arg(long, value_name = "NODE,…", value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    skipping: session::Skipping,
}

/// Plans for machines nobody has looked at.
pub(crate) fn run_offline(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let file = cluster_file::read(flags, ui)?;
    let cluster = &file.cluster;
    let release = catalogue::release(&cluster.kubernetes)
        .ok_or_else(|| Failure::named(ErrorId::VersionUnknown, "unknown Kubernetes version"))?;
    let addons = addon::objects(cluster, &file.directory()).map_err(|error| session::failure(&error))?;
    let blank =
        offline::blank(cluster, &release, addons).map_err(|error| Failure::from_error(Kind::User, &error))?;
    let (states, objects) = (&blank.desired.states, blank.desired.object_names());
    let plan = plan_apply(cluster, states, &objects, &blank.observed)
        .map_err(|refusal| session::failure(&refusal.into()))?;
    let plan = only(plan, &arguments.only, cluster)?;
    ui.result(&document(&plan, cluster, &arguments.only), || {
        text::render(&plan, states, &BTreeMap::new())
    })
}

/// Plans for the machines as they are.
pub(crate) async fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let opened = session::open("plan", flags, ui)?.with_policy(arguments.skipping.into());
    let cluster = &opened.file.cluster;
    let observation = opened.observe(Purpose::Read).await?;
    let plan = only(make(cluster, &observation)?, &arguments.only, cluster)?;
    ui.result(&document(&plan, cluster, &arguments.only), || {
        show(&plan, &observation)
    })?;
    let Some(path) = &arguments.out else {
        return Ok(());
    };
    let making = Making {
        kubewright: env!("CARGO_PKG_VERSION"),
        cluster: cluster.name.as_str(),
        cluster_id: cluster_id(&observation.observed),
        at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        by: &opened.session.operator,
        only: &arguments.only,
    };
    let made_from = observation.made_from(&opened.session);
    saved_plan::write(path, &SavedPlan::new(plan, made_from, making))?;
    ui.say(&format!(
        "saved in {0}; to apply exactly this plan, run: kubewright apply --plan {0}",
        path.display()
    ));
    Ok(())
}

/// Makes the plan of an apply.
pub(crate) fn make(cluster: &Cluster, observation: &Observation) -> Result<Plan, Failure> {
    plan_apply(
        cluster,
        &observation.desired.states,
        &observation.desired.object_names(),
        &observation.observed,
    )
    .map_err(|refusal| session::failure(&refusal.into()))
}

/// Restricts a plan to the named nodes, if any are named.
pub(crate) fn only(plan: Plan, names: &[String], cluster: &Cluster) -> Result<Plan, Failure> {
    if names.is_empty() {
        return Ok(plan);
    }
    let known = |name: &&String| cluster.node(name).is_none();
    if let Some(unknown) = names.iter().find(known) {
        let known: Vec<&str> = cluster.nodes.iter().map(|node| node.name.as_str()).collect();
        return Err(Failure::new(Kind::User, format!("there is no node {unknown:?}"))
            .hint(format!("the nodes are: {}", known.join(", "))));
    }
    let nodes: BTreeSet<String> = names.iter().cloned().collect();
    restrict(&plan, &nodes).map_err(|refusal| session::failure(&refusal.into()))
}

/// The plan for programs.
fn document(plan: &Plan, cluster: &Cluster, only: &[String]) -> PlanDocument {
    PlanDocument::new(plan, cluster.name.as_str(), only)
}

/// The plan as text.
pub(crate) fn show(plan: &Plan, observation: &Observation) -> String {
    let objects = observation
        .observed
        .api
        .as_ref()
        .map(|api| api.objects.clone())
        .unwrap_or_default();
    text::render(plan, &observation.desired.states, &objects)
}

/// The cluster's id, as the nodes remember it.
pub(super) fn cluster_id(observed: &Observed) -> Option<String> {
    let markers = observed
        .nodes
        .values()
        .filter_map(|node| node.facts.marker.as_ref());
    markers
        .map(|marker: &Marker| marker.cluster_id.clone())
        .find(|id| !id.is_empty())
}
