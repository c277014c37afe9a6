//! Guards in words.

use super::waits::names_of;
use super::{Guard, PlannedStep};

/// What has to hold for some steps that read the same; `None` when nothing has to.
pub(super) fn told(steps: &[&PlannedStep]) -> Option<String> {
    let told: Vec<String> = steps[0]
        .guard
        .iter()
        .map(|guard| sentence(guard, steps))
        .collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn sentence(guard: &Guard, steps: &[&PlannedStep]) -> String {
    match guard {
        Guard::ControlPlanesHealthy { .. } if steps.len() > 1 => {
            "the other control planes are healthy (etcd member and API server)".to_owned()
        }
        Guard::ControlPlanesHealthy { nodes } => {
            let are = if nodes.len() == 1 { "is" } else { "are" };
            format!("{} {are} healthy (etcd member and API server)", names_of(nodes))
        }
        Guard::EtcdQuorum {} => "etcd has a quorum without this member".to_owned(),
        Guard::ItselfHealthy {} => "it is healthy itself when it begins".to_owned(),
    }
}
