//! Every safety rule refuses, by its name.

use super::*;
use crate::observed::Founders;

const CONTROL_PLANES: [&str; 3] = ["cp-1", "cp-2", "cp-3"];

fn etcd_restart() -> Difference {
    Difference {
        resource: ResourceId::new("unit", "etcd.service"),
        change: Change::Unit {
            before: Some("[Service]\n".to_owned()),
            enable: false,
            action: UnitAction::Restart,
            found: Vec::new(),
        },
    }
}

/// A cluster in which etcd is to be restarted everywhere.
fn to_be_restarted(names: &[&str]) -> (Cluster, BTreeMap<String, NodeState>, Observed) {
    let cluster = cluster(names);
    let mut states = states(&cluster);
    let mut observed = converged(&cluster);
    for node in names {
        let unit = Resource::Unit(crate::resource::Unit {
            name: "etcd.service".to_owned(),
            content: "[Service]\nRestart=always\n".to_owned(),
            start: crate::resource::Start::Wait,
            inputs: Vec::new(),
        });
        states.get_mut(*node).unwrap().extend(Stage::Etcd, [unit]);
        let seen = observed.nodes.get_mut(*node).unwrap();
        seen.differences.push(etcd_restart());
    }
    (cluster, states, observed)
}

#[test]
fn every_rule_refuses_by_its_name() {
    let cluster = cluster(&NODES);
    let plan = |observed: &Observed| plan_of(&cluster, observed).unwrap_err().id();
    let with = |change: &dyn Fn(&mut Observed)| {
        let mut observed = converged(&cluster);
        change(&mut observed);
        plan(&observed)
    };
    let marker = |cluster: &str| Marker {
        cluster: cluster.to_owned(),
        cluster_id: "other".to_owned(),
        node: "w-1".to_owned(),
        pod_cidr: None,
        kubernetes: None,
        fixed: None,
    };
    let seen = |observed: &mut Observed, node: &str, change: &dyn Fn(&mut ObservedNode)| {
        change(observed.nodes.get_mut(node).unwrap());
    };
    let mut small = cluster.clone();
    small.network.pod_cidr = "10.0.0.0/24".parse().unwrap();
    let blank = blank(&cluster);
    let whole = plan_of(&cluster, &blank).unwrap();
    let empty = plan_of(&cluster, &converged(&cluster)).unwrap();
    let making = Making {
        kubewright: "1",
        cluster: "test",
        cluster_id: None,
        at: String::new(),
        by: "",
        only: &[],
    };
    let saved = SavedPlan::new(whole.clone(), MadeFrom::default(), making);
    let refused = [
        allocate_pod_ranges(&small, &blank).unwrap_err().id(),
        with(&|observed| {
            seen(observed, "w-1", &|node| node.facts.marker = Some(marker("other")));
        }),
        with(&|observed| {
            let fixed = FixedSettings {
                domain: "other.local".to_owned(),
                ..FixedSettings::of(&cluster)
            };
            let marker = Marker {
                cluster_id: String::new(),
                fixed: Some(fixed),
                ..marker("test")
            };
            seen(observed, "w-1", &|node| node.facts.marker = Some(marker.clone()));
        }),
        with(&|observed| {
            let api = observed.api.as_mut().unwrap();
            api.kubelet_versions.insert("w-1".to_owned(), "v9.9.9".to_owned());
        }),
        with(&|observed| {
            let marker = Marker {
                cluster_id: String::new(),
                pod_cidr: Some("0.0.0.0/0".to_owned()),
                ..marker("test")
            };
            seen(observed, "w-1", &|node| node.facts.marker = Some(marker.clone()));
        }),
        with(&|observed| {
            observed
                .api
                .as_mut()
                .unwrap()
                .unknown_nodes
                .push("w-9".to_owned());
        }),
        with(&|observed| {
            let status = |cluster_id| EtcdStatus {
                cluster_id,
                ..EtcdStatus::default()
            };
            let own = [("cp-1", 1), ("cp-2", 2)].map(|(name, id)| (name.to_owned(), Ok(status(id))));
            observed.etcd = Some(ObservedEtcd {
                own: own.into(),
                ..ObservedEtcd::default()
            });
        }),
        with(&|observed| {
            for node in observed.nodes.values_mut() {
                node.facts.is_bootstrapped = false;
                node.facts.founders = Some(Founders::default());
            }
        }),
        with(&|observed| {
            let elsewhere = ("cp-1".to_owned(), "https://192.0.2.99:2380".to_owned());
            let founders = Founders([elsewhere].into());
            seen(observed, "cp-1", &|node| {
                node.facts.founders = Some(founders.clone());
            });
        }),
        with(&|observed| seen(observed, "cp-1", &|node| node.facts.has_etcd_data = false)),
        with(&|observed| {
            seen(observed, "w-1", &|node| {
                node.differences.push(Difference {
                    resource: ResourceId::new("file", "/etc/x"),
                    change: Change::Blocked {
                        reason: "a directory".to_owned(),
                    },
                });
            });
        }),
        {
            let (cluster, states, mut observed) = to_be_restarted(&CONTROL_PLANES);
            for node in ["cp-2", "cp-3"] {
                seen(&mut observed, node, &|node| node.facts.etcd = None);
            }
            plan_apply(&cluster, &states, &[], &observed).unwrap_err().id()
        },
        restrict(&whole, &["w-1".to_owned()].into()).unwrap_err().id(),
        saved.refuse_other(&empty, "1").unwrap_err().id(),
    ];
    assert_eq!(refused.to_vec(), RULES.map(|rule| rule.id).to_vec());
}

