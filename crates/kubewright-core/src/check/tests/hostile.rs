//! Whatever a node says, there is an answer, and it is harmless.

use std::net::IpAddr;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::super::{Clock, Report, Silent, Unreachable};
use super::Scene;
use crate::observed::{
    Disk, Facts, LaterSetting, Leftover, Link, Listener, Marker, ModuleState, PathObstacle, PathObstacleKind,
    Setting,
};

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just("prod".to_owned()),
        Just("cp-1".to_owned()),
        Just("/var/lib/containerd".to_owned()),
        Just("6.1".to_owned()),
        Just("\u{1b}[31m$(reboot)\n".to_owned()),
    ]
}

fn disk() -> impl Strategy<Value = Disk> {
    (
        word(),
        any::<u64>(),
        any::<u64>(),
        option::of(any::<u64>()),
        any::<[bool; 2]>(),
    )
        .prop_map(|(mount, free_bytes, total_bytes, free_inodes, flags)| Disk {
            mount,
            free_bytes,
            total_bytes,
            free_inodes,
            read_only: flags[0],
            no_exec: flags[1],
        })
}

fn module() -> impl Strategy<Value = ModuleState> {
    prop_oneof![
        word().prop_map(|by| ModuleState::Blocked { by }),
        word().prop_map(|release| ModuleState::OtherKernel { release }),
        Just(ModuleState::Absent {}),
        Just(ModuleState::Locked {}),
        Just(ModuleState::OnHost {}),
    ]
}

/// What a machine brings along.
fn machine() -> impl Strategy<Value = Facts> {
    let key = prop_oneof![
        word(),
        Just("kernel.panic".to_owned()),
        Just("net.ipv4.ip_forward".to_owned())
    ];
    let later = (word(), word()).prop_map(|(path, value)| LaterSetting { path, value });
    let setting =
        (option::of(word()), any::<bool>(), option::of(later)).prop_map(|(value, writable, later)| Setting {
            value,
            writable,
            later,
        });
    let obstacle = (
        word(),
        prop_oneof![
            Just(PathObstacleKind::Link),
            Just(PathObstacleKind::Immutable),
            Just(PathObstacleKind::NotADirectory),
            Just(PathObstacleKind::AppendOnly),
        ],
    )
        .prop_map(|(path, what)| PathObstacle { path, what });
    let address = prop_oneof![Just("192.0.2.11".parse().unwrap()), any::<IpAddr>()];
    let link = (word(), btree_map(address, any::<u8>(), 0..3)).prop_map(|(mac, prefixes)| Link {
        mac,
        mtu: None,
        prefixes,
    });
    let name = prop_oneof![word(), Just("overlay".to_owned()), Just("vxlan".to_owned())];
    (
        (word(), option::of(word()), word()),
        btree_map(name, module(), 0..4),
        btree_map(key, setting, 0..4),
        (
            vec(word(), 0..3),
            vec(obstacle, 0..4),
            btree_map(word(), link, 0..3),
        ),
    )
        .prop_map(
            |(texts, modules, settings, (swap_units, obstacles, links))| Facts {
                product_uuid: texts.0,
                container: texts.1,
                nft_version: texts.2,
                modules,
                settings,
                swap_units,
                obstacles,
                links,
                ..Facts::default()
            },
        )
}

