//! In which turns control planes are changed, and when not at all.
//!
//! The rules: healthy voters of etcd never fall below the quorum, and what is not known to be healthy counts as not
//! healthy; while one control plane is not well, no other that may be well is disturbed. A control plane that the
//! plan repairs comes first, and is waited for before the next. Members that are known to be down when the quorum is
//! lost are started at the same time: they need each other to elect a leader.
//!
//! Who votes is what etcd's list of members says, not what cluster.yaml says: a member on none of its control planes
//! counts for the quorum and is not known to be healthy; a learner, or one that is in no list, does not become a voter by
//! being changed.

use crate::observed::Health;

/// How an etcd member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberHealth {
    /// It serves and sees a leader.
    Healthy,
    /// Its process has just begun.
    Starting,
    /// It does not serve.
    Down,
    /// It is a member that was never started.
    Unstarted,
    /// It does not vote yet.
    Learner,
    /// etcd's list of members has none of this control plane.
    Absent,
    /// Nobody could ask it.
    Unknown,
}

impl From<Option<Health>> for MemberHealth {
    fn from(health: Option<Health>) -> Self {
        match health {
            Some(Health::Ready) => Self::Healthy,
            Some(Health::Starting) => Self::Starting,
            Some(Health::Down) => Self::Down,
            None => Self::Unknown,
        }
    }
}

/// A control plane, as far as its turn depends on it.
#[derive(Clone, Debug)]
pub(in crate::plan) struct ControlPlane {
    /// Its etcd member.
    pub(in crate::plan) etcd: MemberHealth,
    /// Its API server; `None` when nobody could ask it.
    pub(in crate::plan) api_server: Option<Health>,
    /// The plan changes something of its etcd member or its API server.
    pub(in crate::plan) is_touched: bool,
    /// What the plan changes restarts its etcd member.
    pub(in crate::plan) restarts_etcd: bool,
    /// What the plan changes restarts any part of the control plane, etcd included.
    pub(in crate::plan) restarts: bool,
    /// The plan makes it a member that votes.
    pub(in crate::plan) joins: bool,
}

impl ControlPlane {
    /// Whether all of it is known to serve.
    pub(in crate::plan) fn is_well(&self) -> bool {
        self.etcd == MemberHealth::Healthy && self.api_server == Some(Health::Ready)
    }

    /// Whether it is about to be well by itself.
    pub(in crate::plan) fn is_starting(&self) -> bool {
        let is_on_its_way = matches!(self.etcd, MemberHealth::Healthy | MemberHealth::Starting)
            && matches!(self.api_server, Some(Health::Ready | Health::Starting));
        is_on_its_way && !self.is_well()
    }

    /// Whether restarting it may take something away from the cluster.
    pub(in crate::plan) fn may_serve(&self) -> bool {
        !matches!(self.etcd, MemberHealth::Down | MemberHealth::Unstarted) && self.votes()
    }

    /// Whether the quorum is counted with it.
    pub(in crate::plan) fn votes(&self) -> bool {
        !matches!(self.etcd, MemberHealth::Learner | MemberHealth::Absent)
    }
}

/// What is of etcd besides the members of the control planes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::plan) struct Elsewhere {
    /// Members that vote and are on no control plane of cluster.yaml: nobody can ask them.
    pub(in crate::plan) voters: usize,
    /// etcd serves, and nobody could tell which members there are.
    pub(in crate::plan) is_untold: bool,
    /// An alarm is raised: members refuse what they are asked, and tell that they are not healthy.
    pub(in crate::plan) has_alarm: bool,
}

/// The turns of the control planes, by their position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::plan) struct Turns {
    /// These are not touched and are waited for before any turn.
    pub(in crate::plan) awaited: Vec<usize>,
    /// One after the other; those of one turn at the same time.
    pub(in crate::plan) turns: Vec<Vec<usize>>,
}

/// Why a control plane cannot have its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) struct NotNow {
    /// Whose turn it is.
    pub(in crate::plan) control_plane: usize,
    /// Who is not well.
    pub(in crate::plan) unwell: Vec<usize>,
    /// Not enough members would be left that are known to be healthy.
    pub(in crate::plan) lacks_quorum: bool,
}

