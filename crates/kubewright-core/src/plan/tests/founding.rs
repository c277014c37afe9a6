//! etcd is founded once, by the control planes that began it, and its members stay where they are.

use super::*;
use crate::observed::Founders;

const THREE: [&str; 3] = ["cp-1", "cp-2", "cp-3"];

/// A bootstrap that was interrupted when the founders were recorded.
fn interrupted(founders: &Cluster, now: &Cluster) -> Observed {
    let mut observed = blank(now);
    for seen in observed.nodes.values_mut() {
        seen.facts.founders = Some(Founders::of(founders));
    }
    observed
}

fn member(id: u64, name: &str, host: u64) -> EtcdMember {
    EtcdMember {
        id,
        name: name.to_owned(),
        peer_urls: vec![format!("https://192.0.2.{host}:2380")],
        is_learner: false,
    }
}

/// What the members of the control planes tell: of which cluster each is.
fn of_clusters(clusters: &[(&str, u64)]) -> ObservedEtcd {
    let status = |(member_id, (name, cluster_id)): (u64, &(&str, u64))| {
        let status = EtcdStatus {
            member_id,
            cluster_id: *cluster_id,
            has_leader: true,
            is_leader: member_id == 1,
            revision: 800 + member_id,
            database_bytes: 20 << 20,
            ..EtcdStatus::default()
        };
        ((*name).to_owned(), Ok(status))
    };
    ObservedEtcd {
        own: (1..).zip(clusters).map(status).collect(),
        ..ObservedEtcd::default()
    }
}

#[test]
fn no_member_starts_before_every_control_plane_keeps_the_founders() {
    let cluster = cluster(&NODES);
    let plan = plan_of(&cluster, &blank(&cluster)).unwrap();
    let records: Vec<&str> = plan
        .steps
        .iter()
        .filter(|planned| matches!(&planned.step, Step::RecordFounders { founders, .. } if *founders == Founders::of(&cluster)))
        .filter_map(|planned| planned.step.node())
        .collect();
    assert_eq!(records, THREE);
    let etcd = |planned: &&PlannedStep| {
        matches!(
            planned.step,
            Step::Converge {
                stage: Stage::Etcd,
                ..
            }
        )
    };
    let mut members = 0;
    for planned in plan.steps.iter().filter(etcd) {
        members += 1;
        let before = planned.after.iter().filter(|id| id.kind == StepKind::Founders);
        assert_eq!(before.count(), 3, "{}", planned.id);
    }
    assert_eq!(members, 3);
    // Once recorded they are not recorded again, and once the bootstrap is finished nobody needs them.
    for observed in [interrupted(&cluster, &cluster), converged(&cluster)] {
        let plan = plan_of(&cluster, &observed).unwrap();
        let records = |planned: &PlannedStep| matches!(planned.step, Step::RecordFounders { .. });
        assert!(!plan.steps.iter().any(records));
    }
}

#[test]
fn other_control_planes_do_not_take_up_a_bootstrap() {
    let three = cluster(&THREE);
    let one = cluster(&["cp-1"]);
    for (founders, now) in [(&three, &one), (&one, &three)] {
        let refusal = plan_of(now, &interrupted(founders, now)).unwrap_err();
        assert_eq!(refusal.rule(), "founders");
        let (text, hint) = (refusal.to_string(), refusal.hint());
        for set in [founders, now] {
            assert!(text.contains(&Founders::of(set).to_string()), "{text}");
        }
        assert!(
            hint.contains("put the control planes back") && hint.contains("kubewright reset"),
            "{hint}"
        );
    }
    // What an earlier version began has no record: its members tell.
    let mut observed = blank(&three);
    observed.etcd = Some(ObservedEtcd {
        members: Some(vec![member(1, "cp-1", 11)]),
        ..of_clusters(&[("cp-1", 7)])
    });
    let refusal = plan_of(&three, &observed).unwrap_err();
    assert_eq!(refusal.rule(), "founders");
    // One that has not started has no name yet, and is known by its address.
    observed.etcd.as_mut().unwrap().members = Some(vec![
        member(1, "cp-1", 11),
        member(2, "", 12),
        member(3, "cp-3", 13),
    ]);
    plan_of(&three, &observed).unwrap();
}