fn facts() -> impl Strategy<Value = Facts> {
    let listener = (prop_oneof![any::<u16>(), Just(6443)], word(), word())
        .prop_map(|(port, process, unit)| Listener { port, process, unit });
    let leftover = (word(), word()).prop_map(|(what, of)| Leftover { what, of });
    let marker = (word(), word(), word()).prop_map(|(cluster, cluster_id, node)| Marker {
        cluster,
        cluster_id,
        node,
        pod_cidr: None,
        ..Marker::default()
    });
    let texts = (word(), word(), word(), word(), word());
    let numbers = (any::<u32>(), any::<u32>(), any::<u64>(), 0..4u32);
    let lists = (vec(word(), 0..4), vec(word(), 0..4), vec(word(), 0..12));
    let maps = (
        btree_map(word(), disk(), 0..4),
        btree_map(word(), vec(any::<IpAddr>(), 0..3), 0..3),
        btree_map(word(), word(), 0..3),
    );
    let rest = (
        vec(listener, 0..4),
        vec(leftover, 0..8),
        option::of(marker),
        any::<[bool; 3]>(),
    );
    (texts, numbers, lists, maps, rest, option::of(word()), machine()).prop_map(
        |(texts, numbers, lists, maps, (listening, leftovers, marker, flags), odd, machine)| Facts {
            hostname: texts.0,
            machine_id: texts.1,
            kernel: texts.2,
            architecture: texts.3,
            os_id: texts.4,
            systemd: numbers.0,
            processors: numbers.1,
            memory_bytes: numbers.2,
            cgroup_version: numbers.3,
            swaps: lists.0,
            cgroup_controllers: lists.1,
            missing_commands: lists.2,
            disks: maps.0,
            addresses: maps.1,
            authority_certificates: maps.2,
            listening,
            leftovers,
            marker,
            has_default_route: flags[0],
            is_bootstrapped: flags[1],
            clock_synchronized: Some(flags[2]),
            selinux: odd.clone(),
            unfinished_run: odd,
            ..machine
        },
    )
}

proptest! {
    #[test]
    fn answers_whatever_nodes_say_without_passing_on_control_characters(
        facts in vec(facts(), 1..4),
        clocks in vec((any::<i64>(), any::<i64>()), 5),
        causes in vec((0..6usize, 0..6usize, any::<u16>(), word()), 0..6),
    ) {
        let mut scene = Scene::blank();
        let names: Vec<String> = scene.cluster.nodes.iter().map(|node| node.name.to_string()).collect();
        for (name, facts) in names.iter().zip(facts) {
            *scene.facts(name) = facts;
        }
        for (name, (offset_ms, uncertainty_ms)) in names.iter().zip(clocks) {
            scene.measured.clocks.insert(name.clone(), Clock { offset_ms, uncertainty_ms });
        }
        let name = |index: usize| names.get(index).cloned().unwrap_or_else(|| "unknown".to_owned());
        for (from, to, port, cause) in causes {
            scene.measured.silent.insert(name(from), Silent { cause: cause.clone(), fix: String::new() });
            scene.measured.unreachable.push(Unreachable { from: name(from), to: name(to), port, cause });
        }
        let findings = scene.findings();
        prop_assert_eq!(&findings, &scene.findings());
        for finding in &findings {
            prop_assert!(!finding.message.contains(char::is_control), "{:?}", finding);
            prop_assert!(!finding.fix.contains(char::is_control), "{:?}", finding);
            prop_assert!(!finding.fix.contains("$("), "{:?}", finding);
        }
        let report = Report::new(&scene.cluster, 0, &scene.measured, findings);
        prop_assert_eq!(serde_json::from_str::<Report>(&serde_json::to_string(&report).unwrap()).unwrap(), report);
    }

    #[test]
    fn a_round_trip_bounds_the_true_offset(sent in 0..1i64 << 50, there in 0..1i64 << 20, back in 0..1i64 << 20, offset in -1i64 << 40..1i64 << 40) {
        let clock = Clock::from_round_trip(sent, sent + there + offset, sent + there + back);
        prop_assert!((clock.offset_ms - offset).abs() <= clock.uncertainty_ms);
    }
}

#[test]
fn blank_facts_and_no_facts_are_no_panic() {
    let mut scene = Scene::blank();
    for facts in scene.all() {
        *facts = Facts::default();
    }
    assert!(
        scene.ids().iter().all(|id| id.starts_with("error systemd")),
        "{:?}",
        scene.ids()
    );
    scene.observed.nodes.clear();
    scene.measured = super::Measured::default();
    assert_eq!(scene.ids(), [""; 0]);
}
