//! What a plan was made from, in parts that have names: `apply --plan` compares them with what is so now and tells
//! which changed.
//!
//! Everything is kept as a digest or a short word. Nothing in it comes from a secret's content except the digest a
//! desired state has anyway, and what differs from one look to the next without meaning (clock, free space, boot) is
//! left out.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::{Checksum, Platform, Release};
use crate::observed::{
    Change, Difference, Health, Membership, Observed, ObservedApi, ObservedEtcd, ObservedNode,
};
use crate::resource::{Digest, NodeState};
use crate::shown::{sentence, shown};
use crate::spec::Cluster;

/// What a plan is made from, as values.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// cluster.yaml.
    pub cluster: &'a Cluster,
    /// The versions that go with its Kubernetes version.
    pub release: &'a Release,
    /// What every node is to have, without authorities and secrets that do not exist yet.
    pub states: &'a BTreeMap<String, NodeState>,
    /// Digests of the objects the cluster is to have, by name.
    pub objects: &'a BTreeMap<String, Digest>,
    /// What was seen.
    pub observed: &'a Observed,
}

/// What a plan was made from, part by part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MadeFrom {
    /// cluster.yaml: digests of its values, by their path in the file; nodes stand under their names.
    pub cluster_file: BTreeMap<String, Digest>,
    /// The catalogue: version and digest of where it comes from, by download or image.
    pub catalogue: BTreeMap<String, String>,
    /// The nodes, by name.
    pub nodes: BTreeMap<String, NodeOrigin>,
    /// Digests of the objects the cluster is to have, by name.
    pub objects: BTreeMap<String, Digest>,
    /// What the cluster's API said, by object; absent when no API server answered.
    pub api: Option<BTreeMap<String, String>>,
    /// What etcd's members are, by name; absent while there is no etcd.
    #[serde(default)]
    pub etcd: Option<BTreeMap<String, String>>,
}

/// What a plan was made from, of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeOrigin {
    /// Digest of everything the node is to have.
    pub desired: Digest,
    /// The first digits of the digest of each resource it is to have, so that a change can be named.
    pub resources: BTreeMap<String, String>,
    /// Who the node is and what it remembers.
    pub facts: BTreeMap<String, String>,
    /// Digests of how it differed, by resource.
    pub differences: BTreeMap<String, Digest>,
}

impl MadeFrom {
    /// Takes note of everything a plan is made from.
    pub fn of(sources: &Sources<'_>) -> Self {
        let nodes = sources.observed.nodes.iter().map(|(name, seen)| {
            let state = sources.states.get(name).cloned().unwrap_or_default();
            (name.clone(), NodeOrigin::of(&state, seen))
        });
        Self {
            cluster_file: cluster_file(sources.cluster),
            catalogue: catalogue(sources.release),
            nodes: nodes.collect(),
            objects: sources.objects.clone(),
            api: sources.observed.api.as_ref().map(api),
            etcd: sources
                .observed
                .etcd
                .as_ref()
                .map(|seen| etcd(sources.cluster, seen)),
        }
    }

    /// Names what is not as it was when `self` was noted; empty when `now` is the same.
    ///
    /// What follows from a changed file or catalogue on every node is not told again for each.
    pub fn changed_since(&self, now: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        compare(&self.cluster_file, &now.cluster_file, |path, how| {
            changes.push(format!("cluster.yaml: {path} {}", how.word()));
        });
        compare(&self.catalogue, &now.catalogue, |artifact, how| {
            changes.push(format!(
                "the catalogue of this kubewright: {artifact} {}",
                how.word()
            ));
        });
        let is_explained = !changes.is_empty();
        compare(&self.objects, &now.objects, |object, how| {
            if !is_explained {
                changes.push(format!("object {object} as it is to be {}", how.word()));
            }
        });
        for (name, then) in &self.nodes {
            match now.nodes.get(name) {
                Some(now) => changes.extend(then.changed_since(now, name, is_explained)),
                None if is_explained => {}
                None => changes.push(format!("node {name}: it was not looked at now")),
            }
        }
        match (&self.api, &now.api) {
            (Some(then), Some(now)) => compare(then, now, |what, how| {
                changes.push(format!("in the cluster: {what} {}", how.values()));
            }),
            (None, Some(_)) => changes.push("in the cluster: an API server answers now".to_owned()),
            (Some(_), None) => changes.push("in the cluster: no API server answers now".to_owned()),
            (None, None) => {}
        }
        let members = |of: &Self| of.etcd.clone().unwrap_or_default();
        compare(&members(self), &members(now), |what, how| {
            changes.push(format!("in etcd: {what} {}", how.values()));
        });
        changes
    }
}

