//! `kubewright undo`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use kubewright_control::observe::UnreachablePolicy;
use kubewright_control::operation_log::{OperationLog, begun};
use kubewright_control::report::{Event, Reporter as _, Silent};
use kubewright_control::session::Purpose;
use kubewright_core::journal::Undone;
use kubewright_core::operation_log::Ending;
use kubewright_core::plan::{StepId, StepKind, may_disturb, text};
use kubewright_core::shown;
use kubewright_core::spec::Node;

use super::operations::{directory, time};
use super::run::question::declined;
use super::session;
use crate::failure::{Failure, Kind};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Arguments of `undo`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The node to roll back
    #[arg(long, value_name = "NAME")]
    node: String,
}

/// Shows what the node's journal can put back, asks, has it put back.
pub(crate) async fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    // Who else is there is asked for a control plane only, and is judged by the rule.
    let opened = session::open("undo", flags, ui)?.with_policy(UnreachablePolicy::OneControlPlane);
    let name = arguments.node.as_str();
    let Some(of_file) = opened.file.cluster.node(name) else {
        return Err(Failure::new(
            Kind::User,
            format!("{} has no node {name:?}", flags.file.display()),
        ));
    };
    let failed = |error| opened.with_log(session::failure(&error));
    let node = opened
        .session
        .connect_to(of_file, Purpose::Change, &opened.reporter())
        .await;
    opened.progress.finish();
    let node = node.map_err(failed)?;
    let would = node.undo(true).await.map_err(|error| failed(error.into()))?;
    ui.say(&tell(&would, name, "can roll back"));
    if would.restored.is_empty() {
        node.goodbye().await;
        return ui.result(&would, || "0 changes".to_owned());
    }
    refuse_disturbing(&opened, of_file).await?;
    if !flags.yes && !ui.confirm(&format!("Roll this back on {name}?"))? {
        return Err(declined());
    }
    if !flags.yes {
        // The question may have been open for long.
        refuse_disturbing(&opened, of_file).await?;
    }
    let mut begun = begun(&opened.session, "undo", opened.file.path.display().to_string());
    (begun.steps, begun.changes) = (1, would.restored.len() as u64);
    let keeper = of_file
        .is_control_plane()
        .then(|| BTreeMap::from([(name.to_owned(), node.clone())]));
    let log = OperationLog::begin(
        &opened.session,
        begun,
        &keeper.unwrap_or_default(),
        Some(directory(&opened)),
        Arc::new(Silent),
    )
    .await;
    let step = StepId::on(name, StepKind::Undo);
    let title = format!("undo run {}", would.run);
    log.event(&Event::StepStarted {
        step: step.clone(),
        node: Some(name.to_owned()),
        title: title.clone(),
    });
    match node.undo(false).await {
        Ok(undone) => {
            let changed = undone.restored.len();
            log.event(&Event::StepFinished {
                step,
                node: Some(name.to_owned()),
                title,
                changed,
                seconds: 0.0,
            });
            log.finish(Ending::Done, changed).await;
            node.goodbye().await;
            if undone != would {
                ui.say(&tell(&undone, name, "rolled back"));
            }
            ui.say("next: kubewright plan shows what differs from cluster.yaml");
            ui.result(&undone, || text::count(changed, "change"))
        }
        Err(error) => {
            let error = kubewright_control::error::Error::from(error);
            log.event(&Event::StepFailed {
                step,
                node: Some(name.to_owned()),
                id: error.id,
                error: error.to_string(),
            });
            log.finish(Ending::Failed, 0).await;
            let again = super::stopped::command("undo", &opened.file.path, &[], session::Skipping::default());
            Err(failed(error)
                .stopping()
                .hint(format!("to continue, run: {again} --node {name}")))
        }
    }
}

/// Lets nothing through that may restart a part of a control plane the cluster cannot do without now.
async fn refuse_disturbing(opened: &session::Opened, node: &Node) -> Result<(), Failure> {
    if !node.is_control_plane() {
        return Ok(());
    }
    let look = opened.first_look(Purpose::Read).await?;
    let guards = opened.session.guards(&look.nodes, &look.authorities);
    let observed = guards.look().await;
    may_disturb(node.name.as_str(), &opened.file.cluster, &observed)
        .map_err(|refusal| session::failure(&refusal.into()))
}

/// What is rolled back and what is not.
fn tell(undone: &Undone, node: &str, verb: &str) -> String {
    let mut told = format!(
        "run {} of {} at {} on {node}: {verb} {}\n",
        undone.run,
        undone.operator,
        time(undone.begun.saturating_mul(1000)),
        text::count(undone.restored.len(), "resource"),
    );
    for resource in &undone.restored {
        let _ = writeln!(told, "  {}", shown::line(resource.as_str()));
    }
    if !undone.left.is_empty() {
        let _ = writeln!(told, "these cannot be rolled back:");
    }
    for left in &undone.left {
        let _ = writeln!(
            told,
            "  {}: {}",
            shown::line(left.resource.as_str()),
            shown::line(&left.why)
        );
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use kubewright_core::journal::Left;
    use kubewright_core::resource::ResourceId;

    #[test]
    fn tells_what_is_put_back_and_what_stays() {
        let undone = Undone {
            run: "5f0c".to_owned(),
            operator: "ada@ws".to_owned(),
            begun: 1_767_323_045,
            restored: vec![
                ResourceId::new("file", "/etc/a"),
                ResourceId::new("unit", "etcd.service"),
            ],
            left: vec![Left {
                resource: ResourceId::new("image", "pause:1"),
                why: "images stay in the runtime's store".to_owned(),
            }],
        };
        insta::assert_snapshot!(tell(&undone, "cp-1", "can roll back"), @r"
        run 5f0c of ada@ws at 2026-01-02 03:04:05Z on cp-1: can roll back 2 resources
          file:/etc/a
          unit:etcd.service
        these cannot be rolled back:
          image:pause:1: images stay in the runtime's store
        ");
    }
}
