//! What a step disturbs, and what that means for whoever uses the cluster.

use super::{Disruption, Step};
use crate::observed::{Change, UnitAction};
use crate::shown::shown;

/// What a step disturbs, in a cluster with so many control planes.
pub(super) fn disruption(step: &Step, control_planes: usize) -> Disruption {
    let differences = match step {
        Step::ResetNode { .. } => return Disruption::Destroys,
        Step::Converge { differences, .. } => differences,
        _ => return Disruption::None,
    };
    let restarts = |change: &Change| {
        matches!(
            change,
            Change::Unit {
                action: UnitAction::Restart,
                ..
            }
        )
    };
    let units: Vec<String> = differences
        .iter()
        .filter(|difference| restarts(&difference.change))
        .map(|difference| difference.resource.what().to_owned())
        .collect();
    if units.is_empty() {
        return Disruption::None;
    }
    let effects = units
        .iter()
        .filter_map(|unit| effect(unit, control_planes))
        .collect();
    Disruption::Restarts { units, effects }
}

/// What the restart of a unit means for others.
fn effect(unit: &str, control_planes: usize) -> Option<String> {
    let others = control_planes.saturating_sub(1);
    let effect = match unit {
        "etcd.service" if others == 0 => {
            "the only etcd member is away for some seconds, and the API with it; pods keep running".to_owned()
        }
        "etcd.service" => format!(
            "its etcd member is away for a few seconds, the other {others} keep the quorum; if it led, another is \
             elected within 2 s"
        ),
        "kube-apiserver.service" if others == 0 => {
            "the Kubernetes API is unavailable for some seconds; pods keep running".to_owned()
        }
        "kube-apiserver.service" => {
            format!("its API server is away for a few seconds, the other {others} answer")
        }
        "kube-controller-manager.service" | "kube-scheduler.service" if others > 0 => {
            "another control plane takes over within 20 s if this one led".to_owned()
        }
        "kubelet.service" => "pods keep running".to_owned(),
        "containerd.service" => "pods keep running, for a moment none can be started".to_owned(),
        "kubewright-api-proxy.service" => "the node connects to the API again".to_owned(),
        "kube-proxy.service" => "the rules for services stay in place meanwhile".to_owned(),
        "flanneld.service" | "flannel.service" => "routes between nodes stay in place meanwhile".to_owned(),
        _ => return None,
    };
    Some(effect)
}

/// A disruption as a sentence.
pub(super) fn told(disruption: &Disruption) -> String {
    match disruption {
        Disruption::None => "nothing".to_owned(),
        Disruption::Restarts { units, effects } => {
            let units: Vec<String> = units.iter().map(|unit| shown(unit)).collect();
            let effects = effects
                .iter()
                .fold(String::new(), |text, effect| text + "; " + effect);
            format!("restarts {}{effects}", units.join(", "))
        }
        Disruption::Destroys => "all data of the node is lost".to_owned(),
    }
}
