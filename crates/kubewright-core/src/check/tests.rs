//! Every kind of finding on machines that are otherwise right, and what a user reads then.

mod converged;
mod hostile;
mod mistakes;
mod pages;
mod told;
mod wrong;

use super::{Clock, Finding, Measured, Report, findings, probes, right_machine};
use crate::observed::{Facts, Marker, Observed, ObservedNode};
use crate::spec::{Cluster, parse};

const FILE: &str = "\
apiVersion: kubewright/v1alpha1
kind: Cluster
metadata:
  name: prod
spec:
  kubernetes: 1.36.3
  nodes:
    - { name: cp-1, address: 192.0.2.11, roles: [control-plane] }
    - { name: cp-2, address: 192.0.2.12, roles: [control-plane] }
    - { name: cp-3, address: 192.0.2.13, roles: [control-plane] }
    - { name: w-1, address: 192.0.2.21, roles: [worker] }
    - { name: w-2, address: 192.0.2.22, roles: [worker] }
";

const GIB: u64 = 1 << 30;

/// A cluster, and machines to look at; blank and right until a test changes something.
struct Scene {
    cluster: Cluster,
    observed: Observed,
    measured: Measured,
}

impl Scene {
    fn blank() -> Self {
        Self::of(FILE)
    }

    fn of(file: &str) -> Self {
        let cluster = parse(file, "cluster.yaml")
            .unwrap_or_else(|errors| panic!("{errors}"))
            .spec;
        let mut scene = Self {
            observed: Observed::default(),
            measured: Measured::default(),
            cluster,
        };
        for (index, node) in scene.cluster.nodes.iter().enumerate() {
            let facts = right_machine(u8::try_from(index).unwrap(), node.address);
            let seen = ObservedNode {
                facts,
                differences: Vec::new(),
            };
            scene.observed.nodes.insert(node.name.to_string(), seen);
            let clock = Clock {
                offset_ms: 20,
                uncertainty_ms: 10,
            };
            scene.measured.clocks.insert(node.name.to_string(), clock);
        }
        scene
    }

    /// The same with lines under `spec`.
    fn with(lines: &str) -> Self {
        Self::of(&FILE.replacen("  nodes:\n", &format!("{lines}\n  nodes:\n"), 1))
    }

    fn facts(&mut self, node: &str) -> &mut Facts {
        &mut self.observed.nodes.get_mut(node).unwrap().facts
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Facts> {
        self.observed.nodes.values_mut().map(|seen| &mut seen.facts)
    }

    /// The node is set up as what it is to be.
    fn own(&mut self, node: &str) -> &mut Facts {
        let cluster = self.cluster.name.to_string();
        let facts = self.facts(node);
        facts.marker = Some(Marker {
            cluster,
            cluster_id: "a1b2c3".to_owned(),
            node: node.to_owned(),
            pod_cidr: None,
            ..Marker::default()
        });
        facts
    }

    fn findings(&self) -> Vec<Finding> {
        findings(&self.cluster, &self.observed, &self.measured)
    }

    fn text(&self) -> String {
        Report::new(
            &self.cluster,
            probes(&self.cluster).len(),
            &self.measured,
            self.findings(),
        )
        .text()
    }

    /// `severity id node` of each finding.
    fn ids(&self) -> Vec<String> {
        self.findings()
            .iter()
            .map(|finding| {
                let node = finding.node.as_deref().unwrap_or("-");
                format!("{} {} {node}", finding.severity.as_str(), finding.kind.id())
            })
            .collect()
    }
}

#[test]
fn finds_nothing_on_machines_that_are_right() {
    assert_eq!(
        Scene::blank().text(),
        "nothing found on 5 nodes, 44 connections between them\n"
    );
}
