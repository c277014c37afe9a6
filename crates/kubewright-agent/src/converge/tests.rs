//! Whole states on a simulated node: what is missing is made, what has drifted is repaired, what is right is left alone,
//! and a power cut after any effect costs nothing but another run.

mod certificates;
mod content;
mod drift;
mod in_the_way;
mod interrupted;
mod kernel;
mod owners;
mod units;
mod whole;

use std::sync::Arc;

use kubewright_core::journal::Event;
use kubewright_core::observed::UnitFinding;
use kubewright_core::resource::{
    Access, AuthorityName, Binary, Certificate, Digest, Directory, File, Image, KernelModule, SharedSecret,
    Stage, Start, SwapOff, Symlink, Sysctl, Usage, User,
};

use super::*;
use crate::journal::{Run as JournalRun, runs};
use crate::system::System;
use crate::testing::{NOW, TestController, TestSystem};
use crate::undo;

const CANARY: &str = "canary-3f1c0d-secret";

struct Bench {
    system: Arc<TestSystem>,
    controller: TestController,
    state: NodeState,
}

impl Bench {
    fn new() -> Self {
        let mut controller = TestController::new();
        controller
            .secrets
            .insert("sa-key".to_owned(), CANARY.as_bytes().to_vec());
        let state = whole_state(&mut controller);
        Self {
            system: TestSystem::new(),
            controller,
            state,
        }
    }

    fn node(&self) -> Node {
        Node::open(Arc::clone(&self.system) as Arc<dyn System>).unwrap()
    }

    fn inspect(&self) -> Vec<Difference> {
        inspect(&mut self.node(), &self.state).unwrap()
    }

    fn converge_all(&mut self) -> Result<Vec<ResourceId>, NodeError> {
        self.converge_as("run-1")
    }

    fn converge_as(&mut self, run: &str) -> Result<Vec<ResourceId>, NodeError> {
        let mut node = Node::open(Arc::clone(&self.system) as Arc<dyn System>)?;
        let named: Vec<_> = inspect(&mut node, &self.state)?
            .into_iter()
            .map(|found| found.resource)
            .collect();
        let mut journal = Journal::new(JournalRun {
            id: run.to_owned(),
            operator: "ada@workstation".to_owned(),
            cluster: "prod".to_owned(),
        });
        let changed = converge(&mut node, &mut journal, &self.state, &mut self.controller, &named)?;
        journal.finish(self.system.as_ref(), &node.tree, node.changed)?;
        Ok(changed)
    }

    fn replace(&mut self, resource: Resource) {
        let id = resource.id();
        let staged = self
            .state
            .resources
            .iter_mut()
            .find(|staged| staged.resource.id() == id)
            .unwrap();
        staged.resource = resource;
    }

    fn drop(&mut self, id: &str) {
        self.state
            .resources
            .retain(|staged| staged.resource.id().as_str() != id);
    }

    fn starts(&self, unit: &str) -> u32 {
        self.system
            .simulated()
            .units
            .get(unit)
            .map_or(0, |unit| unit.starts)
    }
}

