//! How a cluster differs from cluster.yaml, read from the look every plan is made from.
//!
//! Only looking: no lock is asked for, nothing is written on any node.

use kubewright_core::drift::{Report, Seen};

use crate::observe::Observation;
use crate::session::Session;

/// Puts together how the cluster differs.
pub fn look(session: &Session, observation: &Observation) -> Report {
    Report::new(&Seen {
        cluster: &session.cluster,
        release: &session.release,
        states: &observation.desired.states,
        observed: &observation.observed,
    })
}
