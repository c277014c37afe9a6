//! A network of the user's own: kubewright brings the plug-in every pod needs, and a place for the configuration.

use super::{BRIDGE, USUAL_CONFIGURATION_DIRECTORY, plugins};
use crate::component::view::{View, directory};
use crate::component::{Component, Description, Traces};
use crate::resource::{Access, Stage};
use crate::spec::Cni;

/// The plug-in, where the cluster's network is none of kubewright's.
pub const DESCRIPTION: Description = Description {
    binaries: &["loopback"],
    // Of all reference plug-ins: the other networks bring more of them, and they leave this wherever they ran.
    traces: Traces {
        directories: &["/var/lib/cni", "/etc/cni", "/etc/kubewright"],
        links: &[BRIDGE],
        tables: &["cni_hostport", "cni_plugins_masquerade", "hostport"],
        chains: &["CNI-"],
    },
    ..Description::new("cni", Stage::Node, |cluster, _| {
        matches!(cluster.network.cni, Cni::Calico | Cni::Cilium | Cni::None)
    })
};

/// The plug-in of a node.
pub fn component(view: &View) -> Component {
    let mut component = Component::new(&DESCRIPTION);
    component.rereads = plugins(view, &DESCRIPTION);
    component.rereads.push(directory("/etc/cni", Access::root(0o755)));
    component
        .rereads
        .push(directory(USUAL_CONFIGURATION_DIRECTORY, Access::root(0o755)));
    component
}
