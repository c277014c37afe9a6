//! A cluster of agents that are a few lines each.

use std::sync::Mutex;

use kubewright_core::check::right_machine;
use kubewright_core::errors::ErrorId;
use kubewright_core::observed::{Datagrams, Marker, SyncSpeed};
use kubewright_core::spec::{NodeName, parse};
use kubewright_core::wire::frame::{Decoder, Frame, decode_message, encode_message};
use kubewright_core::wire::{FromAgent, NodeError, PROTOCOL, Reply, Request, ToAgent};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::transport::{Failure, Memory, Opening, TransportError};

const FILE: &str = "\
apiVersion: kubewright/v1alpha1
kind: Cluster
metadata: { name: prod }
spec:
  kubernetes: 1.36.3
  nodes:
    - { name: cp-1, address: 192.0.2.11, roles: [control-plane] }
    - { name: cp-2, address: 192.0.2.12, roles: [control-plane] }
    - { name: cp-3, address: 192.0.2.13, roles: [control-plane] }
    - { name: w-1, address: 192.0.2.21, roles: [worker] }
";

/// What the agents of a test do besides answering.
#[derive(Default)]
struct World {
    /// Nodes that do not answer over SSH.
    dead: Vec<&'static str>,
    /// Nodes whose clock is so many milliseconds ahead.
    ahead: BTreeMap<&'static str, i64>,
    /// Targets that no node reaches.
    walls: Vec<&'static str>,
    /// A node whose large datagrams are lost.
    narrow: Option<&'static str>,
    /// How long nodes' disks need.
    sync_us: BTreeMap<&'static str, u64>,
    /// Nodes that are set up, with what they hold.
    own: Vec<&'static str>,
    /// The nodes that are checked, if not all.
    only: Option<BTreeSet<String>>,
    /// Nodes that lost their address since cluster.yaml was written.
    moved: Vec<&'static str>,
    /// What was asked, in order.
    asked: Mutex<Vec<(String, &'static str)>>,
}

impl World {
    async fn check(self) -> (Report, Vec<(String, &'static str)>) {
        let cluster = parse(FILE, "cluster.yaml")
            .unwrap_or_else(|errors| panic!("{errors}"))
            .spec;
        let world = Arc::new(self);
        let connections = cluster.nodes.iter().map(|node| {
            let name = node.name.clone();
            let is_dead = world.dead.contains(&name.as_str());
            let way: Arc<dyn Transport> = if is_dead {
                Arc::new(Dead(name.clone()))
            } else {
                let (world, cluster) = (Arc::clone(&world), cluster.clone());
                Arc::new(Memory::new(name.clone(), move |input, output| {
                    let agent = Agent {
                        input,
                        output,
                        decoder: Decoder::default(),
                        name: node_name(&name),
                    };
                    tokio::spawn(agent.serve(Arc::clone(&world), cluster.clone()));
                }))
            };
            (node.name.to_string(), way)
        });
        let introduction = Introduction {
            run: "run-1".to_owned(),
            cluster: "prod".to_owned(),
            operator: "ada@workstation".to_owned(),
            lock: true,
        };
        let only = world.only.clone();
        let report = check(
            &cluster,
            &connections.collect(),
            &introduction,
            only.as_ref(),
            &|_, _| {},
        )
        .await;
        let asked = world.asked.lock().unwrap().clone();
        (report, asked)
    }
}

fn node_name(name: &NodeName) -> String {
    name.to_string()
}

/// A node whose SSH server does not run.
#[derive(Debug)]
struct Dead(NodeName);

impl Transport for Dead {
    fn node(&self) -> &NodeName {
        &self.0
    }

    fn open(&self) -> Opening<'_> {
        Box::pin(async {
            Err(TransportError {
                node: self.0.clone(),
                destination: "root@192.0.2.12 port 22".to_owned(),
                failure: Failure::Refused,
                stderr: "".into(),
            })
        })
    }
}

struct Agent {
    input: DuplexStream,
    output: DuplexStream,
    decoder: Decoder,
    name: String,
}

impl Agent {
    async fn hear(&mut self) -> Option<ToAgent> {
        let mut buffer = vec![0; 4096];
        loop {
            if let Some(Frame::Message(body)) = self.decoder.next_frame().unwrap() {
                return Some(decode_message(&body).unwrap());
            }
            match self.input.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.push(&buffer[..count]),
            }
        }
    }

    async fn say(&mut self, message: &FromAgent) {
        let _ = self.output.write_all(&encode_message(message).unwrap()).await;
    }

