//! A bridge on each node and plain routes between nodes: the fastest network there is, when all nodes share a segment.
//!
//! Routes to the other nodes' pod ranges (under a protocol number of their own, so that they can be found and removed) and a
//! rule that hides pod addresses from the world outside are a resource: inspected and set by every apply, and kept by a
//! process of kubewright's own program on the node. When they are in place it says so, and the CNI configuration is
//! announced. Given addresses are remembered on tmpfs: no pod outlives a boot.

use serde_json::json;

use super::{BRIDGE, RIVAL, announce, plugins, waiting};
use crate::component::view::{View, directory, public_file};
use crate::component::{Call, Component, Description, Process, Program, Readiness, Rival, Traces, to_json};
use crate::resource::{Access, PacketFilter, Resource, Routing, Stage};
use crate::spec::{Cni, ProxyMode};

/// The component's name.
pub const NAME: &str = "kubewright-routes";

/// What the process keeps; it reads this again at each look.
const CONFIG_PATH: &str = "/etc/kubewright/bridge/routing.json";

/// The bridge network, where it is the cluster's.
pub const DESCRIPTION: Description = Description {
    title: "routes to the pods of other nodes",
    program: Program::Agent,
    binaries: &["bridge", "host-local", "loopback", "portmap"],
    calls: &[
        Call::always("cp"),
        Call::always("ip"),
        Call::always("mkdir"),
        Call::always("mv"),
        Call::for_nftables("nft"),
        Call::for_iptables("ip6tables"),
        Call::for_iptables("iptables"),
    ],
    traces: Traces {
        tables: &["kubewright"],
        chains: &["KUBEWRIGHT-"],
        ..Traces::NONE
    },
    rival: Some(Rival {
        // The plug-in refuses a bridge that has another range's address.
        links: &[BRIDGE],
        ..RIVAL
    }),
    on_restart: |_| Some("routes between nodes stay in place meanwhile".to_owned()),
    ..Description::new(NAME, Stage::Node, |cluster, _| cluster.network.cni == Cni::Bridge)
};

/// The bridge network of a node.
pub fn component(view: &View) -> Component {
    let mut component = Component::new(&DESCRIPTION);
    component.reads = waiting(&conflist(view));
    component
        .reads
        .push(directory("/usr/local/lib/kubewright", Access::root(0o755)));
    component.reads.push(Resource::Binary(view.agent_binary()));
    component.rereads = plugins(view, &DESCRIPTION);
    component
        .rereads
        .push(directory("/etc/kubewright/bridge", Access::root(0o755)));
    let routing = routing(view);
    component
        .rereads
        .push(public_file(CONFIG_PATH, to_json(&json!(routing))));
    component.rereads.push(Resource::Routing(routing));
    component.process = Some(process());
    component
}

fn process() -> Process {
    let mut process = Process::new(&DESCRIPTION);
    process.words = vec!["keep-routes", "--config", CONFIG_PATH];
    process.systemd.readiness = Readiness::Notify { timeout_seconds: 330 };
    process.systemd.after_start = announce();
    process.limits.oom_score_adjust = Some(-999);
    process
}

fn routing(view: &View) -> Routing {
    let others = view
        .cluster
        .nodes
        .iter()
        .filter(|node| node.name != view.node.name);
    let routes = others.filter_map(|node| {
        let range = view.context.pod_cidrs.get(node.name.as_str())?;
        Some((range.to_string(), node.address))
    });
    Routing {
        routes: routes.collect(),
        pods: view.pod_cidr.to_string(),
        inside: inside(view),
        filter: match view.cluster.network.proxy {
            ProxyMode::Iptables => PacketFilter::Iptables,
            ProxyMode::Nftables | ProxyMode::None => PacketFilter::Nftables,
        },
    }
}

/// Where pods are known by their own address: other pods and the nodes.
fn inside(view: &View) -> Vec<String> {
    let nodes = view.cluster.nodes.iter().map(|node| node.address.to_string());
    std::iter::once(view.cluster.network.pod_cidr.to_string())
        .chain(nodes)
        .collect()
}

fn conflist(view: &View) -> serde_json::Value {
    let anywhere = if view.pod_cidr.is_ipv4() {
        "0.0.0.0/0"
    } else {
        "::/0"
    };
    let mut value = json!({
        "cniVersion": "1.0.0",
        "name": "kubewright",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/kubewright/cni/addresses",
                    "ranges": [[{"subnet": view.pod_cidr}]],
                    "routes": [{"dst": anywhere}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    if let Some(mtu) = view.cluster.network.mtu {
        value["plugins"][0]["mtu"] = mtu.into();
    }
    value
}
