//! How nodes are reached over SSH.

use super::{Cluster, Node};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How nodes are reached. What is absent here is left to the operator's ssh_config.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Ssh {
    /// The user to log in as. Absent: what ssh_config says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The port of the SSH server. Absent: what ssh_config says, else 22.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// A private key file, absolute, relative to cluster.yaml, or beginning with `~/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_file: Option<String>,
    /// A known_hosts file to use instead of the operator's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<String>,
    /// A host to go through, `[user@]host[:port]`, as `ssh -J` takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jump: Option<String>,
    /// Whether commands on the node go through `sudo`. Absent: if the user is set and is not root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sudo: Option<bool>,
}

/// How one node is reached: the cluster's settings with the node's own on top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSsh<'a> {
    /// The user to log in as; `None` leaves it to ssh_config.
    pub user: Option<&'a str>,
    /// The port; `None` leaves it to ssh_config.
    pub port: Option<u16>,
    /// The private key file as written.
    pub identity_file: Option<&'a str>,
    /// The known_hosts file as written.
    pub known_hosts: Option<&'a str>,
    /// The jump host as written.
    pub jump: Option<&'a str>,
    /// Whether to use `sudo`; `None` when only the user on the node can tell, who is not known here.
    pub sudo: Option<bool>,
    /// The only host key accepted.
    pub host_key: Option<&'a str>,
}

impl Cluster {
    /// Returns how a node is reached.
    pub fn ssh_of<'a>(&'a self, node: &'a Node) -> NodeSsh<'a> {
        let user = node.user.as_deref().or(self.ssh.user.as_deref());
        NodeSsh {
            user,
            port: node.port.or(self.ssh.port),
            identity_file: self.ssh.identity_file.as_deref(),
            known_hosts: self.ssh.known_hosts.as_deref(),
            jump: self.ssh.jump.as_deref(),
            sudo: self.ssh.sudo.or_else(|| user.map(|user| user != "root")),
            host_key: node.host_key.as_deref(),
        }
    }
}
