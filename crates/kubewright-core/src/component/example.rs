//! A component that exists in tests only. This file, its line in the list and its program in the catalogue are all that
//! a new one takes: the tests find it wherever components are listed.

use super::port::local;
use super::view::View;
use super::{
    Account, Component, Description, Port, Probe, Process, Program, Reach, Rival, Traces, UnitTrace,
};
use crate::resource::{Resource, Stage};

/// The component's name.
pub(crate) const NAME: &str = "example";
/// The only cluster that has it.
pub(crate) const CLUSTER: &str = "with-example";

const PROGRAM: &str = "flanneld";
const PORT: u16 = 9999;

pub(crate) const DESCRIPTION: Description = Description {
    title: "an example",
    program: Program::Catalogue(PROGRAM),
    binaries: &[PROGRAM],
    account: Some(Account {
        name: "example",
        home: "/var/lib/example",
    }),
    ports: &[Port::tcp(PORT, "the example", Reach::Everybody)],
    probe: Some(Probe::http(PORT, "/healthz")),
    traces: Traces {
        directories: &["/var/lib/example"],
        ..Traces::NONE
    },
    rival: Some(Rival {
        unit: Some(UnitTrace::File),
        ..Rival::new("another example", "and remove it")
    }),
    on_restart: |others| Some(format!("the example is away, {others} others are not")),
    ..Description::new(NAME, Stage::Node, |cluster, _| cluster.name.as_str() == CLUSTER)
};

pub(crate) fn component(view: &View) -> Component {
    let mut component = Component::new(&DESCRIPTION);
    component.reads.push(Resource::Binary(view.binary(PROGRAM)));
    let mut process = Process::new(&DESCRIPTION);
    process.arguments.set("listen", local(PORT).to_string());
    component.process = Some(process);
    component
}

mod tests {
    use std::collections::BTreeMap;

    use super::{CLUSTER, NAME, PORT, PROGRAM};
    use crate::carrier::unit_name;
    use crate::catalogue;
    use crate::check::{needed_ports, probes};
    use crate::component::{ALL, binaries, named};
    use crate::observed::Observed;
    use crate::plan::allocate_pod_ranges;
    use crate::render::{Artifacts, RenderContext, render};
    use crate::resource::{Resource, Stage};
    use crate::spec::{Cluster, parse};
    use crate::wire::NodeCondition;

    fn cluster(name: &str) -> Cluster {
        let text = format!(
            "apiVersion: kubewright/v1alpha1\nkind: Cluster\nmetadata: {{ name: {name} }}\nspec:\n  network: {{ cni: \
             bridge }}\n  nodes:\n    - {{ name: a, address: 192.0.2.1, roles: [control-plane] }}\n    - {{ name: b, \
             address: 192.0.2.2, roles: [worker] }}\n"
        );
        parse(&text, "cluster.yaml").unwrap().spec
    }

    #[test]
    fn a_component_is_found_wherever_components_are_listed() {
        let cluster = cluster(CLUSTER);
        let worker = cluster.node("b").unwrap();
        let has_port = |port: &crate::check::NeededPort| port.port.number == PORT;
        assert!(needed_ports(&cluster, worker).iter().any(has_port));
        assert!(
            probes(&cluster)
                .iter()
                .any(|probe| (probe.from.as_str(), probe.to.as_str(), probe.port) == ("a", "b", PORT))
        );
        assert!(binaries(&cluster).contains(PROGRAM));
        assert_eq!(
            NodeCondition::serves(named(NAME).unwrap()),
            NodeCondition::HttpOk {
                url: "http://127.0.0.1:9999/healthz".to_owned(),
                ca_file: None,
                server_name: None,
                unit: Some(unit_name(NAME)),
            }
        );
        assert!(
            ALL.iter()
                .any(|component| component.traces.directories.contains(&"/var/lib/example"))
        );
        let release = catalogue::release(&cluster.kubernetes).unwrap();
        let pod_cidrs = allocate_pod_ranges(&cluster, &Observed::default()).unwrap();
        let context = RenderContext {
            cluster: &cluster,
            release: &release,
            platforms: &BTreeMap::new(),
            pod_cidrs: &pod_cidrs,
            authorities: &BTreeMap::new(),
            service_account_public_key: "",
            secrets: &BTreeMap::new(),
            artifacts: &Artifacts::unresolved(),
            agents: &BTreeMap::new(),
            cluster_id: "",
            etcd: &BTreeMap::new(),
        };
        let state = render(&context, "b").unwrap();
        let unit = state.resources.iter().find_map(|staged| match &staged.resource {
            Resource::Unit(unit) if unit.name == unit_name(NAME) => Some((staged.stage, unit)),
            _ => None,
        });
        let (stage, unit) = unit.unwrap();
        assert_eq!(stage, Stage::Node);
        assert!(unit.content.contains("User=example\n"), "{}", unit.content);
        let command = "ExecStart=/usr/local/bin/flanneld \\\n    --listen=127.0.0.1:9999\n";
        assert!(unit.content.contains(command), "{}", unit.content);
    }

    #[test]
    fn a_cluster_without_it_has_nothing_of_it() {
        let cluster = cluster("another");
        assert!(!binaries(&cluster).contains(PROGRAM));
        assert!(probes(&cluster).iter().all(|probe| probe.port != PORT));
    }
}
