//! What can be made wrong with right machines.

use std::collections::BTreeMap;

use super::super::{Clock, LostDatagram, Silent};
use super::Scene;
use crate::observed::{
    CertificateFact, Disk, ForwardDrop, LaterSetting, Link, Listener, ModuleState, PathObstacle,
    PathObstacleKind, ResolverFile, Route, Setting, SyncSpeed,
};

pub(super) fn listen(scene: &mut Scene, node: &str, port: u16, process: &str, unit: &str) {
    let listener = Listener {
        port,
        process: process.to_owned(),
        unit: unit.to_owned(),
    };
    scene.facts(node).listening.push(listener);
}

pub(super) fn clock(scene: &mut Scene, node: &str, offset_ms: i64) {
    scene.measured.clocks.insert(
        node.to_owned(),
        Clock {
            offset_ms,
            uncertainty_ms: 10,
        },
    );
}

pub(super) fn disks(scene: &mut Scene, change: fn(&mut Disk)) {
    for disk in scene.facts("w-1").disks.values_mut() {
        change(disk);
    }
}

pub(super) fn silent(scene: &mut Scene, node: &str, cause: &str, fix: &str) {
    scene.observed.nodes.remove(node);
    scene.measured.clocks.remove(node);
    let silent = Silent {
        cause: cause.to_owned(),
        fix: fix.to_owned(),
    };
    scene.measured.silent.insert(node.to_owned(), silent);
}

pub(super) fn module(scene: &mut Scene, name: &str, state: ModuleState) {
    scene.facts("w-1").modules.insert(name.to_owned(), state);
}

pub(super) fn setting<'s>(scene: &'s mut Scene, key: &str) -> &'s mut Setting {
    scene.facts("w-1").settings.get_mut(key).unwrap()
}

/// Another file sets one of w-1's kernel settings.
pub(super) fn later(scene: &mut Scene, key: &str, value: &str) {
    setting(scene, key).later = Some(LaterSetting {
        path: "/etc/sysctl.d/99-sysctl.conf".to_owned(),
        value: value.to_owned(),
    });
}

/// A chain of w-1 drops what is forwarded, except what is accepted.
pub(super) fn forward_drop(scene: &mut Scene, accepts: &[&str]) {
    let chain = "ip filter FORWARD".to_owned();
    let accepts = accepts.iter().map(|accepted| (*accepted).to_owned()).collect();
    scene.facts("w-1").forward_drops = vec![ForwardDrop { chain, accepts }];
}

/// w-1 has a route.
pub(super) fn route(scene: &mut Scene, to: &str, interface: &str) {
    scene.facts("w-1").routes.push(Route {
        to: to.to_owned(),
        interface: interface.to_owned(),
    });
}

/// Datagrams of cp-1 to w-1 are lost.
pub(super) fn lost(scene: &mut Scene, bytes: Option<u16>) {
    scene.measured.datagrams.push(LostDatagram {
        from: "cp-1".to_owned(),
        to: "w-1".to_owned(),
        port: 8472,
        bytes,
        cause: "nothing came back".to_owned(),
    });
}

/// cp-1's disk needs so long.
pub(super) fn sync(scene: &mut Scene, p99_us: u64) {
    let speed = SyncSpeed { writes: 500, p99_us };
    scene.measured.syncs.insert("cp-1".to_owned(), speed);
}

/// What w-1's /etc/resolv.conf says.
pub(super) fn name_servers(scene: &mut Scene, text: &str) {
    scene.facts("w-1").resolvers = vec![ResolverFile::parse("/etc/resolv.conf", text)];
}

pub(super) fn obstacle(scene: &mut Scene, path: &str, what: PathObstacleKind) {
    let path = path.to_owned();
    scene.facts("w-1").obstacles.push(PathObstacle { path, what });
}

/// A node of this cluster with an authority that ends in so many days.
pub(super) fn authority_ends(scene: &mut Scene, node: &str, days: i64) {
    let facts = scene.own(node);
    facts.clock_ms = 1_800_000_000_000;
    facts.certificates.push(CertificateFact {
        path: "/etc/kubernetes/pki/ca.crt".to_owned(),
        common_name: "kubernetes".to_owned(),
        not_after: 1_800_000_000 + days * 86_400,
    });
}

/// w-2's interface with the hardware address of another node's.
pub(super) fn one_mac(scene: &mut Scene, other: &str, length: u8) -> BTreeMap<String, Link> {
    let mac = scene.facts(other).links["eth0"].mac.to_uppercase();
    let prefixes = [("192.0.2.22".parse().unwrap(), length)].into();
    let link = Link {
        mac,
        prefixes,
        ..Link::default()
    };
    [("eth0".to_owned(), link)].into()
}
