//! A saved plan is applied only when nothing it was made from changed, and what changed is named.

use super::*;
use crate::catalogue::release;
use crate::resource::Digest;

fn objects() -> BTreeMap<String, Digest> {
    [(
        "Deployment kube-system/coredns".to_owned(),
        Digest::of(b"coredns"),
    )]
    .into_iter()
    .collect()
}

/// Everything a plan is made from.
#[derive(Clone)]
struct World {
    cluster: Cluster,
    states: BTreeMap<String, NodeState>,
    objects: BTreeMap<String, Digest>,
    observed: Observed,
}

impl World {
    /// A cluster that serves, with something to do on two nodes and in the API.
    fn new() -> Self {
        let cluster = cluster(&NODES);
        let mut observed = converged(&cluster);
        differs(&mut observed, "cp-2", Stage::Etcd);
        differs(&mut observed, "w-1", Stage::Node);
        let api = observed.api.as_mut().unwrap();
        api.objects.insert("ClusterRole kubewright:x".to_owned(), None);
        Self {
            states: states(&cluster),
            cluster,
            objects: objects(),
            observed,
        }
    }

    fn made_from(&self) -> MadeFrom {
        MadeFrom::of(&Sources {
            cluster: &self.cluster,
            release: &release(&self.cluster.kubernetes).unwrap(),
            states: &self.states,
            objects: &self.objects,
            observed: &self.observed,
        })
    }

    fn plan(&self) -> Plan {
        let names: Vec<String> = self.objects.keys().cloned().collect();
        plan_apply(&self.cluster, &self.states, &names, &self.observed).unwrap()
    }

    fn save(&self) -> SavedPlan {
        let making = Making {
            kubewright: "0.1.0",
            cluster: self.cluster.name.as_str(),
            cluster_id: None,
            at: "2026-03-14T15:09:26Z".to_owned(),
            by: "ada@workstation",
            only: &[],
        };
        SavedPlan::new(self.plan(), self.made_from(), making)
    }

    /// What is said of this world to somebody who saved a plan in `World::new`.
    fn objection(&self) -> Vec<String> {
        match World::new().save().refuse_changed(&self.made_from()) {
            Ok(()) => Vec::new(),
            Err(refusal) => {
                assert_eq!(refusal.rule(), "stale-plan");
                refusal.details().to_vec()
            }
        }
    }

    fn seen(&mut self, node: &str) -> &mut ObservedNode {
        self.observed.nodes.get_mut(node).unwrap()
    }

    fn api(&mut self) -> &mut ObservedApi {
        self.observed.api.as_mut().unwrap()
    }
}

#[test]
fn a_plan_of_the_same_world_is_let_through_also_after_a_round_through_its_file() {
    let world = World::new();
    let saved = SavedPlan::from_text(&world.save().to_text()).unwrap();
    assert_eq!(saved, world.save());
    saved.refuse_changed(&world.made_from()).unwrap();
    saved.refuse_other(&world.plan(), "0.1.0").unwrap();
}

#[test]
fn what_only_passes_with_time_does_not_count() {
    let mut world = World::new();
    let facts = &mut world.seen("cp-1").facts;
    facts.clock_ms += 86_400_000;
    facts.boot_id = "another".into();
    facts.unfinished_run = Some("run".into());
    facts.disks.insert("/".into(), crate::observed::Disk::default());
    assert_eq!(world.objection(), Vec::<String>::new());
}

#[test]
fn the_days_a_certificate_has_left_do_not_count_but_its_other_reasons_do() {
    let faulty = |problem: CertificateProblem| {
        let mut world = World::new();
        let change = Change::Certificate { problem };
        world.seen("cp-1").differences.push(Difference {
            resource: ResourceId::new("certificate", "/etc/kubernetes/pki/apiserver.crt"),
            change,
        });
        world
    };
    let saved = faulty(CertificateProblem::Expiring { days: 20 }).save();
    let tomorrow = faulty(CertificateProblem::Expiring { days: 19 });
    saved.refuse_changed(&tomorrow.made_from()).unwrap();
    saved.refuse_other(&tomorrow.plan(), "0.1.0").unwrap();
    let other = faulty(CertificateProblem::OtherKey {});
    assert!(saved.refuse_changed(&other.made_from()).is_err());
}