#[test]
fn whatever_disturbs_a_control_plane_is_guarded_and_nothing_else() {
    let (cluster, states, observed) = to_be_restarted(&CONTROL_PLANES);
    let plan = plan_apply(&cluster, &states, &[], &observed).unwrap();
    let planned = |id: &str| {
        let id: StepId = id.parse().unwrap();
        plan.steps.iter().find(|planned| planned.id == id).unwrap()
    };
    let others = Guard::ControlPlanesHealthy {
        nodes: vec!["cp-2".to_owned(), "cp-3".to_owned()],
    };
    let guards = [others, Guard::EtcdQuorum {}, Guard::ItselfHealthy {}];
    assert_eq!(planned("cp-1/etcd").guard, guards);
    assert_eq!(
        planned("cp-1/etcd-ready").guard,
        guards[..2],
        "until it is ready again"
    );
    let text = text::render(&plan, &states, &BTreeMap::new());
    assert!(
        text.contains(
            "  only while: the other control planes are healthy (etcd member and API server); etcd has a quorum without \
             this member; it is healthy itself when it begins\n"
        ),
        "{text}"
    );
    let bootstrap = plan_of(&cluster, &blank(&cluster)).unwrap();
    assert!(bootstrap.steps.iter().all(|planned| planned.guard.is_empty()));
}

#[test]
fn one_control_plane_alone_is_not_guarded() {
    let (cluster, states, observed) = to_be_restarted(&CONTROL_PLANES[..1]);
    let plan = plan_apply(&cluster, &states, &[], &observed).unwrap();
    assert!(plan.steps.iter().all(|planned| planned.guard.is_empty()));
}

#[test]
fn a_guard_fails_when_any_other_control_plane_has_failed_since() {
    let (cluster, _, observed) = to_be_restarted(&CONTROL_PLANES);
    let others = Guard::ControlPlanesHealthy {
        nodes: vec!["cp-2".to_owned(), "cp-3".to_owned()],
    };
    assert_eq!(others.hold("cp-1", &cluster, &observed), Ok(()));
    assert_eq!(Guard::EtcdQuorum {}.hold("cp-1", &cluster, &observed), Ok(()));
    let failures: [fn(&mut Observed); 3] = [
        |observed| drop(observed.nodes.remove("cp-3")),
        |observed| observed.nodes.get_mut("cp-3").unwrap().facts.etcd = Some(Health::Down),
        |observed| observed.nodes.get_mut("cp-3").unwrap().facts.api_server = Some(Health::Starting),
    ];
    for fail in failures {
        let mut observed = observed.clone();
        fail(&mut observed);
        let refusal = others.hold("cp-1", &cluster, &observed).unwrap_err();
        assert_eq!(refusal.rule(), "quorum");
        assert!(refusal.to_string().contains("cp-3"), "{refusal}");
        assert_eq!(
            may_disturb("cp-1", &cluster, &observed).unwrap_err().rule(),
            "quorum"
        );
        // The one that failed takes nothing away from anybody.
        assert_eq!(may_disturb("cp-3", &cluster, &observed), Ok(()));
    }
    let itself = Guard::ItselfHealthy {};
    assert_eq!(itself.hold("cp-1", &cluster, &observed), Ok(()));
    let mut failed = observed.clone();
    failed.nodes.get_mut("cp-1").unwrap().facts.api_server = Some(Health::Down);
    assert!(itself.is_asked_once() && itself.hold("cp-1", &cluster, &failed).is_err());
    let mut lost = observed.clone();
    lost.nodes.get_mut("cp-3").unwrap().facts.etcd = Some(Health::Down);
    let refusal = Guard::EtcdQuorum {}.hold("cp-1", &cluster, &lost).unwrap_err();
    assert!(refusal.to_string().contains("cp-3"), "{refusal}");
}

#[test]
fn the_page_of_rules_is_up_to_date() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/safety-rules.md");
    let page = safety_rules_page();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == page,
        "docs/reference/safety-rules.md is stale: UPDATE_REFERENCE=1 cargo test -p kubewright-core plan"
    );
}