impl NodeOrigin {
    fn of(state: &NodeState, seen: &ObservedNode) -> Self {
        let resources = state.resources.iter().map(|staged| {
            let digest = digest(&staged.resource).short();
            (staged.resource.id().to_string(), digest)
        });
        let differences = seen.differences.iter().map(|difference| {
            let what = lasting(difference);
            (difference.resource.to_string(), digest(&what))
        });
        Self {
            desired: state.digest(),
            resources: resources.collect(),
            facts: facts(seen),
            differences: differences.collect(),
        }
    }

    fn changed_since(&self, now: &Self, node: &str, is_explained: bool) -> Vec<String> {
        let mut changes = Vec::new();
        compare(&self.facts, &now.facts, |fact, how| {
            changes.push(format!("node {node}: {fact} {}", how.values()));
        });
        let mut rendered = BTreeSet::new();
        compare(&self.resources, &now.resources, |resource, how| {
            rendered.insert(resource.to_owned());
            if !is_explained {
                changes.push(format!("node {node}: {resource} as it is to be {}", how.word()));
            }
        });
        if self.desired != now.desired && rendered.is_empty() && !is_explained {
            changes.push(format!("node {node}: the authorities it is to trust changed"));
        }
        compare(&self.differences, &now.differences, |resource, how| {
            // What is wanted of it changed, so how it differs did, too.
            if rendered.contains(resource) {
                return;
            }
            let how = match how {
                How::New(_) => "differs now, and did not",
                How::Gone(_) => "is as wanted now, and was not",
                How::Other(..) => "changed since",
            };
            changes.push(format!("node {node}: {resource} {how}"));
        });
        changes
    }
}

/// How one part differs from what it was.
enum How<'a, T> {
    New(&'a T),
    Gone(&'a T),
    Other(&'a T, &'a T),
}

impl<T> How<'_, T> {
    fn word(&self) -> &'static str {
        match self {
            Self::New(_) => "is new",
            Self::Gone(_) => "is gone",
            Self::Other(..) => "changed",
        }
    }
}

impl How<'_, String> {
    fn values(&self) -> String {
        match self {
            Self::New(now) => format!("is {} now", shown(now)),
            Self::Gone(then) => format!("was {} and is no more", shown(then)),
            Self::Other(then, now) => format!("was {}, is {} now", shown(then), shown(now)),
        }
    }
}

/// Tells of every part that differs, in order of name.
fn compare<T: PartialEq>(
    then: &BTreeMap<String, T>,
    now: &BTreeMap<String, T>,
    mut tell: impl FnMut(&str, How<'_, T>),
) {
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    for name in names {
        let harmless = sentence(name);
        let mut tell = |how| tell(&harmless, how);
        match (then.get(name), now.get(name)) {
            (Some(then), Some(now)) if then != now => tell(How::Other(then, now)),
            (Some(then), None) => tell(How::Gone(then)),
            (None, Some(now)) => tell(How::New(now)),
            _ => {}
        }
    }
}

fn digest<T: Serialize>(value: &T) -> Digest {
    Digest::of(&serde_json::to_vec(value).unwrap_or_default())
}

/// A difference without what only the passing of time changes: how many days a certificate has left.
pub(super) fn lasting(difference: &Difference) -> Difference {
    let mut lasting = difference.clone();
    if let Change::Certificate { problem } = &mut lasting.change {
        *problem = problem.lasting();
    }
    lasting
}

/// cluster.yaml, value by value. Nodes stand under their names: their order means nothing.
fn cluster_file(cluster: &Cluster) -> BTreeMap<String, Digest> {
    let mut value = serde_json::to_value(cluster).unwrap_or_default();
    let nodes = value.as_object_mut().and_then(|fields| fields.remove("nodes"));
    let mut leaves = BTreeMap::new();
    flatten("spec", &value, &mut leaves);
    if let Some(name) = leaves.remove("spec.name") {
        leaves.insert("metadata.name".to_owned(), name);
    }
    for node in nodes.iter().filter_map(Value::as_array).flatten() {
        let name = node["name"].as_str().unwrap_or_default();
        flatten(&format!("spec.nodes.{name}"), node, &mut leaves);
    }
    leaves
}

fn flatten(path: &str, value: &Value, leaves: &mut BTreeMap<String, Digest>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                flatten(&format!("{path}.{key}"), value, leaves);
            }
        }
        leaf => {
            leaves.insert(path.to_owned(), digest(leaf));
        }
    }
}

