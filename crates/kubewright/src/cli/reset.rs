//! `kubewright reset`.

use kubewright_control::session::Purpose;
use kubewright_core::plan::{plan_reset, text};
use std::sync::Arc;

use super::run::perform;
use super::{session, stopped};
use crate::failure::{ErrorId, Failure};
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
            "cluster {} is taken down: etcd's data, all Secrets, all pods and their local data on {} are lost. \
             Volumes mounted from elsewhere are not entered.",
            cluster.name,
            text::count(cluster.nodes.len(), "node"),
        ));
        if !ui.confirm("Take it down?")? {
            return Err(Failure::named(ErrorId::NotConfirmed, "nothing was changed").hint("you answered no"));
        }
    }
    let again = stopped::command("reset", &opened.file.path, &[]);
    let outcome = perform(&plan, &run_context, &observed, &opened, &again, ui).await?;
    ui.say("the machines can be used again: kubewright apply builds a new cluster on them");
    ui.result(&outcome.changed, || text::count(outcome.changed, "change"))
}
