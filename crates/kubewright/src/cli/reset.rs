//! `kubewright reset`.

use std::sync::Arc;

use kubewright_control::session::Purpose;
use kubewright_core::observed::Observed;
use kubewright_core::plan::{plan_reset, text};
use kubewright_core::shown::shown;
use kubewright_core::spec::Cluster;

use super::run::perform;
use super::{session, stopped};
use crate::failure::{ErrorId, Failure, Kind};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Arguments of `reset`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The cluster's name, which --yes needs
    #[arg(long, value_name = "CLUSTER")]
    name: Option<String>,
}

/// Asks for the cluster's name, then deletes the cluster.
pub(crate) async fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let opened = session::open("reset", flags, ui)?;
    let cluster = &opened.file.cluster;
    let given = flags.yes.then(|| arguments.name.clone().unwrap_or_default());
    if let Some(name) = &given {
        refuse_other_name(name, cluster)?;
    }
    let look = opened.look_before_reset(Purpose::Change).await?;
    let plan = plan_reset(cluster, &look.observed).map_err(|refusal| session::failure(&refusal.into()))?;
    let observed = look.observed.clone();
    let run_context = Arc::new(look.into_run_context(&opened.session, Arc::default()));
    ui.say(&what_is_lost(cluster, &observed));
    if given.is_none() {
        let name = ui.answer("Type the cluster's name to delete it:")?;
        refuse_other_name(name.trim(), cluster)?;
    }
    let again = stopped::command("reset", &opened.file.path, &[], session::Skipping::default());
    let (outcome, _) = perform(&plan, &run_context, &observed, &opened, &again, ui).await?;
    ui.say("the machines can be used again; kubewright apply creates a new cluster on them");
    ui.result(&outcome.changed, || text::count(outcome.changed, "change"))
}

/// Which cluster, on which machines, and what goes with it.
fn what_is_lost(cluster: &Cluster, observed: &Observed) -> String {
    let nodes: Vec<String> = cluster
        .nodes
        .iter()
        .map(|node| format!("{} ({})", node.name, node.address))
        .collect();
    let markers = observed
        .nodes
        .values()
        .filter_map(|node| node.facts.marker.as_ref());
    let id = markers
        .map(|marker| marker.cluster_id.as_str())
        .find(|id| !id.is_empty());
    format!(
        "This deletes cluster {} ({}): the etcd data with all Kubernetes objects and Secrets, and all pods with their local \
         data on {}. It cannot be undone. Mounted volumes are not entered.",
        cluster.name,
        id.map_or_else(
            || "no id: the machines are not part of a cluster".to_owned(),
            |id| format!("id {}", shown(id))
        ),
        nodes.join(", "),
    )
}

/// Only the cluster's own name takes it down.
fn refuse_other_name(given: &str, cluster: &Cluster) -> Result<(), Failure> {
    let name = cluster.name.as_str();
    if given == name {
        return Ok(());
    }
    let failure = if given.is_empty() {
        Failure::new(Kind::User, "reset needs the cluster's name").hint(format!(
            "with --yes, add --name {name}, if that is the cluster to delete"
        ))
    } else {
        Failure::named(
            ErrorId::NotConfirmed,
            format!(
                "{:?} is not the cluster's name; nothing was changed",
                shown(given)
            ),
        )
        .hint(format!("cluster.yaml is about cluster {name}"))
    };
    Err(failure)
}

#[cfg(test)]
mod tests {
    use kubewright_core::observed::{Facts, Marker, ObservedNode};
    use kubewright_core::spec::parse;

    use super::*;

    fn cluster() -> Cluster {
        let text = "apiVersion: kubewright/v1alpha1\nkind: Cluster\nmetadata: { name: prod }\nspec:\n  nodes:\n    \
                    - { name: cp-1, address: 192.0.2.11, roles: [control-plane] }\n";
        parse(text, "cluster.yaml").unwrap().spec
    }

    #[test]
    fn says_which_cluster_on_which_machines() {
        let mut observed = Observed::default();
        let marker = Marker {
            cluster: "prod".to_owned(),
            cluster_id: "5f0c".to_owned(),
            ..Marker::default()
        };
        let facts = Facts {
            marker: Some(marker),
            ..Facts::default()
        };
        let node = ObservedNode {
            facts,
            ..ObservedNode::default()
        };
        let blank = what_is_lost(&cluster(), &observed);
        observed.nodes.insert("cp-1".to_owned(), node);
        let said = format!("{blank}\n{}", what_is_lost(&cluster(), &observed));
        insta::assert_snapshot!(said, @r"
        This deletes cluster prod (no id: the machines are not part of a cluster): the etcd data with all Kubernetes objects and Secrets, and all pods with their local data on cp-1 (192.0.2.11). It cannot be undone. Mounted volumes are not entered.
        This deletes cluster prod (id 5f0c): the etcd data with all Kubernetes objects and Secrets, and all pods with their local data on cp-1 (192.0.2.11). It cannot be undone. Mounted volumes are not entered.
        ");
    }

    #[test]
    fn only_the_clusters_own_name_takes_it_down() {
        assert!(refuse_other_name("prod", &cluster()).is_ok());
        let said = ["", "production"].map(|name| refuse_other_name(name, &cluster()).unwrap_err().render());
        insta::assert_snapshot!(said.concat(), @r#"
        error: reset needs the cluster's name [invalid-request]
          hint: with --yes, add --name prod, if that is the cluster to delete
        error: "production" is not the cluster's name; nothing was changed [not-confirmed]
          hint: cluster.yaml is about cluster prod
        "#);
    }
}
