//! What the user writes: cluster.yaml, from text to a checked [`Cluster`].
//!
//! The text becomes a tree in which every key and value knows its place; the tree is decoded strictly into types;
//! the types are validated against each other. Nothing stops at the first mistake: everything found is reported at
//! once, each with its line, the cause and the remedy. Nothing here reads a file: the caller has the text.

mod cluster;
mod decode;
mod finding;
mod inventory;
mod parse;
mod report;
mod rule;
mod schema;
mod starter;
mod validate;
mod yaml;

pub use crate::value::{
    Cidr, ClusterName, DomainName, Endpoint, Interval, NodeCount, NodeName, SubjectAltName, Taint,
    TaintEffect, ValueError, Version, check_label_key, check_label_value,
};
pub use cluster::{
    Acceptance, Addon, ArtifactSource, Artifacts, Audit, Checks, Cluster, Cni, ComponentName,
    ComponentOverrides, ControlPlane, ControlPlaneMode, Dns, Encryption, Etcd, ExtraVolume, HttpProxy,
    ManifestSource, NODE_POD_PREFIX, Network, Node, NodeSsh, Oidc, PodSecurity, Profile, ProxyMode, Registry,
    Role, Security, Snapshots, Ssh,
};
pub use finding::{Finding, Parsed, Place, Severity, Snippet, SpecErrors};
pub use inventory::{InventoryError, InventoryFiles, VariableFile, from_inventory};
pub use parse::parse;
pub use rule::RULES;
pub use schema::schema;
pub use starter::{Starter, StarterNetwork, StarterNode, StarterSsh};

#[cfg(test)]
mod tests;

/// The `apiVersion` of cluster.yaml.
pub const API_VERSION: &str = "kubewright/v1alpha1";
/// The `kind` of cluster.yaml.
pub const KIND: &str = "Cluster";
