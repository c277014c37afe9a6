//! Control planes that become members of an etcd that serves, one after the other.
//!
//! The members take a new one in as a learner: it is sent all data, does not vote and does not count for the quorum. When it
//! has caught up it is made a voter, and only then its API server starts. A join that was interrupted is seen from
//! etcd's list of members, and goes on from there. See <https://etcd.io/docs/v3.6/learning/design-learner/>.

use super::Recipe;
use super::control_planes::Before;
use crate::observed::{Membership, peer_url};
use crate::plan::rules::quorum::ControlPlane;
use crate::plan::{Deferred, Guard, Refusal, Step, StepId, StepKind};
use crate::resource::Stage;

/// Until a learner has all data: 8 GiB, the most that etcd holds, at 100 Mbit/s, are sent in eleven minutes.
const CATCH_UP_TIMEOUT_SECONDS: u32 = 900;

impl<'a> Recipe<'a> {
    /// Sets aside control planes that cannot join now because a member is not well that this plan does not repair.
    ///
    /// # Errors
    /// [`Refusal::Quorum`] when something else of etcd is in the way.
    pub(in crate::plan) fn defer_joining(&mut self) -> Result<(), Refusal> {
        let seen = self.seen();
        let against = seen.against_joining();
        let members: Vec<&str> = seen.members();
        let is_repaired = |one: &ControlPlane| one.is_well() || one.is_touched || one.is_starting();
        let unwell = members
            .iter()
            .filter(|name| !is_repaired(&self.control_plane(name)));
        let waits_for: Vec<String> = unwell.map(|name| (*name).to_owned()).collect();
        if against.is_empty() && waits_for.is_empty() {
            return Ok(());
        }
        for name in seen.joining() {
            let differences = self.observed.nodes.get(name).map(|seen| &seen.differences);
            let differences = differences.filter(|differences| !differences.is_empty());
            self.held_back.insert(name.to_owned());
            // A learner that only lacks its vote is told of in a note.
            let Some(differences) = differences else { continue };
            if !against.is_empty() {
                return Err(Refusal::Quorum {
                    node: name.to_owned(),
                    obstacles: against,
                });
            }
            self.deferred.push(Deferred {
                node: name.to_owned(),
                waits_for: waits_for.clone(),
                joins: true,
                differences: differences.clone(),
            });
        }
        Ok(())
    }

    /// The control planes that vote, or will when the plan is done.
    pub(super) fn taking_part(&self) -> Vec<&'a str> {
        let mut names = self.control_planes();
        names.retain(|name| !self.held_back.contains(*name));
        names
    }

    /// Takes one control plane in; gives what whoever comes next has to come after.
    pub(super) fn join(&mut self, name: &str, members: &[&str], before: &Before) -> Vec<StepId> {
        let Some(node) = self.cluster.node(name) else {
            return Vec::new();
        };
        let peer_url = peer_url(node.address);
        let through: Vec<String> = members.iter().map(|member| (*member).to_owned()).collect();
        let guard = vec![Guard::ControlPlanesHealthy {
            nodes: through.clone(),
        }];
        let mut after = vec![StepId::converge(name, Stage::Host)];
        after.extend(before.repaired.iter().cloned());
        let etcd = self.observed.etcd.as_ref();
        let is_listed = etcd.is_some_and(|etcd| matches!(etcd.membership(node), Membership::Listed(_)));
        if !is_listed {
            let step = Step::AddMember {
                node: name.to_owned(),
                peer_url: peer_url.clone(),
                through: through.clone(),
            };
            let why = "it is sent all data, and does not vote yet";
            let id = StepId::on(name, StepKind::AddMember);
            after.push(self.graph.add(id, step, why, after.clone()));
            self.graph.take_turns(before.last.clone());
            self.graph.guard(guard.clone());
        }
        let member = self.converge(name, Stage::Etcd, after.clone());
        if let Some(member) = member {
            self.graph.take_turns(before.last.clone());
            after.push(member);
        }
        let step = Step::PromoteMember {
            node: name.to_owned(),
            peer_url,
            through,
            timeout_seconds: CATCH_UP_TIMEOUT_SECONDS,
        };
        let why = "it has all data";
        let id = StepId::on(name, StepKind::PromoteMember);
        after.push(self.graph.add(id, step, why, after.clone()));
        self.graph.take_turns(before.last.clone());
        self.graph.guard(guard);
        after.push(self.wait_for_etcd(name, after.clone()));
        after.extend(self.converge(name, Stage::ControlPlane, after.clone()));
        vec![self.wait_for_api(name, after)]
    }
}
