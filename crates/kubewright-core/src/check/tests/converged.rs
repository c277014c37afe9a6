//! A cluster that runs: its own ports, places and addresses are no findings.

use std::collections::BTreeSet;

use super::super::{Scope, Unreachable, needed_ports, probes, right_machine};
use super::{GIB, Scene};
use crate::carrier::unit_name;
use crate::observed::{Leftover, Listener};

fn converged() -> Scene {
    let mut scene = Scene::blank();
    for node in scene.cluster.nodes.clone() {
        let ports = needed_ports(&scene.cluster, &node);
        let facts = scene.own(node.name.as_str());
        facts.listening = ports
            .iter()
            .map(|needed| Listener {
                port: needed.port.number,
                process: needed.component.name.to_owned(),
                unit: unit_name(needed.component.name),
            })
            .collect();
        facts.leftovers = [
            "/etc/kubernetes/pki",
            "/var/lib/kubelet",
            "containerd.service",
            "/etc/cni/net.d",
        ]
        .map(|what| Leftover {
            what: what.to_owned(),
            of: "kubeadm".to_owned(),
        })
        .into();
        facts
            .addresses
            .insert("cni0".to_owned(), vec!["10.244.1.1".parse().unwrap()]);
        facts
            .addresses
            .insert("flannel.1".to_owned(), vec!["10.244.1.0".parse().unwrap()]);
        facts.is_bootstrapped = true;
        facts.has_etcd_data = node.is_control_plane();
        for disk in facts.disks.values_mut() {
            disk.free_bytes = 16 * GIB;
        }
        facts
            .authority_certificates
            .insert("/etc/kubernetes/pki/ca.crt".to_owned(), "PEM".to_owned());
    }
    scene
}

#[test]
fn finds_nothing_on_a_cluster_that_runs() {
    assert_eq!(converged().ids(), [""; 0]);
}

#[test]
fn knows_its_processes_where_units_could_not_be_found_out() {
    let mut scene = converged();
    for listener in &mut scene.facts("cp-1").listening {
        listener.unit.clear();
        listener.process.truncate(15);
    }
    for listener in &mut scene.facts("cp-1").listening {
        if listener.process.starts_with("kubewright") {
            "agent".clone_into(&mut listener.process);
        }
    }
    assert_eq!(scene.ids(), [""; 0]);
}

#[test]
fn the_same_things_without_the_mark_are_somebody_elses() {
    let mut scene = converged();
    scene.facts("w-1").marker = None;
    let ids = scene.ids();
    assert!(ids.contains(&"error port-in-use w-1".to_owned()), "{ids:?}");
    assert!(ids.contains(&"error leftovers w-1".to_owned()), "{ids:?}");
}

#[test]
fn another_process_on_a_port_of_ours_is_told_also_on_a_node_of_ours() {
    let mut scene = converged();
    scene.facts("w-1").listening[0].unit = "haproxy.service".to_owned();
    assert_eq!(scene.ids(), ["error port-in-use w-1"]);
}

#[test]
fn tells_a_control_plane_that_lost_its_data() {
    let mut scene = converged();
    scene.facts("cp-2").has_etcd_data = false;
    assert_eq!(scene.ids(), ["error member-without-data cp-2"]);
}

#[test]
fn tells_the_node_whose_authority_is_a_strangers() {
    let mut scene = converged();
    let path = "/etc/kubernetes/pki/ca.crt".to_owned();
    scene
        .facts("w-2")
        .authority_certificates
        .insert(path, "other PEM".to_owned());
    assert_eq!(scene.ids(), ["error authority-mismatch w-2"]);
}

#[test]
fn tells_all_nodes_when_two_clusters_have_one_name() {
    let mut scene = converged();
    scene.facts("w-2").marker.as_mut().unwrap().cluster_id = "ffff".to_owned();
    assert_eq!(scene.ids().len(), 5);
    assert!(scene.ids().iter().all(|id| id.starts_with("error other-cluster")));
}

#[test]
fn tries_each_needed_connection_once_and_none_to_itself() {
    let probes = probes(&Scene::blank().cluster);
    assert!(probes.iter().all(|probe| probe.from != probe.to));
    let of = |from: &str, to: &str| -> Vec<u16> {
        let matching = probes.iter().filter(|probe| probe.from == from && probe.to == to);
        matching.map(|probe| probe.port).collect()
    };
    assert_eq!(of("cp-1", "cp-2"), [2379, 2380, 6443, 10250]);
    assert_eq!(of("w-1", "cp-2"), [6443, 10250]);
    assert_eq!(of("cp-1", "w-1"), [10250]);
    assert_eq!(of("w-1", "w-2"), [10250]);
}

#[test]
fn what_is_checked_before_a_run_is_what_is_new() {
    let everybody = ["cp-1", "cp-2", "cp-3", "w-1", "w-2"];
    let scope = |scene: &Scene, touched: &[&str]| {
        Scope::of_run(&scene.cluster, &scene.observed, touched.iter().copied())
    };
    assert_eq!(scope(&Scene::blank(), &everybody), Scope::All);
    assert_eq!(scope(&converged(), &everybody), Scope::Nobody);
    let mut scene = converged();
    *scene.facts("w-2") = right_machine(9, "192.0.2.22".parse().unwrap());
    assert_eq!(scope(&scene, &["cp-1"]), Scope::Nobody, "nothing is done on it");
    let new = scope(&scene, &everybody);
    assert_eq!(new, Scope::New(BTreeSet::from(["w-2".to_owned()])));

    // What is wrong with a node that serves keeps no other from joining; what is wrong with the new one does.
    scene.facts("w-1").memory_bytes = GIB / 2;
    scene.facts("w-2").memory_bytes = GIB / 2;
    scene.measured.unreachable.push(Unreachable {
        from: "w-2".to_owned(),
        to: "cp-1".to_owned(),
        port: 6443,
        cause: "connection timed out".to_owned(),
    });
    let covered: Vec<String> = scene
        .findings()
        .iter()
        .filter(|finding| new.covers(finding))
        .map(|finding| format!("{} {}", finding.kind.id(), finding.node.as_deref().unwrap_or("-")))
        .collect();
    assert_eq!(covered, ["memory w-2", "unreachable-port cp-1"]);
}
