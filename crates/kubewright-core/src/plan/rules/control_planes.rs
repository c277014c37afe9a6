//! How control planes are, from all that was seen of them: what a quorum knows of members, in values and in words.
//!
//! A node's own health endpoint does not tell the whole: a learner says that it is healthy, and while an alarm is raised
//! every member says that it is not. What was observed of etcd goes first; what a node says counts where nobody told.

use super::quorum::{ControlPlane, Elsewhere, MemberHealth, NotNow};
use crate::component::etcd::Filling;
use crate::founding::{EtcdStart, etcd_starts};
use crate::observed::{EtcdMember, Health, Membership, Observed, ObservedEtcd};
use crate::plan::{Obstacle, Refusal};
use crate::spec::Cluster;

/// The control planes of a cluster, as they were seen.
#[derive(Clone, Copy)]
pub(in crate::plan) struct ControlPlanes<'a> {
    cluster: &'a Cluster,
    observed: &'a Observed,
}

impl<'a> ControlPlanes<'a> {
    pub(in crate::plan) const fn of(cluster: &'a Cluster, observed: &'a Observed) -> Self {
        Self { cluster, observed }
    }

    /// Their names, in the order of cluster.yaml.
    pub(in crate::plan) fn names(&self) -> Vec<&'a str> {
        let names = self.cluster.control_planes();
        names.map(|node| node.name.as_str()).collect()
    }

    /// Those that are to join etcd: it serves without them, they are no members or learners only, and their data, if they
    /// have any, is a learner's.
    pub(in crate::plan) fn joining(&self) -> Vec<&'a str> {
        if !self.observed.is_bootstrapped() {
            return Vec::new();
        }
        let starts = etcd_starts(self.cluster, self.observed);
        let is_joining = |name: &&str| {
            matches!(starts.get(*name), Some(EtcdStart::Join(_)))
                || self.member(name) == MemberHealth::Learner
        };
        self.names().into_iter().filter(is_joining).collect()
    }

    /// The others: those that vote, or should.
    pub(in crate::plan) fn members(&self) -> Vec<&'a str> {
        let joining = self.joining();
        let mut names = self.names();
        names.retain(|name| !joining.contains(name));
        names
    }

    /// What keeps a control plane from being taken into etcd now, besides members that are not well: one more member makes
    /// the quorum larger (R5).
    pub(in crate::plan) fn against_joining(&self) -> Vec<Obstacle> {
        let mut obstacles = self.alarms();
        obstacles.extend(self.untold());
        obstacles.extend(self.unknown_voters());
        obstacles
    }

    /// A control plane that nothing changes.
    pub(in crate::plan) fn untouched(&self, name: &str) -> ControlPlane {
        let seen = self.observed.nodes.get(name);
        ControlPlane {
            etcd: self.member(name),
            api_server: seen.and_then(|node| node.facts.api_server),
            is_touched: false,
            restarts_etcd: false,
            restarts: false,
            joins: false,
        }
    }

    fn etcd(&self) -> Option<&'a ObservedEtcd> {
        self.observed.etcd.as_ref()
    }

    /// How the etcd member of a control plane is.
    fn member(&self, name: &str) -> MemberHealth {
        let seen = self.observed.nodes.get(name).map(|seen| &seen.facts);
        let own = match seen {
            // It has never written anything.
            Some(facts) if facts.etcd == Some(Health::Down) && !facts.has_etcd_data => {
                MemberHealth::Unstarted
            }
            Some(facts) => MemberHealth::from(facts.etcd),
            None => MemberHealth::Unknown,
        };
        let (Some(etcd), Some(node)) = (self.etcd(), self.cluster.node(name)) else {
            return own;
        };
        match etcd.membership(node) {
            Membership::Untold => own,
            Membership::Absent => MemberHealth::Absent,
            Membership::Listed(member) if member.is_learner => MemberHealth::Learner,
            Membership::Listed(member) if !member.is_started() => MemberHealth::Unstarted,
            Membership::Listed(_) => {
                let said = etcd.own.get(name).and_then(|own| own.as_ref().ok());
                let sees_leader = said.is_some_and(|said| said.has_leader);
                // Its health endpoint tells of the alarm, and of nothing else.
                if sees_leader && own != MemberHealth::Unknown && !etcd.alarms().is_empty() {
                    MemberHealth::Healthy
                } else {
                    own
                }
            }
        }
    }

    /// What is of etcd besides the members of the control planes.
    pub(in crate::plan) fn elsewhere(&self) -> Elsewhere {
        let Some(etcd) = self.etcd() else {
            return Elsewhere::default();
        };
        let serves = |name: &str| {
            let seen = self.observed.nodes.get(name);
            seen.is_some_and(|seen| seen.facts.etcd == Some(Health::Ready))
        };
        let mut names = self.cluster.control_planes().map(|node| node.name.as_str());
        let strangers = etcd.unknown_members(self.cluster).into_iter();
        Elsewhere {
            voters: strangers.filter(|member| !member.is_learner).count(),
            is_untold: etcd.members.is_none() && names.any(serves),
            has_alarm: !etcd.alarms().is_empty(),
        }
    }

    /// Why a control plane cannot have its turn.
    pub(in crate::plan) fn not_now(&self, names: &[&str], all: &[ControlPlane], not_now: &NotNow) -> Refusal {
        let unwell = not_now.unwell.iter().map(|index| Obstacle::ControlPlane {
            node: names[*index].to_owned(),
            etcd: all[*index].etcd,
            api_server: all[*index].api_server,
        });
        let mut obstacles: Vec<Obstacle> = unwell.collect();
        let is_own = not_now.unwell == [not_now.control_plane];
        if let Some(etcd) = self.etcd().filter(|_| !is_own) {
            obstacles.extend(alarms(etcd));
            obstacles.extend(self.untold());
            if not_now.lacks_quorum {
                obstacles.extend(self.unknown_voters());
            }
        }
        Refusal::Quorum {
            node: names[not_now.control_plane].to_owned(),
            obstacles,
        }
    }

    /// etcd serves, and nobody could tell which members there are.
    pub(super) fn untold(&self) -> Option<Obstacle> {
        let etcd = self.etcd().filter(|_| self.elsewhere().is_untold)?;
        let silent = etcd.own.iter();
        let silent = silent.filter_map(|(node, own)| Some((node.clone(), own.as_ref().err()?.clone())));
        Some(Obstacle::Untold {
            silent: silent.collect(),
        })
    }

    /// The alarms that are raised.
    pub(super) fn alarms(&self) -> Vec<Obstacle> {
        self.etcd().into_iter().flat_map(alarms).collect()
    }

    /// Members that vote and are on no control plane of cluster.yaml.
    pub(super) fn unknown_voters(&self) -> Vec<Obstacle> {
        let unknown = self.etcd().into_iter();
        let unknown = unknown.flat_map(|etcd| etcd.unknown_members(self.cluster));
        unknown
            .filter(|member| !member.is_learner)
            .map(stranger)
            .collect()
    }

    /// What whoever reads the plan should know of etcd, whether or not it is in the way.
    pub(in crate::plan) fn notes(&self, joins: &[&str]) -> Vec<String> {
        let filling = Filling::all(self.cluster, self.observed).into_iter();
        let filling = filling.map(|filling| format!("{filling}: {}", filling.remedy()));
        let Some(etcd) = self.etcd() else {
            return filling.collect();
        };
        let strangers = etcd.unknown_members(self.cluster).into_iter().map(stranger);
        let mut notes: Vec<Obstacle> = strangers.chain(alarms(etcd)).collect();
        for node in self.cluster.control_planes() {
            let name = node.name.as_str();
            let etcd = self.member(name);
            let will_join = joins.contains(&name);
            if !will_join && matches!(etcd, MemberHealth::Learner | MemberHealth::Absent) {
                notes.push(Obstacle::ControlPlane {
                    node: name.to_owned(),
                    etcd,
                    // Whatever it is, it is no matter of etcd's.
                    api_server: Some(Health::Ready),
                });
            }
        }
        notes.iter().map(ToString::to_string).chain(filling).collect()
    }
}

fn alarms(etcd: &ObservedEtcd) -> impl Iterator<Item = Obstacle> {
    let alarms = etcd.alarms().into_iter();
    alarms.map(|(alarm, member)| Obstacle::Alarm { alarm, member })
}

fn stranger(member: &EtcdMember) -> Obstacle {
    Obstacle::UnknownMember {
        member: member.name.clone(),
        id: member.id,
        peer_urls: member.peer_urls.clone(),
    }
}