#[test]
fn a_member_stays_at_its_address() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    observed.etcd = Some(ObservedEtcd {
        members: Some(vec![
            member(1, "cp-1", 11),
            member(2, "cp-2", 99),
            member(3, "cp-3", 13),
        ]),
        ..of_clusters(&[("cp-1", 7), ("cp-2", 7), ("cp-3", 7)])
    });
    let refusal = plan_of(&cluster, &observed).unwrap_err();
    assert_eq!(refusal.rule(), "member-address");
    assert_eq!(
        refusal.to_string(),
        "the etcd member of cp-2 is at https://192.0.2.99:2380, and cluster.yaml has cp-2 at https://192.0.2.12:2380"
    );
    // With etcd down, what the node keeps of its founding tells the same.
    observed.etcd = None;
    let mut founders = Founders::of(&cluster);
    founders
        .0
        .insert("cp-2".to_owned(), "https://192.0.2.99:2380".to_owned());
    observed.nodes.get_mut("cp-2").unwrap().facts.founders = Some(founders);
    assert_eq!(plan_of(&cluster, &observed).unwrap_err().rule(), "member-address");
}

#[test]
fn a_founder_that_is_still_a_member_is_not_forgotten() {
    let one = cluster(&["cp-1"]);
    let mut observed = converged(&one);
    let founders = Founders::of(&cluster(&THREE));
    observed.nodes.get_mut("cp-1").unwrap().facts.founders = Some(founders);
    observed.etcd = Some(ObservedEtcd {
        members: Some(vec![
            member(1, "cp-1", 11),
            member(2, "cp-2", 12),
            member(3, "cp-3", 13),
        ]),
        ..of_clusters(&[("cp-1", 7)])
    });
    let refusal = plan_of(&one, &observed).unwrap_err();
    assert_eq!(refusal.rule(), "node-removal");
    assert!(refusal.to_string().contains("\"cp-2\""), "{refusal}");
}

#[test]
fn two_clusters_are_called_two_clusters() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    let mut etcd = of_clusters(&[("cp-1", 0x1a), ("cp-2", 0x2b), ("cp-3", 0x2b)]);
    etcd.members = Some(vec![
        member(1, "cp-1", 11),
        member(2, "cp-2", 12),
        member(3, "cp-3", 13),
    ]);
    etcd.lists.insert("cp-1".to_owned(), vec![member(1, "cp-1", 11)]);
    let three = etcd.members.clone().unwrap();
    etcd.lists.insert("cp-3".to_owned(), three);
    observed.etcd = Some(etcd);
    let refusal = plan_of(&cluster, &observed).unwrap_err();
    assert_eq!(refusal.rule(), "two-etcd-clusters");
    assert_eq!(
        refusal.to_string(),
        "etcd is 2 clusters: 1a on cp-1 (members cp-1; leader cp-1; revision 801, 20 MiB); 2b on cp-2, cp-3 (members \
         cp-1, cp-2, cp-3; leader not seen; revision 803, 20 MiB)"
    );
}

#[test]
fn a_reset_takes_down_machines_of_one_cluster_only() {
    let cluster = cluster(&NODES);
    let mut observed = converged(&cluster);
    for (name, seen) in &mut observed.nodes {
        seen.facts.marker = Some(Marker {
            cluster: cluster.name.to_string(),
            cluster_id: if name == "w-1" { "b" } else { "a" }.to_owned(),
            node: name.clone(),
            ..Marker::default()
        });
    }
    let refusal = plan_reset(&cluster, &observed).unwrap_err();
    assert_eq!(refusal.rule(), "node-identity");
    assert_eq!(
        refusal.to_string(),
        "cp-1 and w-1 belong to different clusters (ids a and b)"
    );
    let keeps = |observed: &Observed| observed.cluster_id(&cluster).map(str::to_owned);
    assert_eq!(keeps(&observed).as_deref(), Some("a"));
    // A worker's id is not the cluster's.
    observed.nodes.retain(|name, _| name == "w-1");
    assert_eq!(keeps(&observed), None);
}
