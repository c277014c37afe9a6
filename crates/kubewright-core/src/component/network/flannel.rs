//! flannel, as a unit of the node: pods on different nodes reach each other through VXLAN, on any network.
//!
//! A unit rather than a DaemonSet, so that it is ordered: after the API answers, before the kubelet. It reports ready
//! when `/run/flannel/subnet.env` is written, and only then the CNI configuration is put in place: pods never start
//! before their network and then wait fifteen seconds for the second try.

use serde_json::json;

use super::{FLANNEL, announce, plugins, waiting};
use crate::component::trust::authority_id;
use crate::component::view::{View, directory, public_file};
use crate::component::{
    Arguments, Command, Component, Kubeconfig, Port, Probe, Process, Readiness, api_proxy,
    client_certificate, to_json,
};
use crate::manifest::FLANNEL_GROUP;
use crate::resource::{Access, AuthorityName, Resource, Stage};
use crate::spec::ProxyMode;

const KUBECONFIG: &str = "/etc/kubernetes/flannel.conf";
/// What VXLAN puts around a packet over IPv4, in bytes.
const VXLAN_BYTES: u32 = 50;
const NET_CONF: &str = "/etc/kubewright/flannel/net-conf.json";

/// flannel of a node.
pub fn component(view: &View) -> Component {
    let mut component = Component::new(FLANNEL, Stage::Runtime);
    let client = client_certificate(
        "flannel",
        AuthorityName::Kubernetes,
        &format!("kubewright:flannel:{}", view.name()),
        &[FLANNEL_GROUP],
        "/etc/kubernetes/pki/flannel",
    );
    component.reads.push(Resource::Binary(view.binary("flanneld")));
    component.reads.push(
        Kubeconfig {
            path: KUBECONFIG,
            cluster: view.cluster.name.as_str(),
            user: "flannel",
            server: api_proxy::URL,
            certificate: &client,
        }
        .file(),
    );
    component.reads.extend(waiting(&conflist()));
    component
        .reads
        .push(directory("/etc/kubewright/flannel", Access::root(0o755)));
    component.reads.push(public_file(NET_CONF, net_conf(view)));
    component.shared.push(authority_id(AuthorityName::Kubernetes));
    component.rereads = plugins(view, &["bridge", "flannel", "host-local", "loopback", "portmap"]);
    component.rereads.push(Resource::Certificate(client));
    component.process = Some(process(view));
    component
}

fn process(view: &View) -> Process {
    let mut process = Process::new("flannel, the network between pods", Stage::Node);
    process.program = Some(view.binary("flanneld").path);
    process.arguments = Arguments::new([
        ("kube-subnet-mgr", "true"),
        ("kubeconfig-file", KUBECONFIG),
        ("net-config-path", NET_CONF),
        ("iface", &view.node.address.to_string()),
        ("ip-masq", "true"),
        ("healthz-ip", "127.0.0.1"),
        ("healthz-port", "10244"),
    ]);
    process
        .environment
        .insert("NODE_NAME".to_owned(), view.name().to_owned());
    process.readiness = Readiness::Notify { timeout_seconds: 330 };
    process.starts_after = vec![api_proxy::NAME, "containerd"];
    process.before_start = vec![api_proxy::wait_for_api()];
    process.after_start = announce();
    if let Some(mtu) = view.cluster.network.mtu {
        // flannel keeps an interface that is there as it is, whatever its MTU.
        let inner = (mtu - VXLAN_BYTES).to_string();
        let device = ["ip", "link", "set", "dev", "flannel.1", "mtu", &inner];
        process.after_start.insert(0, Command::new(device));
    }
    process.limits.oom_score_adjust = Some(-999);
    process.ports = vec![
        Port {
            name: "vxlan",
            number: 8472,
            address: Some(view.node.address),
        },
        Port {
            name: "health",
            number: 10244,
            address: Some([127, 0, 0, 1].into()),
        },
    ];
    process.probe = Some(Probe {
        url: "http://127.0.0.1:10244/healthz".to_owned(),
    });
    process
}

fn net_conf(view: &View) -> String {
    let network = &view.cluster.network;
    let mut value = json!({
        "Backend": {"Type": "vxlan"},
        "EnableNFTables": network.proxy != ProxyMode::Iptables,
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