/// Gives the touched control planes of a running cluster their turns.
pub(in crate::plan) fn turns(all: &[ControlPlane], elsewhere: Elsewhere) -> Result<Turns, NotNow> {
    // It would be waited for in vain: nothing here makes it a voter.
    let stays_out = |one: &ControlPlane| one.is_touched && !one.votes() && !one.joins;
    if let Some(one) = (0..all.len()).find(|index| stays_out(&all[*index])) {
        return Err(NotNow {
            control_plane: one,
            unwell: vec![one],
            lacks_quorum: false,
        });
    }
    let disturbs = all
        .iter()
        .any(|one| (one.restarts && one.may_serve()) || one.joins);
    let awaited: Vec<usize> = positions(all, |one| disturbs && !one.is_touched && one.is_starting());
    let mut is_well: Vec<bool> = all.iter().map(ControlPlane::is_well).collect();
    let mut is_healthy: Vec<bool> = all.iter().map(|one| one.etcd == MemberHealth::Healthy).collect();
    for index in &awaited {
        (is_well[*index], is_healthy[*index]) = (true, true);
    }

    let mut votes: Vec<bool> = all.iter().map(ControlPlane::votes).collect();
    let quorum = |votes: &[bool]| {
        let voters = votes.iter().filter(|votes| **votes).count() + elsewhere.voters;
        voters / 2 + 1
    };
    let may_vote = all.iter().filter(|one| one.may_serve()).count() + elsewhere.voters;
    let is_down = |one: &ControlPlane| one.is_touched && !one.may_serve() && !one.joins;
    let down = positions(all, is_down);
    let mut turns: Vec<Vec<usize>> = if may_vote < quorum(&votes) {
        Some(down).into_iter().filter(|down| !down.is_empty()).collect()
    } else {
        down.into_iter().map(|index| vec![index]).collect()
    };
    for index in turns.iter().flatten() {
        (is_well[*index], is_healthy[*index]) = (true, true);
    }

    let mut rest = positions(all, |one| (one.is_touched && !is_down(one)) || one.joins);
    rest.sort_by_key(|index| rank(&all[*index]));
    for index in rest {
        let one = &all[index];
        // Who is still to join takes nothing away from anybody.
        let counts = |other: &usize| *other != index && (votes[*other] || !all[*other].joins);
        let unwell: Vec<usize> = (0..all.len())
            .filter(|other| counts(other) && !is_well[*other])
            .collect();
        let is_voter = |other: &usize| *other != index && is_healthy[*other] && votes[*other];
        let healthy = (0..all.len()).filter(is_voter).count();
        let quorum = quorum(&votes);
        let lacks_quorum = one.restarts_etcd && !one.joins && quorum > 1 && healthy < quorum;
        // A server that is known not to answer takes nothing away by being repaired.
        let serves = one.etcd != MemberHealth::Healthy || one.api_server != Some(Health::Down);
        let is_obscure = elsewhere.is_untold || elsewhere.has_alarm;
        let needs_all = (one.restarts && serves) || one.joins;
        let disturbs = needs_all && (!unwell.is_empty() || is_obscure);
        // While an alarm is raised, a member that was restarted would never be seen to be healthy.
        if lacks_quorum || disturbs || (one.restarts_etcd && is_obscure) {
            return Err(NotNow {
                control_plane: index,
                unwell,
                lacks_quorum,
            });
        }
        turns.push(vec![index]);
        (is_well[index], is_healthy[index], votes[index]) = (true, true, true);
    }
    Ok(Turns { awaited, turns })
}

/// Who is repaired comes before who is not known, both before who joins, and all before who is well: the more members
/// vote, the less is taken away by restarting one.
fn rank(one: &ControlPlane) -> u8 {
    match one.api_server {
        _ if one.joins => 2,
        _ if one.is_well() => 3,
        Some(Health::Down) if one.etcd == MemberHealth::Healthy => 0,
        _ => 1,
    }
}

fn positions(all: &[ControlPlane], is: impl Fn(&ControlPlane) -> bool) -> Vec<usize> {
    (0..all.len()).filter(|index| is(&all[*index])).collect()
}

#[cfg(test)]
mod tests;
