//! Moves etcd's leadership to a healthy member before the one that leads is restarted (rule R4).
//!
//! A leader that just ends leaves the cluster without one until the others notice, and every write waits meanwhile; one that
//! hands over is away for the time of a message. It is a courtesy: where nobody can take over, or somebody does not answer
//! in time, the restart goes on as it was planned, and the members elect a leader by themselves.

use std::time::Duration;

use kubewright_core::observed::EtcdMember;

use crate::etcd::EtcdConnections;

/// How long it may take altogether, on a usual node.
const WITHIN: Duration = Duration::from_secs(10);

/// Moves the leadership off the member of a node, if that leads.
pub(super) async fn move_off(connections: &dyn EtcdConnections, node: &str) {
    let within = connections.pace(node).bound(WITHIN);
    match tokio::time::timeout(within, hand_over(connections, node)).await {
        Ok(Ok(None)) => {}
        Ok(Ok(Some(to))) => tracing::info!(node, to, "etcd's leadership moved"),
        Ok(Err(error)) => tracing::warn!(node, error, "etcd's leadership stays where it is"),
        Err(_) => tracing::warn!(node, "etcd's leadership stays where it is: no answer in time"),
    }
}

/// Gives the name of the member that leads now; `None` when the node's own did not.
async fn hand_over(connections: &dyn EtcdConnections, node: &str) -> Result<Option<String>, String> {
    let leader = connections.reach(node).await?;
    let own = leader.status().await?;
    if !own.is_leader {
        return Ok(None);
    }
    let members = leader.members().await?;
    let voters =
        |member: &&EtcdMember| member.is_started() && !member.is_learner && member.id != own.member_id;
    for member in members.iter().filter(voters) {
        if sees_leader(connections, member).await {
            leader.move_leader(member.id).await?;
            return Ok(Some(member.name.clone()));
        }
    }
    Err("no other member is healthy".to_owned())
}

/// Whether a member answers and sees a leader: one that does not would not win the election.
async fn sees_leader(connections: &dyn EtcdConnections, member: &EtcdMember) -> bool {
    let asked = async {
        let way = connections.reach(&member.name).await?;
        way.status().await
    };
    asked
        .await
        .is_ok_and(|status| status.has_leader && status.member_id == member.id)
}
