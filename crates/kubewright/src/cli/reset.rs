//! `kubewright reset`.

use kubewright_control::session::Purpose;
use kubewright_core::plan::{plan_reset, text};
use std::sync::Arc;

use super::run::perform;
use super::run::question::declined;
use super::{session, stopped};
use crate::failure::Failure;
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Arguments of `reset`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {}

/// Asks, then takes the cluster down.
pub(crate) async fn run(_arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let opened = session::open("reset", flags, ui)?;
    let cluster = &opened.file.cluster;
    let look = opened.look_before_reset(Purpose::Change).await?;
    let plan = plan_reset(cluster, &look.observed).map_err(|refusal| session::failure(&refusal.into()))?;
    let observed = look.observed.clone();
    let run_context = Arc::new(look.into_run_context(&opened.session));
    if !flags.yes {
        ui.say(&format!(
            "This deletes cluster {}: the etcd data with all Kubernetes objects and Secrets, and all pods with their local \
             data on {}. It cannot be undone. Mounted volumes are not entered.",
            cluster.name,
            text::count(cluster.nodes.len(), "node"),
        ));
        if !ui.confirm("Delete the cluster?")? {
            return Err(declined());
        }
    }
    let again = stopped::command("reset", &opened.file.path, &[], session::Skipping::default());
    let outcome = perform(&plan, &run_context, &observed, &opened, &again, ui).await?;
    ui.say("the machines can be used again; kubewright apply creates a new cluster on them");
    ui.result(&outcome.changed, || text::count(outcome.changed, "change"))
}
