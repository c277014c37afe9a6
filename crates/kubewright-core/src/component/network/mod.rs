//! The network between pods: what kubewright brings itself, and where other programs look for it.
//!
//! The CNI configuration says to the kubelet that the node has a network. So it is written last, to tmpfs: nothing
//! stale outlives a reboot, and no pod starts before its addresses can be given and reached.

pub mod bridge;
pub mod flannel;
pub mod plugins;

use serde_json::Value;

use super::{Command, Description, Rival, to_json};
use crate::component::view::{View, directory};
use crate::resource::{Access, Resource};
use crate::spec::Cni;

/// Where CNI plug-ins are.
pub const PLUGIN_DIRECTORY: &str = "/opt/cni/bin";

/// Where kubewright's networks put the CNI configuration when they are up.
const OWN_CONFIGURATION_DIRECTORY: &str = "/run/kubewright/cni/net.d";
/// Where a network of the user's own puts it.
const USUAL_CONFIGURATION_DIRECTORY: &str = "/etc/cni/net.d";
/// Where the configuration waits until the network is up.
const WAITING_DIRECTORY: &str = "/etc/kubewright/cni";
/// One name for every network: the runtime takes the first file, and there must never be two.
const CONFLIST: &str = "10-kubewright.conflist";

/// Where the runtime looks for the CNI configuration.
pub fn configuration_directory(view: &View) -> &'static str {
    match view.cluster.network.cni {
        Cni::Flannel | Cni::Bridge => OWN_CONFIGURATION_DIRECTORY,
        Cni::Calico | Cni::Cilium | Cni::None => USUAL_CONFIGURATION_DIRECTORY,
    }
}

/// How another network between pods is recognised: its interfaces take packets that are not theirs.
const RIVAL: Rival = Rival::new(
    "another pod network",
    "remove the software that created these interfaces, then reboot the node or delete each: ip link delete NAME",
);
/// The bridge that pods are plugged into.
const BRIDGE: &str = "cni0";

/// A component's programs besides the one that runs, as plug-ins.
fn plugins(view: &View, description: &Description) -> Vec<Resource> {
    let directories = ["/opt/cni", PLUGIN_DIRECTORY].map(|path| directory(path, Access::root(0o755)));
    let binaries = description
        .other_binaries()
        .map(|name| Resource::Binary(view.binary_at(&format!("{PLUGIN_DIRECTORY}/{name}"), name)));
    directories.into_iter().chain(binaries).collect()
}

/// The waiting CNI configuration, and the directories above it.
fn waiting(configuration: &Value) -> Vec<Resource> {
    vec![
        directory("/etc/kubewright", Access::root(0o755)),
        directory(WAITING_DIRECTORY, Access::root(0o755)),
        crate::component::view::private_file(
            &format!("{WAITING_DIRECTORY}/{CONFLIST}"),
            to_json(configuration),
        ),
    ]
}

/// Puts the waiting configuration in place, whole or not at all.
///
/// The copy is made in the very directory, under a name the runtime does not read: containerd (2.3) reloads on renames
/// within the directory and ignores a file that is moved in from elsewhere, which it sees as created.
fn announce() -> Vec<Command> {
    let copy = format!("{OWN_CONFIGURATION_DIRECTORY}/.{CONFLIST}.new");
    let source = format!("{WAITING_DIRECTORY}/{CONFLIST}");
    let target = format!("{OWN_CONFIGURATION_DIRECTORY}/{CONFLIST}");
    vec![
        Command::new(["mkdir", "-p", OWN_CONFIGURATION_DIRECTORY]),
        Command::new(["cp", &source, &copy]),
        Command::new(["mv", "-f", &copy, &target]),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn renames_the_configuration_within_its_directory() {
        let commands = super::announce();
        let [.., copy, target] = commands[2].words.as_slice() else {
            panic!("mv takes two paths")
        };
        assert_eq!(Path::new(copy).parent(), Path::new(target).parent());
        // What ends otherwise is not read by the runtime.
        assert_eq!(Path::new(copy).extension(), Some("new".as_ref()));
    }
}
