//! What a cluster is to have, as a value: made from cluster.yaml, what was seen and the secrets' digests, and handed to
//! whoever compares with it, plans for it or carries it out.
//!
//! A node can have more than one state in an operation. [`Desired::states`] is what the operation makes of every node;
//! where that is only on the way (a control plane that founds etcd may begin without data), [`Desired::lasting`] is
//! what the node has when it is done.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::context::{RenderContext, RenderError};
use crate::founding::EtcdStart;
use crate::manifest::{NodeObject, manifests, mark, node_objects, object_name};
use crate::render::render;
use crate::resource::{Digest, NodeState};

/// What a cluster is to have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// What the operation makes of every node, by the node's name.
    pub states: BTreeMap<String, NodeState>,
    /// What nodes have after it, where that is something else.
    after: BTreeMap<String, NodeState>,
    /// The nodes' own objects, by the node's name.
    pub node_objects: BTreeMap<String, NodeObject>,
    /// The cluster's objects and the user's, in the order in which they are applied.
    pub objects: Vec<Object>,
}

/// An object of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// `Kind namespace/name`.
    pub name: String,
    /// All of it, with the label of the cluster.
    pub manifest: Value,
}

impl Desired {
    /// Everything, with the user's own objects after the cluster's.
    ///
    /// # Errors
    /// [`RenderError`] when a node cannot be rendered.
    pub fn of(context: &RenderContext, addons: Vec<Value>) -> Result<Self, RenderError> {
        let mut desired = Self::without_nodes(context, addons);
        for node in &context.cluster.nodes {
            desired.add_node(context, node.name.as_str())?;
        }
        Ok(desired)
    }

    /// What no single machine has. Nodes are added one at a time by who has something else to do meanwhile.
    pub fn without_nodes(context: &RenderContext, addons: Vec<Value>) -> Self {
        let objects = manifests(context).into_iter().chain(addons);
        let objects = objects.map(|mut manifest| {
            mark(&mut manifest, context.cluster.name.as_str());
            Object {
                name: object_name(&manifest),
                manifest,
            }
        });
        let nodes = node_objects(context).into_iter();
        Self {
            node_objects: nodes.map(|node| (node.name.clone(), node)).collect(),
            objects: objects.collect(),
            ..Self::default()
        }
    }

    /// Adds what one node is to have.
    ///
    /// # Errors
    /// [`RenderError`] when the context lacks something the node needs.
    pub fn add_node(&mut self, context: &RenderContext, name: &str) -> Result<(), RenderError> {
        if let Some(EtcdStart::Found | EtcdStart::Join(_)) = context.etcd.get(name) {
            let founded = RenderContext {
                etcd: &BTreeMap::new(),
                ..*context
            };
            self.after.insert(name.to_owned(), render(&founded, name)?);
        }
        self.states.insert(name.to_owned(), render(context, name)?);
        Ok(())
    }

    /// What a node has when the operation is done.
    pub fn lasting(&self, node: &str) -> Option<&NodeState> {
        self.after.get(node).or_else(|| self.states.get(node))
    }

    /// The state of a node that has this digest.
    pub fn state(&self, node: &str, digest: Digest) -> Option<&NodeState> {
        let states = [self.states.get(node), self.after.get(node)];
        states
            .into_iter()
            .flatten()
            .find(|state| state.digest() == digest)
    }

    /// Names of all objects, in the order in which they are applied.
    pub fn object_names(&self) -> Vec<String> {
        self.objects.iter().map(|object| object.name.clone()).collect()
    }

    /// All objects, in the order in which they are applied.
    pub fn manifests(&self) -> Vec<Value> {
        self.objects
            .iter()
            .map(|object| object.manifest.clone())
            .collect()
    }

    /// The named objects, in the order in which they are applied. One without a namespace is also known by the name it has
    /// in `default`, where the API puts it if its kind lives in one.
    pub fn objects_named(&self, names: &[String]) -> Vec<Value> {
        let is_named = |object: &&Object| {
            names.contains(&object.name) || names.contains(&in_default_namespace(&object.name))
        };
        let named = self.objects.iter().filter(is_named);
        named.map(|object| object.manifest.clone()).collect()
    }

    /// The named nodes' objects.
    pub fn nodes_named(&self, names: &[String]) -> Vec<NodeObject> {
        let named = names.iter().filter_map(|name| self.node_objects.get(name));
        named.cloned().collect()
    }

    /// Digests of all objects, the nodes' among them, by name.
    pub fn object_digests(&self) -> BTreeMap<String, Digest> {
        let digest = |manifest: &Value| Digest::of(manifest.to_string().as_bytes());
        let objects = self.objects.iter();
        let objects = objects.map(|object| (object.name.clone(), digest(&object.manifest)));
        let nodes = self.node_objects.iter();
        let nodes = nodes.map(|(name, node)| (format!("Node {name}"), digest(&node.manifest())));
        objects.chain(nodes).collect()
    }
}

fn in_default_namespace(name: &str) -> String {
    match name.split_once(' ') {
        Some((kind, name)) if !name.contains('/') => format!("{kind} default/{name}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(manifest: Value) -> Object {
        Object {
            name: object_name(&manifest),
            manifest,
        }
    }

    #[test]
    fn an_object_without_a_namespace_is_meant_by_the_name_it_differs_under() {
        let object = |kind: &str, metadata: Value| named(json!({"kind": kind, "metadata": metadata}));
        let desired = Desired {
            objects: vec![
                object("ConfigMap", json!({"name": "a"})),
                object("ClusterRole", json!({"name": "b"})),
                object("ConfigMap", json!({"name": "a", "namespace": "kube-system"})),
                object("Secret", json!({"name": "a"})),
            ],
            ..Desired::default()
        };
        let names = ["ConfigMap default/a", "ClusterRole b"].map(str::to_owned);
        let manifests: Vec<Value> = desired.objects[..2]
            .iter()
            .map(|object| object.manifest.clone())
            .collect();
        assert_eq!(desired.objects_named(&names), manifests);
    }
}
