//! A bridge on each node and plain routes between nodes: the fastest network there is, when all nodes share a segment.
//!
//! One unit, run once per boot and whenever the membership changes: routes to the other nodes' pod ranges (under a
//! protocol number of their own, so that they can be found and removed), a rule that hides pod addresses from the
//! world outside, and at last the CNI configuration. Given addresses are remembered on tmpfs: no pod outlives a boot.

use serde_json::json;

use super::{BRIDGE, RIVAL, announce, plugins, waiting};
use crate::component::view::{View, directory, public_file};
use crate::component::{Command, Component, Description, Process, Readiness, Rival, Traces};
use crate::resource::{Access, Stage};
use crate::spec::{Cni, ProxyMode};

/// The component's name.
pub const NAME: &str = "kubewright-routes";

const RULES_PATH: &str = "/etc/kubewright/bridge/masquerade.nft";
/// Marks kubewright's routes in `ip route`; a number without a meaning elsewhere.
const ROUTE_PROTOCOL: &str = "75";
const CHAIN: &str = "KUBEWRIGHT-MASQUERADE";

/// The bridge network, where it is the cluster's.
pub const DESCRIPTION: Description = Description {
    title: "routes to the pods of other nodes",
    binaries: &["bridge", "host-local", "loopback", "portmap"],
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
    ..Description::new(NAME, Stage::Node, |cluster, _| cluster.network.cni == Cni::Bridge)
};

/// The bridge network of a node.
pub fn component(view: &View) -> Component {
    let mut component = Component::new(&DESCRIPTION);
    component.reads = waiting(&conflist(view));
    component.rereads = plugins(view, &DESCRIPTION);
    if uses_nftables(view) {
        component
            .reads
            .push(directory("/etc/kubewright/bridge", Access::root(0o755)));
        component.reads.push(public_file(RULES_PATH, rules(view)));
    }
    component.process = Some(process(view));
    component
}

fn process(view: &View) -> Process {
    let mut process = Process::new(&DESCRIPTION);
    process.systemd.readiness = Readiness::Finished;
    process.systemd.before_start = routes(view);
    process.systemd.before_start.extend(masquerade(view));
    process.systemd.before_start.extend(announce());
    process.systemd.on_stop = vec![ip(view, &["route", "flush", "proto", ROUTE_PROTOCOL]).may_fail()];
    process.systemd.on_stop.extend(stop_masquerading(view));
    process
}

fn routes(view: &View) -> Vec<Command> {
    view.cluster
        .nodes
        .iter()
        .filter(|node| node.name != view.node.name)
        .filter_map(|node| Some((node, view.context.pod_cidrs.get(node.name.as_str())?)))
        .map(|(node, range)| {
            let (range, address) = (range.to_string(), node.address.to_string());
            ip(
                view,
                &[
                    "route",
                    "replace",
                    &range,
                    "via",
                    &address,
                    "proto",
                    ROUTE_PROTOCOL,
                ],
            )
        })
        .collect()
}

fn ip(view: &View, words: &[&str]) -> Command {
    let family = if view.pod_cidr.is_ipv4() { "-4" } else { "-6" };
    command(&["ip", family], words)
}

fn command(program: &[&str], words: &[&str]) -> Command {
    let mut command = Command::new([]);
    command.words = program.iter().chain(words).map(|&word| word.to_owned()).collect();
    command
}

fn uses_nftables(view: &View) -> bool {
    view.cluster.network.proxy != ProxyMode::Iptables
}

/// Where pods are known by their own address: other pods and the nodes.
fn inside(view: &View) -> Vec<String> {
    let nodes = view.cluster.nodes.iter().map(|node| node.address.to_string());
    std::iter::once(view.cluster.network.pod_cidr.to_string())
        .chain(nodes)
        .collect()
}

fn rules(view: &View) -> String {
    let family = if view.pod_cidr.is_ipv4() { "ip" } else { "ip6" };
    format!(
        "# Written by kubewright. Pods reach the world outside under their node's address.\n\
         table {family} kubewright\n\
         delete table {family} kubewright\n\
         table {family} kubewright {{\n\
         \tchain postrouting {{\n\
         \t\ttype nat hook postrouting priority srcnat; policy accept;\n\
         \t\t{family} saddr {} {family} daddr != {{ {} }} masquerade fully-random\n\
         \t}}\n\
         }}\n",
        view.pod_cidr,
        inside(view).join(", "),
    )
}

fn masquerade(view: &View) -> Vec<Command> {
    if uses_nftables(view) {
        return vec![Command::new(["nft", "-f", RULES_PATH])];
    }
    let source = view.pod_cidr.to_string();
    let mut commands = vec![
        iptables(view, &["-N", CHAIN]).may_fail(),
        iptables(view, &["-F", CHAIN]),
    ];
    for destination in inside(view) {
        commands.push(iptables(view, &["-A", CHAIN, "-d", &destination, "-j", "RETURN"]));
    }
    commands.push(iptables(
        view,
        &["-A", CHAIN, "-j", "MASQUERADE", "--random-fully"],
    ));
    let jump = ["POSTROUTING", "-s", source.as_str(), "-j", CHAIN];
    commands.push(iptables(view, &[&["-D"], jump.as_slice()].concat()).may_fail());
    commands.push(iptables(view, &[&["-A"], jump.as_slice()].concat()));
    commands
}

fn stop_masquerading(view: &View) -> Vec<Command> {
    if uses_nftables(view) {
        let family = if view.pod_cidr.is_ipv4() { "ip" } else { "ip6" };
        return vec![Command::new(["nft", "delete", "table", family, "kubewright"]).may_fail()];
    }
    let source = view.pod_cidr.to_string();
    vec![
        iptables(view, &["-D", "POSTROUTING", "-s", &source, "-j", CHAIN]).may_fail(),
        iptables(view, &["-F", CHAIN]).may_fail(),
        iptables(view, &["-X", CHAIN]).may_fail(),
    ]
}

fn iptables(view: &View, words: &[&str]) -> Command {
    let program = if view.pod_cidr.is_ipv4() {
        "iptables"
    } else {
        "ip6tables"
    };
    command(&[program, "-w", "-t", "nat"], words)
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
