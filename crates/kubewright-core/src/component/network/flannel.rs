//! flannel, as a unit of the node: pods on different nodes reach each other through VXLAN, on any network.
//!
//! A unit rather than a DaemonSet, so that it is ordered: after the API answers, before the kubelet. It reports ready
//! when `/run/flannel/subnet.env` is written, and only then the CNI configuration is put in place: pods never start
//! before their network and then wait fifteen seconds for the second try.

use serde_json::json;

use super::{RIVAL, announce, plugins, waiting};
use crate::component::trust::authority_id;
use crate::component::view::{View, directory, executable, public_file};
use crate::component::{
    Arguments, Call, Command, Component, Description, Kubeconfig, Port, Probe, Process, Program, Protocol,
    Reach, Readiness, Rival, Traces, api_proxy, client_certificate, containerd, to_json,
};
use crate::manifest::FLANNEL_GROUP;
use crate::resource::{Access, AuthorityName, Resource, Stage};
use crate::spec::{Cni, ProxyMode};

/// The component's name.
pub const NAME: &str = "flanneld";

const HEALTH_PORT: u16 = 10244;
const KUBECONFIG: &str = "/etc/kubernetes/flannel.conf";
/// What VXLAN puts around a packet over IPv4, in bytes.
const VXLAN_BYTES: u32 = 50;
/// Where the stand-ins for programs are that flannel wants and does not need.
const STAND_INS: &str = "/usr/local/lib/kubewright/stand-ins";
/// The directories systemd has programs searched in.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const NO_IPTABLES: &str = "\
#!/bin/sh
# Written by kubewright, for flannel on a node without iptables. It makes its rules with nft, and at its start deletes those
# it may have made with iptables before; without that program it does not start. A node without it has no such rules.
if [ \"$1\" = --version ]; then
    echo 'iptables v1.8.0 (nf_tables)'
    exit 0
fi
echo 'there is no iptables on this node' >&2
exit 1
";
const NET_CONF: &str = "/etc/kubewright/flannel/net-conf.json";

/// flannel, where it is the cluster's network.
pub const DESCRIPTION: Description = Description {
    title: "flannel, the network between pods",
    program: Program::Catalogue(NAME),
    binaries: &[NAME, "bridge", "flannel", "host-local", "loopback", "portmap"],
    calls: &[
        Call::always("cp"),
        Call::always("ip"),
        Call::always("mkdir"),
        Call::always("mv"),
        Call::for_nftables("nft"),
        Call::for_iptables("ip6tables"),
        Call::for_iptables("ip6tables-restore"),
        Call::for_iptables("iptables"),
        Call::for_iptables("iptables-restore"),
    ],
    ports: &[
        Port {
            number: 8472,
            protocol: Protocol::Udp,
            what: "flannel's VXLAN",
            reach: Reach::Everybody,
        },
        Port::local(HEALTH_PORT, "flannel's health"),
    ],
    probe: Some(Probe::http(HEALTH_PORT, "/healthz")),
    traces: Traces {
        directories: &["/run/flannel"],
        links: &["flannel.1", "flannel-v6.1"],
        tables: &["flannel-ipv4", "flannel-ipv6"],
        chains: &["FLANNEL-"],
    },
    rival: Some(Rival {
        links: &["flannel."],
        ..RIVAL
    }),
    on_restart: |_| Some("routes between nodes stay in place meanwhile".to_owned()),
    ..Description::new(NAME, Stage::Node, |cluster, _| {
        cluster.network.cni == Cni::Flannel
    })
};

/// flannel of a node.
pub fn component(view: &View) -> Component {
    let mut component = Component::new(&DESCRIPTION);
    let client = client_certificate(
        "flannel",
        AuthorityName::Kubernetes,
        &format!("kubewright:flannel:{}", view.name()),
        &[FLANNEL_GROUP],
        "/etc/kubernetes/pki/flannel",
    );
    component.reads.push(Resource::Binary(view.binary(NAME)));
    component.reads.push(
        Kubeconfig {
            path: KUBECONFIG,
            cluster: view.cluster.name.as_str(),
            user: "flannel",
            server: &api_proxy::url(),
            certificate: &client,
        }
        .file(),
    );
    component.reads.extend(waiting(&conflist()));
    component
        .reads
        .push(directory("/etc/kubewright/flannel", Access::root(0o755)));
    component.reads.push(public_file(NET_CONF, net_conf(view)));
    if uses_nftables(view) {
        component
            .reads
            .push(directory("/usr/local/lib/kubewright", Access::root(0o755)));
        component.reads.push(directory(STAND_INS, Access::root(0o755)));
        for program in ["iptables", "ip6tables"] {
            component
                .reads
                .push(executable(&format!("{STAND_INS}/{program}"), NO_IPTABLES));
        }
    }
    component.shared.push(authority_id(AuthorityName::Kubernetes));
    component.rereads = plugins(view, &DESCRIPTION);
    component.rereads.push(Resource::Certificate(client));
    component.process = Some(process(view));
    component
}

fn process(view: &View) -> Process {
    let mut process = Process::new(&DESCRIPTION);
    process.arguments = Arguments::new([
        ("kube-subnet-mgr", "true"),
        ("kubeconfig-file", KUBECONFIG),
        ("net-config-path", NET_CONF),
        ("iface", &view.node.address.to_string()),
        ("ip-masq", "true"),
        ("healthz-ip", "127.0.0.1"),
        ("healthz-port", &HEALTH_PORT.to_string()),
    ]);
    process
        .environment
        .insert("NODE_NAME".to_owned(), view.name().to_owned());
    if uses_nftables(view) {
        // The node's own iptables comes first, if there is one.
        let path = format!("{SYSTEM_PATH}:{STAND_INS}");
        process.environment.insert("PATH".to_owned(), path);
    }
    process.systemd.readiness = Readiness::Notify { timeout_seconds: 330 };
    process.starts_after = vec![api_proxy::NAME, containerd::NAME];
    process.systemd.before_start = vec![api_proxy::wait_for_api()];
    process.systemd.after_start = announce();
    if let Some(mtu) = view.cluster.network.mtu {
        // flannel keeps an interface that is there as it is, whatever its MTU.
        let inner = (mtu - VXLAN_BYTES).to_string();
        let device = ["ip", "link", "set", "dev", "flannel.1", "mtu", &inner];
        process.systemd.after_start.insert(0, Command::new(device));
    }
    process.limits.oom_score_adjust = Some(-999);
    process
}

fn uses_nftables(view: &View) -> bool {
    view.cluster.network.proxy != ProxyMode::Iptables
}

fn net_conf(view: &View) -> String {
    let network = &view.cluster.network;
    let mut value = json!({
        "Backend": {"Type": "vxlan"},
        "EnableNFTables": uses_nftables(view),
    });
    if let Some(mtu) = network.mtu {
        // Of the path: flannel itself takes off what VXLAN needs.
        value["Backend"]["MTU"] = mtu.into();
    }
    if network.pod_cidr.is_ipv4() {
        value["Network"] = network.pod_cidr.to_string().into();
    } else {
        value["EnableIPv4"] = false.into();
        value["EnableIPv6"] = true.into();
        value["IPv6Network"] = network.pod_cidr.to_string().into();
    }
    to_json(&value)
}

fn conflist() -> serde_json::Value {
    json!({
        "cniVersion": "0.3.1",
        "name": "cbr0",
        "plugins": [
            {"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}