    async fn serve(mut self, world: Arc<World>, cluster: Cluster) {
        while let Some(message) = self.hear().await {
            match message {
                ToAgent::Hello { lock, .. } => {
                    assert!(!lock, "a check takes no lock");
                    let version = "1".to_owned();
                    self.say(&FromAgent::Hello {
                        protocol: PROTOCOL,
                        version,
                        locked_by: None,
                    })
                    .await;
                }
                ToAgent::Request { id, request } => {
                    let reply = self.answer(&world, &cluster, request);
                    self.say(&FromAgent::Reply { id, reply }).await;
                }
                ToAgent::Goodbye => {
                    world.asked.lock().unwrap().push((self.name.clone(), "goodbye"));
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn answer(&self, world: &World, cluster: &Cluster, request: Request) -> Result<Reply, NodeError> {
        let note = |what| world.asked.lock().unwrap().push((self.name.clone(), what));
        match request {
            Request::Facts {} => {
                let mut facts = facts(cluster, &self.name);
                facts.clock_ms = now_ms() + world.ahead.get(self.name.as_str()).copied().unwrap_or_default();
                if world.own.contains(&self.name.as_str()) {
                    facts.marker = Some(Marker {
                        cluster: "prod".to_owned(),
                        node: self.name.clone(),
                        ..Marker::default()
                    });
                    facts.is_bootstrapped = true;
                    facts.has_etcd_data = self.name.starts_with("cp-");
                }
                if world.moved.contains(&self.name.as_str()) {
                    facts.addresses = [("eth0".to_owned(), vec!["10.0.0.9".parse().unwrap()])].into();
                }
                Ok(Reply::Facts {
                    facts: Box::new(facts),
                })
            }
            Request::Listen { .. } if world.moved.contains(&self.name.as_str()) => Err(NodeError {
                id: ErrorId::NodeFailed,
                doing: "listen".to_owned(),
                cause: "cannot assign requested address".to_owned(),
                resource: None,
                command: None,
                unit: None,
                log: Vec::new(),
                hint: None,
            }),
            Request::Listen { ports, .. } => {
                assert!(ports.contains(&10250) && !ports.contains(&10248), "{ports:?}");
                note("listen");
                Ok(Reply::Done {})
            }
            Request::Echo { ports, .. } => {
                assert_eq!(ports, [8472]);
                note("echo");
                Ok(Reply::Done {})
            }
            Request::ProbeDatagrams { targets, bytes, .. } => {
                note("datagrams");
                let outcome = |target: String| {
                    let is_walled = world.walls.contains(&target.as_str());
                    let outcome = Datagrams {
                        small: !is_walled,
                        lost_bytes: (world.narrow == Some(self.name.as_str())).then_some(bytes),
                        error: None,
                    };
                    (target, outcome)
                };
                Ok(Reply::Datagrams {
                    targets: targets.into_iter().map(outcome).collect(),
                })
            }
            Request::MeasureSync { directory } => {
                assert_eq!(directory, "/var/lib/etcd");
                note("sync");
                let p99_us = world.sync_us.get(self.name.as_str()).copied().unwrap_or(900);
                Ok(Reply::Synced {
                    speed: SyncSpeed { writes: 500, p99_us },
                })
            }
            Request::Probe { targets, .. } => {
                note("probe");
                let outcome = |target: String| {
                    let cause = world
                        .walls
                        .contains(&target.as_str())
                        .then(|| "timed out".to_owned());
                    (target, cause)
                };
                Ok(Reply::Probed {
                    targets: targets.into_iter().map(outcome).collect(),
                })
            }
            other => panic!("a check changes nothing: {other:?}"),
        }
    }
}

fn facts(cluster: &Cluster, name: &str) -> Facts {
    let index = cluster.nodes.iter().position(|node| node.name == name).unwrap();
    right_machine(u8::try_from(index).unwrap(), cluster.nodes[index].address)
}

#[tokio::test]
async fn finds_nothing_on_nodes_that_are_right_and_leaves_all_of_them() {
    let (report, asked) = World::default().check().await;
    assert_eq!(
        report.summary(),
        "nothing found on 4 nodes, 33 connections between them"
    );
    let position = |what: &str, last: bool| {
        let mut found = asked
            .iter()
            .enumerate()
            .filter(|(_, (_, asked))| *asked == what)
            .map(|(index, _)| index);
        if last { found.next_back() } else { found.next() }
    };
    assert!(position("listen", true) < position("probe", false), "{asked:?}");
    assert!(position("probe", true) < position("goodbye", false), "{asked:?}");
    assert_eq!(asked.iter().filter(|(_, asked)| *asked == "goodbye").count(), 4);
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_a_finding_and_the_others_go_on() {
    let world = World {
        dead: vec!["cp-2"],
        walls: vec!["192.0.2.11:6443"],
        ..World::default()
    };
    let (report, _) = world.check().await;
    insta::assert_snapshot!(report.text(), @"
    error: cp-2: root@192.0.2.12 port 22: connection refused [node-unreachable]
      fix: start the SSH server on cp-2, or set `port` of the node in cluster.yaml

    error: cp-1: TCP 6443 (the API server) cannot be reached from cp-3, w-1: timed out [unreachable-port]
      fix: allow TCP 6443 from 192.0.2.13, 192.0.2.21 to 192.0.2.11 in the firewalls of the nodes and between them

    2 errors on 2 of 4 nodes
    ");
}

#[tokio::test]
async fn a_clock_ten_minutes_off_is_a_finding() {
    let world = World {
        ahead: [("w-1", -600_500)].into(),
        ..World::default()
    };
    let (report, _) = world.check().await;
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|finding| (finding.kind.id(), finding.node.as_deref()))
        .collect();
    assert_eq!(found, [("clock-offset", Some("w-1"))]);
}

#[tokio::test]
async fn a_node_without_its_address_is_said_once() {
    let (report, _) = World {
        moved: vec!["w-1"],
        ..World::default()
    }
    .check()
    .await;
    insta::assert_snapshot!(report.text(), @"
    error: w-1: no interface has 192.0.2.21; the node has 10.0.0.9 (eth0) [address-not-on-node]
      fix: set the node's address in cluster.yaml to one of its own that the other nodes reach; if ssh needs another one, add `Host ADDRESS` with `HostName 192.0.2.21` to ssh_config

    1 error on 1 of 4 nodes
    ");
}

#[tokio::test]
async fn closed_vxlan_small_frames_and_slow_disks_are_findings() {
    let (report, asked) = World {
        walls: vec!["192.0.2.21:8472"],
        narrow: Some("cp-1"),
        sync_us: [("cp-2", 12_000), ("cp-3", 80_000)].into(),
        ..World::default()
    }
    .check()
    .await;
    insta::assert_snapshot!(report.text(), @r"
    error: cp-3: of 500 small synced writes for etcd one in a hundred took 80 ms or longer (/var/lib/etcd) [disk-sync]
      fix: give /var/lib/etcd a faster disk (SSD); nothing else may be busy on it

    error: w-1: UDP 8472 (the network between pods) cannot be reached from cp-1, cp-2, cp-3: nothing came back [unreachable-udp]
      fix: allow UDP 8472 from 192.0.2.11, 192.0.2.12, 192.0.2.13 to 192.0.2.21 and back in the firewalls of the nodes and between them

    error: cp-2, cp-3: packets of 1500 bytes do not arrive from cp-1, small ones do: the network between them takes less than the interfaces say [path-mtu]
      fix: give the interfaces of all nodes the MTU that the network between them has; network.mtu in cluster.yaml makes only the packets of pods smaller

    warning: cp-2: of 500 small synced writes for etcd one in a hundred took 12 ms or longer (/var/lib/etcd) [disk-sync]
      fix: give /var/lib/etcd a faster disk (SSD); nothing else may be busy on it

    4 errors and 1 warning on 3 of 4 nodes
    ");
    let count = |what: &str| asked.iter().filter(|(_, asked)| *asked == what).count();
    assert_eq!((count("echo"), count("datagrams"), count("sync")), (4, 4, 3));
}

#[tokio::test]
async fn on_a_cluster_that_lives_only_what_concerns_new_nodes_is_tried() {
    let (report, asked) = World {
        own: vec!["cp-1", "cp-2", "cp-3"],
        walls: vec!["192.0.2.12:2380", "192.0.2.11:6443", "192.0.2.21:8472"],
        only: Some(BTreeSet::from(["w-1".to_owned()])),
        ..World::default()
    }
    .check()
    .await;
    let found: Vec<String> = report
        .findings
        .iter()
        .map(|finding| format!("{} {:?}", finding.kind.id(), finding.node))
        .collect();
    // Between control planes nothing is tried again.
    assert_eq!(
        found,
        ["unreachable-port Some(\"cp-1\")", "unreachable-udp Some(\"w-1\")"]
    );
    let of = |what: &str| -> Vec<&str> {
        let asked = asked.iter().filter(|(_, asked)| *asked == what);
        asked.map(|(node, _)| node.as_str()).collect()
    };
    assert_eq!((of("echo"), of("sync").len()), (vec!["w-1"], 0));
}

#[tokio::test]
async fn a_disk_with_a_member_on_it_is_left_alone_and_that_is_said() {
    let (report, asked) = World {
        own: vec!["cp-1", "cp-2", "cp-3", "w-1"],
        ..World::default()
    }
    .check()
    .await;
    assert_eq!(
        report.text(),
        "note: the disk was not measured on cp-1, cp-2, cp-3: etcd's directory has a member there\n\
         nothing found on 4 nodes, 33 connections between them\n"
    );
    assert!(
        !asked
            .iter()
            .any(|(_, asked)| ["sync", "echo", "datagrams"].contains(asked))
    );
}
