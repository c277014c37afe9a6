//! After a run: what it changed is looked at once more, all of it at once, each node with one question.
//!
//! A step succeeds when what it did succeeded. Whether that still holds when the last one is done, nobody has asked: a
//! process may have ended meanwhile, and the members of etcd may be others than cluster.yaml has.

use std::collections::BTreeSet;

use kubewright_core::observed::{Difference, Founders, ObservedEtcd};
use kubewright_core::plan::{Plan, Step};
use kubewright_core::resource::Stage;
use kubewright_core::shown::sentence;
use kubewright_core::spec::Cluster;

use super::RunContext;

/// How many differences of one node are told one by one.
const TOLD: usize = 5;

/// What the second look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// The nodes that were looked at.
    pub nodes: usize,
    /// What is not as it was applied, one line each; nothing when all of it is verified.
    pub not_so: Vec<String>,
}

/// Looks once more at what a plan that was carried out has changed.
pub async fn verify(plan: &Plan, run_context: &RunContext) -> Verification {
    let converged = |step: &Step| match step {
        Step::Converge { node, .. } => Some(node.clone()),
        _ => None,
    };
    let changed: BTreeSet<String> = plan
        .steps
        .iter()
        .filter_map(|planned| converged(&planned.step))
        .collect();
    let looks = changed.iter().map(|name| look_at(run_context, name, plan));
    let members = async {
        let touches_etcd = |step: &Step| {
            matches!(
                step,
                Step::Converge {
                    stage: Stage::Etcd,
                    ..
                }
            )
        };
        if !plan.steps.iter().any(|planned| touches_etcd(&planned.step)) {
            return Vec::new();
        }
        let (cluster, seen) = run_context.guards.members().await;
        other_members(cluster, &seen)
    };
    let (nodes, members) = tokio::join!(futures::future::join_all(looks), members);
    Verification {
        nodes: changed.len(),
        not_so: nodes.into_iter().flatten().chain(members).collect(),
    }
}

/// How a node differs from what it has when the run is done.
async fn look_at(run_context: &RunContext, name: &str, plan: &Plan) -> Vec<String> {
    let (Some(node), Some(state)) = (run_context.nodes.get(name), run_context.desired.lasting(name)) else {
        return vec![format!(
            "{name} was not looked at: there is no connection with it"
        )];
    };
    match node.inspect(state, false).await {
        Ok(mut inspection) => {
            let mut waiting = plan.deferred.iter().filter(|deferred| deferred.node == name);
            let waits: Option<Vec<_>> = waiting.next().map(|one| {
                one.differences
                    .iter()
                    .map(|difference| &difference.resource)
                    .collect()
            });
            if let Some(waits) = waits {
                inspection
                    .differences
                    .retain(|difference| !waits.contains(&&difference.resource));
            }
            told(name, &inspection.differences)
        }
        Err(error) => vec![format!("{name} was not looked at: {error}")],
    }
}

fn told(name: &str, differences: &[Difference]) -> Vec<String> {
    let line = |difference: &Difference| {
        let resource = sentence(difference.resource.as_str());
        format!("{name}: {resource} is not as it was applied")
    };
    let mut told: Vec<String> = differences.iter().take(TOLD).map(line).collect();
    if differences.len() > TOLD {
        told.push(format!("{name}: and {} more", differences.len() - TOLD));
    }
    told
}

/// What is wrong with the members of etcd: they are one cluster, of the control planes and nobody else.
fn other_members(cluster: &Cluster, seen: &ObservedEtcd) -> Vec<String> {
    let clusters = seen.clusters();
    if clusters.len() > 1 {
        let each: Vec<String> = clusters.iter().map(ToString::to_string).collect();
        return vec![format!(
            "etcd is {} clusters: {}",
            clusters.len(),
            each.join("; ")
        )];
    }
    let Some(members) = &seen.members else {
        return vec!["no member of etcd tells which members there are".to_owned()];
    };
    let wanted = Founders::of(cluster);
    let is_there = |name: &str| members.iter().any(|member| member.name == name);
    let missing = wanted.0.keys().filter(|name| !is_there(name));
    let missing = missing.map(|name| format!("{name} is not a member of etcd"));
    let unknown = seen.unknown_members(cluster).into_iter();
    let unknown = unknown.map(|member| {
        format!(
            "etcd has a member \"{}\" on no control plane of cluster.yaml",
            sentence(&member.name)
        )
    });
    missing.chain(unknown).collect()
}

#[cfg(test)]
mod tests {
    use kubewright_core::observed::{EtcdMember, EtcdStatus};
    use kubewright_core::spec::parse;

    use super::*;

    fn cluster() -> Cluster {
        let nodes = [1, 2, 3].map(|number| {
            format!("    - {{ name: cp-{number}, address: 192.0.2.{number}, roles: [control-plane] }}\n")
        });
        let nodes = nodes.concat();
        let text = format!(
            "apiVersion: kubewright/v1alpha1\nkind: Cluster\nmetadata: {{ name: prod }}\nspec:\n  nodes:\n{nodes}"
        );
        parse(&text, "cluster.yaml").unwrap().spec
    }

    /// What members of the control planes tell, each of a cluster with an id.
    fn seen(members: &[&str], clusters: [u64; 3]) -> ObservedEtcd {
        let member = |(id, name): (u64, &&str)| EtcdMember {
            id,
            name: (*name).to_owned(),
            ..EtcdMember::default()
        };
        let status = |(member_id, cluster_id): (u64, u64)| {
            let status = EtcdStatus {
                member_id,
                cluster_id,
                ..EtcdStatus::default()
            };
            (format!("cp-{member_id}"), Ok(status))
        };
        ObservedEtcd {
            members: Some((1..).zip(members).map(member).collect()),
            own: (1..).zip(clusters).map(status).collect(),
            ..ObservedEtcd::default()
        }
    }

    #[test]
    fn members_are_the_control_planes_of_one_cluster() {
        let right = seen(&["cp-1", "cp-2", "cp-3"], [7, 7, 7]);
        assert_eq!(other_members(&cluster(), &right), Vec::<String>::new());
        let fewer = seen(&["cp-1", "cp-2", "db-9"], [7, 7, 7]);
        let said = other_members(&cluster(), &fewer);
        assert!(said[0].contains("cp-3 is not a member"), "{said:?}");
        let two = seen(&["cp-1", "cp-2", "cp-3"], [7, 8, 8]);
        let said = other_members(&cluster(), &two);
        assert!(said[0].starts_with("etcd is 2 clusters: 7 on cp-1"), "{said:?}");
    }
}