fn whole_state(controller: &mut TestController) -> NodeState {
    let mut state = NodeState::default();
    state
        .authorities
        .insert(AuthorityName::Kubernetes, controller.authority_pem.clone());
    let tool = controller.offer(b"\x7fELF tool");
    let archive = format!("registry.example/pause:1 {}", Digest::of(b"manifest"));
    let archive = controller.offer(archive.as_bytes());
    state.extend(
        Stage::Host,
        [
            Resource::User(User {
                name: "etcd".to_owned(),
                home: "/var/lib/etcd".to_owned(),
            }),
            directory("/etc/demo", 0o755),
            directory("/var/lib/etcd", 0o700),
            file("/etc/demo/config", "level: 1\n"),
            Resource::Symlink(Symlink {
                path: "/etc/demo/current".to_owned(),
                target: "config".to_owned(),
            }),
            sysctl("net.ipv4.ip_forward", "1", false),
            sysctl("kernel.panic", "10", false),
            sysctl("net.ipv4.not_here", "2", true),
            module("overlay", false),
            module("br_netfilter", true),
            Resource::SwapOff(SwapOff {}),
        ],
    );
    state.extend(
        Stage::Etcd,
        [
            Resource::SharedSecret(SharedSecret {
                path: "/etc/demo/pki/sa.key".to_owned(),
                access: Access::root(0o600),
                name: "sa-key".to_owned(),
                sha256: Some(Digest::of(CANARY.as_bytes())),
            }),
            Resource::Certificate(certificate()),
            Resource::Binary(Binary {
                path: "/usr/local/bin/tool".to_owned(),
                name: "tool".to_owned(),
                version: "1.2.3".to_owned(),
                blob: Some(tool),
            }),
            unit(
                "demo.service",
                Start::Wait,
                &[
                    "file:/etc/demo/config",
                    "binary:/usr/local/bin/tool",
                    "certificate:/etc/demo/pki/demo.crt",
                    "secret:/etc/demo/pki/sa.key",
                    "symlink:/etc/demo/current",
                ],
            ),
            unit("etcd.service", Start::Ask, &[]),
            Resource::Image(Image {
                reference: "registry.example/pause:1".to_owned(),
                manifest: Some(Digest::of(b"manifest")),
                blob: Some(archive),
            }),
            unit("late.service", Start::Wait, &["image:registry.example/pause:1"]),
        ],
    );
    state
}

fn directory(path: &str, mode: u32) -> Resource {
    Resource::Directory(Directory {
        path: path.to_owned(),
        access: Access::root(mode),
    })
}

fn file(path: &str, content: &str) -> Resource {
    Resource::File(File {
        path: path.to_owned(),
        access: Access::root(0o640),
        content: content.to_owned(),
    })
}

fn sysctl(key: &str, value: &str, optional: bool) -> Resource {
    Resource::Sysctl(Sysctl {
        key: key.to_owned(),
        value: value.to_owned(),
        optional,
    })
}

fn module(name: &str, optional: bool) -> Resource {
    Resource::KernelModule(KernelModule {
        name: name.to_owned(),
        optional,
    })
}

fn unit(name: &str, start: Start, inputs: &[&str]) -> Resource {
    unit_with(
        name,
        start,
        inputs,
        "[Service]\nExecStart=/usr/local/bin/tool\n[Install]\nWantedBy=multi-user.target\n",
    )
}

fn unit_with(name: &str, start: Start, inputs: &[&str], content: &str) -> Resource {
    Resource::Unit(Unit {
        name: name.to_owned(),
        content: content.to_owned(),
        start,
        inputs: inputs
            .iter()
            .map(|input| {
                let (kind, what) = input.split_once(':').unwrap();
                ResourceId::new(kind, what)
            })
            .collect(),
    })
}

fn certificate() -> Certificate {
    Certificate {
        name: "demo".to_owned(),
        authority: AuthorityName::Kubernetes,
        common_name: "system:node:n1".to_owned(),
        organizations: vec!["system:nodes".to_owned()],
        dns_names: vec!["n1".to_owned()],
        addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        usages: vec![Usage::ServerAuth, Usage::ClientAuth],
        lifetime_days: 365,
        renew_before_days: 122,
        certificate_path: "/etc/demo/pki/demo.crt".to_owned(),
        key_path: "/etc/demo/pki/demo.key".to_owned(),
        key_access: Access::root(0o600),
        superseded_by: Some("/var/lib/demo/current.pem".to_owned()),
    }
}

fn ids(differences: &[Difference]) -> Vec<&str> {
    differences.iter().map(|found| found.resource.as_str()).collect()
}

fn leftovers_of_writing(system: &TestSystem) -> Vec<String> {
    let paths = system.snapshot().into_keys();
    let names = paths.map(|path| path.to_string_lossy().into_owned());
    // The memory of digests is only a memory: the next one to be written overwrites what is left of it.
    names
        .filter(|name| name.contains("kubewright-new") && !name.contains("hashes.json"))
        .collect()
}
