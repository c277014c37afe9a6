//! How what other installers left is removed.

use crate::carrier::stop_command;
use crate::component;

/// Returns what takes away what is of that name, as the agent names it.
pub(super) fn remedy(of: &str) -> String {
    let rival = component::ALL
        .iter()
        .find_map(|component| Some((component.name, component.rival.filter(|rival| rival.of == of)?)));
    match rival {
        Some((name, rival)) if rival.unit.is_some() => format!("{}, {}", stop_command(name), rival.remedy),
        Some((_, rival)) => rival.remedy.to_owned(),
        None => foreign(of).to_owned(),
    }
}

/// The same for installers and runtimes that are no component of ours.
fn foreign(of: &str) -> &'static str {
    match of {
        "kubeadm" => {
            "kubeadm reset --force && rm -rf /etc/kubernetes /etc/cni/net.d, and remove its packages (kubeadm, kubelet)"
        }
        "a kubelet package" => {
            "systemctl disable --now kubelet.service, remove the kubelet's package or unit file, and move its files away"
        }
        "another network plug-in" => "move the files away; the kubelet would use the first of them",
        "k3s" => "run /usr/local/bin/k3s-uninstall.sh (on agents: k3s-agent-uninstall.sh)",
        "rke2" => "run /usr/local/bin/rke2-uninstall.sh",
        "k0s" => "k0s stop && k0s reset",
        "microk8s" => "snap remove --purge microk8s",
        "docker" => {
            "systemctl disable --now docker.socket docker.service containerd.service, and remove its packages \
             (containers and images in /var/lib/docker stay)"
        }
        "CRI-O" => "systemctl disable --now crio.service, and remove its package",
        _ => "remove it with the tool that installed it; kubewright neither adopts nor deletes it",
    }
}

#[cfg(test)]
mod tests {
    use super::remedy;

    #[test]
    fn stops_a_component_of_another_before_it_is_taken_away() {
        assert_eq!(
            remedy("another example"),
            "systemctl disable --now example.service, and remove it"
        );
        assert_eq!(
            remedy("another pod network"),
            "remove the software that created these interfaces, then reboot the node or delete each: ip link delete NAME"
        );
        assert!(remedy("something").contains("the tool that installed it"));
    }
}
