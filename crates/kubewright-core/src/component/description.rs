//! What a component says of itself before it is rendered for a node: facts that hold on every node that has it.
//!
//! Checks, waits, status, disruption texts, downloads, the agent's facts and the reference pages are computed from
//! these, so that none of them keeps a list of components of its own.

use super::call::Call;
use super::port::{Port, local};
use super::traces::{Rival, Traces};
use super::view::{AGENT_PATH, BINARY_DIRECTORY};
use crate::resource::{AuthorityName, Resource, Stage, User};
use crate::spec::{Cluster, Node};

/// A component as it is on every node that has it.
#[derive(Debug)]
pub struct Description {
    /// Upstream's name, such as `kube-apiserver`; what runs of it is called the same.
    pub name: &'static str,
    /// One line for people; empty when nothing runs.
    pub title: &'static str,
    /// The part of a node it belongs to.
    pub stage: Stage,
    /// Returns whether a node of a cluster has it.
    pub is_on: fn(&Cluster, &Node) -> bool,
    /// The program that runs.
    pub program: Program,
    /// The programs it brings, by the catalogue's names.
    pub binaries: &'static [&'static str],
    /// The system user it runs as; `None` is root.
    pub account: Option<Account>,
    /// The programs of the operating system it runs.
    pub calls: &'static [Call],
    /// The ports it listens on, ascending.
    pub ports: &'static [Port],
    /// Where it tells its health.
    pub probe: Option<Probe>,
    /// What it leaves behind by itself.
    pub traces: Traces,
    /// Another one of its kind.
    pub rival: Option<Rival>,
    /// Returns what a restart means for whoever uses the cluster, given the number of other control planes.
    pub on_restart: fn(usize) -> Option<String>,
}

impl Description {
    /// A component that has nothing yet.
    pub const fn new(name: &'static str, stage: Stage, is_on: fn(&Cluster, &Node) -> bool) -> Self {
        Self {
            name,
            title: "",
            stage,
            is_on,
            program: Program::None,
            binaries: &[],
            account: None,
            calls: &[],
            ports: &[],
            probe: None,
            traces: Traces::NONE,
            rival: None,
            on_restart: |_| None,
        }
    }

    /// Returns the programs it brings besides the one that runs.
    pub fn other_binaries(&self) -> impl Iterator<Item = &'static str> {
        let program = self.program;
        let binaries = self.binaries.iter().copied();
        binaries.filter(move |name| program != Program::Catalogue(name))
    }
}

/// What runs of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Nothing, or only commands of the system.
    None,
    /// A program of the catalogue.
    Catalogue(&'static str),
    /// kubewright's own program.
    Agent,
}

impl Program {
    /// Returns its path on nodes.
    pub fn path(self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Catalogue(name) => Some(format!("{BINARY_DIRECTORY}/{name}")),
            Self::Agent => Some(AGENT_PATH.to_owned()),
        }
    }

    /// Returns the name its process has.
    pub fn process_name(self) -> Option<String> {
        let path = self.path()?;
        path.rsplit('/').next().map(str::to_owned)
    }
}

/// A system user, with a group of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub name: &'static str,
    /// The home directory.
    pub home: &'static str,
}

impl Account {
    /// A user without a home.
    pub const fn homeless(name: &'static str) -> Self {
        Self {
            name,
            home: "/nonexistent",
        }
    }

    /// What a node has of it.
    pub fn resource(self) -> Resource {
        Resource::User(User {
            name: self.name.to_owned(),
            home: self.home.to_owned(),
        })
    }
}

/// Where a component tells its health: HTTP GET on the node's loopback address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The port.
    pub port: u16,
    /// The path, as in `/readyz`.
    pub path: &'static str,
    /// Who signed the certificate it shows; `None` is plain HTTP.
    pub authority: Option<AuthorityName>,
    /// The name its certificate must have; without one, the loopback address.
    pub server_name: Option<&'static str>,
}

impl Probe {
    /// A probe over plain HTTP.
    pub const fn http(port: u16, path: &'static str) -> Self {
        Self {
            port,
            path,
            authority: None,
            server_name: None,
        }
    }

    /// A probe of a server whose certificate the cluster's own authority signed.
    pub const fn https(port: u16, path: &'static str) -> Self {
        Self {
            port,
            path,
            authority: Some(AuthorityName::Kubernetes),
            server_name: None,
        }
    }

    /// The same, of a server whose certificate must have this name.
    pub const fn named(self, server_name: &'static str) -> Self {
        Self {
            server_name: Some(server_name),
            ..self
        }
    }

    /// Returns the URL, as in `https://127.0.0.1:6443/readyz`.
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{}", local(self.port), self.path)
    }

    /// Returns the file on the node that tells whether the server is the right one.
    pub fn ca_file(&self) -> Option<&'static str> {
        self.authority.map(AuthorityName::certificate_path)
    }
}

/// On every node.
pub(super) fn everywhere(_: &Cluster, _: &Node) -> bool {
    true
}

/// On control planes.
pub(super) fn on_control_planes(_: &Cluster, node: &Node) -> bool {
    node.is_control_plane()
}
