//! The scheduler: on every control plane, one of them leads. Its settings are a file, so that profiles can be merged in.

use serde_json::json;

use super::beside_apiserver::{Beside, LEASE_SECONDS, on_restart};
use super::description::on_control_planes;
use super::view::{View, file_for};
use super::{Account, Component, Description, Port, Probe, Program, merge, to_yaml};
use crate::resource::Stage;
use crate::spec::ComponentName;

const CONFIG_PATH: &str = "/etc/kubernetes/scheduler.yaml";

const NAME: &str = "kube-scheduler";
const PORT: u16 = 10259;

/// The scheduler, on control planes.
pub const DESCRIPTION: Description = Description {
    title: "the Kubernetes scheduler",
    program: Program::Catalogue(NAME),
    binaries: &[NAME],
    account: Some(Account::homeless(NAME)),
    ports: &[Port::local(PORT, "the scheduler")],
    probe: Some(Probe::https(PORT, "/healthz")),
    on_restart,
    ..Description::new(NAME, Stage::ControlPlane, on_control_planes)
};

const BESIDE: Beside = Beside {
    description: &DESCRIPTION,
    kubeconfig: "/etc/kubernetes/scheduler.conf",
};

/// The scheduler of a control plane.
pub fn component(view: &View) -> Component {
    let (mut component, serving) = BESIDE.component(view);
    component
        .reads
        .push(file_for(NAME, CONFIG_PATH, configuration(view)));
    let mut arguments = BESIDE.arguments(("config", CONFIG_PATH), &serving);
    // The file decides; auditors look at the process list.
    arguments.set("profiling", "false");
    if let Some(overrides) = view.overrides(ComponentName::KubeScheduler) {
        arguments.set_all(&overrides.extra_args);
    }
    component.process = Some(BESIDE.process(arguments));
    component
}

fn configuration(view: &View) -> String {
    let (lease, renew, retry) = LEASE_SECONDS;
    let mut value = json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": BESIDE.kubeconfig},
        "enableProfiling": false,
        "leaderElection": {
            "leaderElect": true,
            "leaseDuration": format!("{lease}s"),
            "renewDeadline": format!("{renew}s"),
            "retryPeriod": format!("{retry}s"),
        },
    });
    if let Some(overrides) = view.overrides(ComponentName::KubeScheduler) {
        merge(&mut value, &overrides.extra_config);
    }
    to_yaml(&value)
}