/// One thing changes; its name has to be said.
type Mutation = (&'static str, fn(&mut World), &'static [&'static str]);

const MUTATIONS: &[Mutation] = &[
    (
        "an argument in cluster.yaml",
        |world| {
            let text = "{\"extraArgs\":{\"event-ttl\":\"2h\"}}";
            let component = crate::spec::ComponentName::KubeApiserver;
            world
                .cluster
                .components
                .insert(component, serde_json::from_str(text).unwrap());
        },
        &["cluster.yaml: spec.components.kube-apiserver.extraArgs.event-ttl is new"],
    ),
    (
        "a node's address",
        |world| world.cluster.nodes[1].address = "192.0.2.99".parse().unwrap(),
        &["cluster.yaml: spec.nodes.cp-2.address changed"],
    ),
    (
        "the version",
        |world| world.cluster.kubernetes = "1.36.0".parse().unwrap(),
        &[
            "cluster.yaml: spec.kubernetes changed",
            "the catalogue of this kubewright: kube-apiserver for amd64 changed",
        ],
    ),
    (
        "what a node is to have",
        |world| {
            let state = world.states.get_mut("w-2").unwrap();
            let Resource::File(file) = &mut state.resources[0].resource else {
                panic!("it is a file")
            };
            file.content = "other\n".to_owned();
        },
        &["node w-2: file:/etc/host as it is to be changed"],
    ),
    (
        "what an object is to be",
        |world| {
            let name = "Deployment kube-system/coredns".to_owned();
            world.objects.insert(name, Digest::of(b"other"));
        },
        &["object Deployment kube-system/coredns as it is to be changed"],
    ),
    (
        "a file edited on a node",
        |world| {
            let change = Change::Content {
                before: Some("edited\n".to_owned()),
            };
            world.seen("cp-2").differences[0].change = change;
        },
        &["node cp-2: file:/etc/etcd changed since"],
    ),
    (
        "a file deleted on another node",
        |world| differs(&mut world.observed, "cp-1", Stage::Host),
        &["node cp-1: file:/etc/host differs now, and did not"],
    ),
    (
        "somebody repaired it",
        |world| world.seen("w-1").differences.clear(),
        &["node w-1: file:/etc/kubelet-and-network is as wanted now, and was not"],
    ),
    (
        "another machine under the node's address",
        |world| world.seen("w-1").facts.machine_id = "another".into(),
        &["node w-1: the machine id was machine-of-w-1, is another now"],
    ),
    (
        "etcd's data gone",
        |world| world.seen("cp-3").facts.has_etcd_data = false,
        &["node cp-3: etcd's data was there, is not there now"],
    ),
    (
        "an object changed in the API",
        |world| {
            let diff = Some("-a\n+b\n".to_owned());
            world
                .api()
                .objects
                .insert("ClusterRole kubewright:x".to_owned(), diff);
        },
        &["in the cluster: object ClusterRole kubewright:x was missing, is different (be5a392951db) now"],
    ),
    (
        "a node that is not Ready",
        |world| world.api().nodes_not_ready.push("w-2".to_owned()),
        &["in the cluster: the kubelet of w-2 is not Ready now"],
    ),
    (
        "the API gone",
        |world| world.observed.api = None,
        &["in the cluster: no API server answers now"],
    ),
];

#[test]
fn whatever_changed_is_named() {
    for (what, change, expected) in MUTATIONS {
        let mut world = World::new();
        change(&mut world);
        let said = world.objection();
        for line in *expected {
            assert!(said.iter().any(|own| own == line), "{what}: {said:#?}");
        }
    }
}

#[test]
fn a_changed_file_is_told_once_not_for_everything_that_follows_from_it() {
    let mut world = World::new();
    world.cluster.kubernetes = "1.36.0".parse().unwrap();
    for state in world.states.values_mut() {
        let Resource::File(file) = &mut state.resources[0].resource else {
            panic!("it is a file")
        };
        file.content = "follows\n".to_owned();
    }
    let said = world.objection();
    assert!(said.iter().all(|line| !line.starts_with("node ")), "{said:#?}");
}

#[test]
fn the_order_of_nodes_in_the_file_does_not_count() {
    let mut world = World::new();
    world.cluster.nodes.reverse();
    assert_eq!(world.objection(), Vec::<String>::new());
}

#[test]
fn a_file_with_other_steps_is_refused_whatever_its_digest_says() {
    let world = World::new();
    let mut plan = world.plan();
    plan.steps.remove(0);
    let making = Making {
        kubewright: "0.1.0",
        cluster: "test",
        cluster_id: None,
        at: String::new(),
        by: "mallory@elsewhere",
        only: &[],
    };
    let forged = SavedPlan::new(plan, world.made_from(), making);
    let forged = SavedPlan::from_text(&forged.to_text()).unwrap();
    forged.refuse_changed(&world.made_from()).unwrap();
    let refusal = forged.refuse_other(&world.plan(), "0.1.0").unwrap_err();
    assert_eq!(refusal.rule(), "stale-plan");
}

#[test]
fn a_plan_before_the_first_apply_does_not_hang_on_authorities_nobody_holds_yet() {
    let cluster = cluster(&NODES);
    let observed = blank(&cluster);
    let mut other = states(&cluster);
    for state in other.values_mut() {
        let authority = crate::resource::AuthorityName::Kubernetes;
        state.authorities.insert(authority, "another one".to_owned());
    }
    let plan = |states: &BTreeMap<String, NodeState>| plan_apply(&cluster, states, &[], &observed).unwrap();
    let making = Making {
        kubewright: "1",
        cluster: "test",
        cluster_id: None,
        at: String::new(),
        by: "",
        only: &[],
    };
    let saved = SavedPlan::new(plan(&states(&cluster)), MadeFrom::default(), making);
    saved.refuse_other(&plan(&other), "1").unwrap();
}

#[test]
fn what_etcd_tells_of_its_members_counts_and_what_changes_by_itself_does_not() {
    let with = |change: &dyn Fn(&mut ObservedEtcd)| {
        let mut world = World::new();
        let mut etcd = ObservedEtcd {
            members: Some(Vec::new()),
            ..ObservedEtcd::default()
        };
        for (id, name) in (1..).zip(["cp-1", "cp-2", "cp-3"]) {
            etcd.members.as_mut().unwrap().push(EtcdMember {
                id,
                name: name.to_owned(),
                ..EtcdMember::default()
            });
            let own = EtcdStatus {
                member_id: id,
                is_leader: id == 1,
                ..EtcdStatus::default()
            };
            etcd.own.insert(name.to_owned(), Ok(own));
        }
        change(&mut etcd);
        world.observed.etcd = Some(etcd);
        world.made_from()
    };
    let then = with(&|_| {});
    let leader_moves = with(&|etcd| {
        for own in etcd.own.values_mut().flatten() {
            own.is_leader = own.member_id == 2;
            own.version = "3.6.17".to_owned();
        }
    });
    assert_eq!(then.changed_since(&leader_moves), Vec::<String>::new());
    let other = with(&|etcd| {
        let members = etcd.members.as_mut().unwrap();
        members[1].is_learner = true;
        members.push(EtcdMember {
            id: 9,
            name: "db-9".to_owned(),
            ..EtcdMember::default()
        });
        let alarm = EtcdAlarm {
            member_id: 1,
            kind: AlarmKind::NoSpace,
        };
        etcd.own
            .get_mut("cp-3")
            .unwrap()
            .as_mut()
            .unwrap()
            .alarms
            .push(alarm);
    });
    assert_eq!(
        then.changed_since(&other),
        [
            "in etcd: the alarm NOSPACE of cp-1 is raised now",
            "in etcd: the member of cp-2 was a voting member, is a learner now",
            "in etcd: the unknown member db-9 is counted for the quorum now"
        ]
    );
}
