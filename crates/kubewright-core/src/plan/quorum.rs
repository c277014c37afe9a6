//! In which turns control planes are changed, and when not at all.
//!
//! The rules: healthy voters of etcd never fall below the quorum, and what is not known to be healthy counts as not
//! healthy; while one control plane is not well, no other that may be well is disturbed. A control plane that the
//! plan mends comes first, and is waited for before the next. Members that are known to be down when the quorum is
//! lost are started at the same time: they need each other to elect a leader.

use crate::observed::Health;

/// How an etcd member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
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
    /// Nobody could ask it.
    Unknown,
}

impl From<Option<Health>> for Member {
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
pub(super) struct ControlPlane {
    /// Its etcd member.
    pub(super) etcd: Member,
    /// Its API server; `None` when nobody could ask it.
    pub(super) api_server: Option<Health>,
    /// The plan changes something of its etcd member or its API server.
    pub(super) is_touched: bool,
    /// What the plan changes restarts its etcd member.
    pub(super) restarts_etcd: bool,
    /// What the plan changes restarts any part of the control plane, etcd included.
    pub(super) restarts: bool,
}

impl ControlPlane {
    /// Whether all of it is known to serve.
    pub(super) fn is_well(&self) -> bool {
        self.etcd == Member::Healthy && self.api_server == Some(Health::Ready)
    }

    /// Whether it is about to be well by itself.
    fn is_starting(&self) -> bool {
        let is_on_its_way = matches!(self.etcd, Member::Healthy | Member::Starting)
            && matches!(self.api_server, Some(Health::Ready | Health::Starting));
        is_on_its_way && !self.is_well()
    }

    /// Whether restarting it may take something away from the cluster.
    fn may_serve(&self) -> bool {
        !matches!(self.etcd, Member::Down | Member::Unstarted | Member::Learner)
    }
}

/// The turns of the control planes, by their position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Turns {
    /// These are not touched and are waited for before any turn.
    pub(super) awaited: Vec<usize>,
    /// One after the other; those of one turn at the same time.
    pub(super) turns: Vec<Vec<usize>>,
}

/// Why a control plane cannot have its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotNow {
    /// Whose turn it is.
    pub(super) control_plane: usize,
    /// Who is not well.
    pub(super) unwell: Vec<usize>,
}

/// Gives the touched control planes of a running cluster their turns.
pub(super) fn turns(all: &[ControlPlane]) -> Result<Turns, NotNow> {
    let disturbs = all.iter().any(|one| one.restarts && one.may_serve());
    let awaited: Vec<usize> = positions(all, |one| disturbs && !one.is_touched && one.is_starting());
    let mut is_well: Vec<bool> = all.iter().map(ControlPlane::is_well).collect();
    let mut is_healthy: Vec<bool> = all.iter().map(|one| one.etcd == Member::Healthy).collect();
    for index in &awaited {
        (is_well[*index], is_healthy[*index]) = (true, true);
    }

    let voters = all.iter().filter(|one| one.etcd != Member::Learner).count();
    let quorum = voters / 2 + 1;
    let may_vote = all.iter().filter(|one| one.may_serve()).count();
    let is_down = |one: &ControlPlane| one.is_touched && !one.may_serve();
    let down = positions(all, is_down);
    let mut turns: Vec<Vec<usize>> = if may_vote < quorum {
        Some(down).into_iter().filter(|down| !down.is_empty()).collect()
    } else {
        down.into_iter().map(|index| vec![index]).collect()
    };
    for index in turns.iter().flatten() {
        (is_well[*index], is_healthy[*index]) = (true, true);
    }

    let mut rest = positions(all, |one| one.is_touched && !is_down(one));
    rest.sort_by_key(|index| rank(&all[*index]));
    for index in rest {
        let one = &all[index];
        let others = |is: &[bool]| -> Vec<usize> {
            (0..all.len())
                .filter(|other| *other != index && !is[*other])
                .collect()
        };
        let unwell = others(&is_well);
        let healthy = is_healthy.iter().enumerate();
        let healthy =
            healthy.filter(|(other, is)| *other != index && **is && all[*other].etcd != Member::Learner);
        let keeps_quorum = voters == 1 || healthy.count() >= quorum;
        // A server that is known not to answer takes nothing away by being mended.
        let serves = one.etcd != Member::Healthy || one.api_server != Some(Health::Down);
        if (one.restarts_etcd && !keeps_quorum) || (one.restarts && serves && !unwell.is_empty()) {
            return Err(NotNow {
                control_plane: index,
                unwell,
            });
        }
        turns.push(vec![index]);
        (is_well[index], is_healthy[index]) = (true, true);
    }
    Ok(Turns { awaited, turns })
}

/// Who is mended comes before who is not known, and both before who is well.
fn rank(one: &ControlPlane) -> u8 {
    match one.api_server {
        _ if one.is_well() => 2,
        Some(Health::Down) if one.etcd == Member::Healthy => 0,
        _ => 1,
    }
}

fn positions(all: &[ControlPlane], is: impl Fn(&ControlPlane) -> bool) -> Vec<usize> {
    (0..all.len()).filter(|index| is(&all[*index])).collect()
}

#[cfg(test)]
mod tests;