fn catalogue(release: &Release) -> BTreeMap<String, String> {
    let artifacts = Platform::ALL.into_iter().flat_map(|platform| {
        release.artifacts(platform).into_iter().map(|artifact| {
            let checksum = match &artifact.checksum {
                Checksum::Known(sum) | Checksum::Published(sum) => sum.as_str(),
                Checksum::Unpublished => "",
            };
            let from = Digest::of(format!("{} {checksum}", artifact.url).as_bytes()).short();
            (
                format!("{} for {}", artifact.name, artifact.platform),
                format!("{} {from}", artifact.version),
            )
        })
    });
    let images = release.images().into_iter().map(|image| {
        let from = Digest::of(image.reference.as_bytes()).short();
        (
            format!("image {}", image.name),
            format!("{} {from}", image.version),
        )
    });
    artifacts.chain(images).collect()
}

/// What of a node's facts a plan depends on.
fn facts(seen: &ObservedNode) -> BTreeMap<String, String> {
    let facts = &seen.facts;
    let mut all = BTreeMap::new();
    let mut note = |name: &str, value: String| {
        all.insert(name.to_owned(), value);
    };
    note("the machine id", facts.machine_id.clone());
    note("the processor", facts.architecture.clone());
    note("the cgroup version", facts.cgroup_version.to_string());
    note("the etcd member", health(facts.etcd));
    note("the API server", health(facts.api_server));
    note("etcd's data", presence(facts.has_etcd_data));
    note(
        "the mark of a finished bootstrap",
        presence(facts.is_bootstrapped),
    );
    if let Some(founders) = &facts.founders {
        note("the founders of etcd it keeps", founders.to_string());
    }
    if let Some(marker) = &facts.marker {
        note("the cluster it belongs to", marker.cluster.clone());
        note("the id of the cluster it belongs to", marker.cluster_id.clone());
        note("the name it was set up with", marker.node.clone());
        note(
            "the pod range it remembers",
            marker.pod_cidr.clone().unwrap_or_else(|| "none".to_owned()),
        );
    }
    all
}

fn health(health: Option<Health>) -> String {
    match health {
        Some(Health::Ready) => "ready",
        Some(Health::Starting) => "starting",
        Some(Health::Down) => "down",
        None => "unknown",
    }
    .to_owned()
}

fn presence(is_there: bool) -> String {
    if is_there { "there" } else { "not there" }.to_owned()
}

fn api(seen: &ObservedApi) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (object, diff) in &seen.objects {
        let how = match diff {
            None => "missing".to_owned(),
            Some(diff) => format!("different ({})", Digest::of(diff.as_bytes()).short()),
        };
        all.insert(format!("object {object}"), how);
    }
    for object in &seen.orphaned {
        all.insert(format!("object {object}"), "no longer wanted".to_owned());
    }
    for node in &seen.nodes_to_register {
        all.insert(
            format!("the Node object of {node}"),
            "missing or different".to_owned(),
        );
    }
    for node in &seen.nodes_not_ready {
        all.insert(format!("the kubelet of {node}"), "not Ready".to_owned());
    }
    for node in &seen.unknown_nodes {
        all.insert(
            format!("node {node}"),
            "there without being in cluster.yaml".to_owned(),
        );
    }
    for (node, range) in &seen.pod_cidrs {
        all.insert(format!("the pod range of {node}"), range.clone());
    }
    for object in &seen.orphaned {
        all.insert(
            format!("object {object}"),
            "there without being wanted".to_owned(),
        );
    }
    for (object, why) in &seen.kept {
        all.insert(format!("object {object}"), format!("kept ({why})"));
    }
    for (node, version) in &seen.kubelet_versions {
        all.insert(format!("the kubelet version of {node}"), version.clone());
    }
    for deployment in &seen.deployments_unavailable {
        all.insert(format!("deployment {deployment}"), "not available".to_owned());
    }
    all
}

/// What of etcd a plan depends on: who votes, and what keeps it from being written to.
fn etcd(cluster: &Cluster, seen: &ObservedEtcd) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if seen.members.is_none() {
        all.insert("the list of members".to_owned(), "not told".to_owned());
    }
    for node in cluster.control_planes() {
        let is = match seen.membership(node) {
            Membership::Untold => continue,
            Membership::Absent => "in no list of members",
            Membership::Listed(member) if member.is_learner => "a learner",
            Membership::Listed(member) if !member.is_started() => "a member that was never started",
            Membership::Listed(_) => "a voting member",
        };
        all.insert(format!("the member of {}", node.name), is.to_owned());
    }
    for stranger in seen.unknown_members(cluster) {
        let is = if stranger.is_learner {
            "a learner"
        } else {
            "counted for the quorum"
        };
        let name = match stranger.name.as_str() {
            "" => format!("the unknown member at {}", stranger.peer_urls.join(", ")),
            name => format!("the unknown member {name}"),
        };
        all.insert(name, is.to_owned());
    }
    for (alarm, member) in seen.alarms() {
        all.insert(format!("the alarm {alarm} of {member}"), "raised".to_owned());
    }
    all
}
