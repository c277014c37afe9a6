//! Turns an Ansible inventory into the beginning of a cluster.yaml.
//!
//! Reads the two forms inventories have (INI and YAML) and the groups of the tools people come from: kubespray's
//! (`kube_control_plane`, `kube_node`, `etcd`, and the older names with dashes) and dabealu/k8s-ansible's
//! (`k8s_masters`, `k8s_workers`). What cannot be carried over becomes a note in the file, never silence.

mod ini;
mod nested;

use super::cluster::Role;
use super::starter::{Starter, StarterNode};
use super::value::{ClusterName, NodeName, ValueError, shorten};
use super::yaml::LONGEST_TEXT;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// Groups whose hosts become control planes, with dashes written as underscores.
const CONTROL_PLANE_GROUPS: [&str; 5] = [
    "kube_control_plane",
    "kube_master",
    "kube_masters",
    "k8s_masters",
    "k8s_control_plane",
];
/// Groups whose hosts become workers.
const WORKER_GROUPS: [&str; 4] = ["kube_node", "kube_nodes", "k8s_workers", "k8s_nodes"];
/// The most hosts that are read.
const MOST_HOSTS: usize = 5000;
/// The most groups that are read.
const MOST_GROUPS: usize = 1000;

/// An inventory that could not be turned into a cluster file: every reason, with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryError {
    /// Every problem found.
    pub problems: Vec<ValueError>,
}

impl fmt::Display for InventoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{}\n  = {}", problem.problem, problem.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for InventoryError {}

impl From<ValueError> for InventoryError {
    fn from(problem: ValueError) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

/// An inventory as read: groups by name, hosts in the order of the text.
#[derive(Debug, Default)]
struct Inventory {
    groups: BTreeMap<String, Group>,
    hosts: Vec<String>,
    host_variables: BTreeMap<String, Variables>,
}

type Variables = BTreeMap<String, String>;

#[derive(Debug, Default)]
struct Group {
    hosts: Vec<String>,
    children: Vec<String>,
    variables: Variables,
}

impl Inventory {
    fn group(&mut self, name: &str) -> Result<&mut Group, ValueError> {
        if self.groups.len() >= MOST_GROUPS {
            return Err(ValueError::new(
                format!("the inventory has more than {MOST_GROUPS} groups"),
                "leave only the groups of the cluster in it",
            ));
        }
        Ok(self.groups.entry(name.replace('-', "_")).or_default())
    }

    fn add_host(&mut self, group: &str, host: &str, variables: Variables) -> Result<(), ValueError> {
        if !self.host_variables.contains_key(host) {
            if self.hosts.len() >= MOST_HOSTS {
                return Err(ValueError::new(
                    format!("the inventory has more than {MOST_HOSTS} hosts"),
                    "split it, or write cluster.yaml by hand",
                ));
            }
            self.hosts.push(host.to_owned());
        }
        self.host_variables
            .entry(host.to_owned())
            .or_default()
            .extend(variables);
        self.group(group)?.hosts.push(host.to_owned());
        Ok(())
    }

    /// Returns every host of a group and the groups below it.
    fn members<'a>(&'a self, name: &'a str) -> BTreeSet<&'a str> {
        let mut members = BTreeSet::new();
        let mut seen = BTreeSet::from([name]);
        let mut open = vec![name];
        while let Some(group) = open.pop().and_then(|name| self.groups.get(name)) {
            members.extend(group.hosts.iter().map(String::as_str));
            let known = |child: &&str| self.groups.contains_key(*child);
            open.extend(
                group
                    .children
                    .iter()
                    .map(String::as_str)
                    .filter(known)
                    .filter(|child| seen.insert(*child)),
            );
        }
        members
    }

    /// Returns every host of any of the groups, and whether one of the groups is there at all.
    fn members_of_any<'a>(&'a self, groups: &'a [&'a str]) -> (BTreeSet<&'a str>, bool) {
        let mut members = BTreeSet::new();
        let mut is_there = false;
        for name in groups {
            is_there |= self.groups.contains_key(*name);
            members.extend(self.members(name));
        }
        (members, is_there)
    }

    /// Returns what groups say about their hosts: the host's own variables win, those for `all` lose.
    fn variables(&self) -> BTreeMap<&str, Variables> {
        let everybody = self
            .groups
            .get("all")
            .map(|group| group.variables.clone())
            .unwrap_or_default();
        let mut all: BTreeMap<&str, Variables> = self
            .hosts
            .iter()
            .map(|host| (host.as_str(), everybody.clone()))
            .collect();
        // Larger groups first, so that what a smaller one says about its few hosts wins.
        let mut groups: Vec<(&String, BTreeSet<&str>)> = self
            .groups
            .iter()
            .filter(|(name, group)| *name != "all" && !group.variables.is_empty())
            .map(|(name, _)| (name, self.members(name)))
            .collect();
        groups.sort_by_key(|(name, members)| (std::cmp::Reverse(members.len()), (*name).clone()));
        for (name, members) in groups {
            for host in members {
                if let Some(variables) = all.get_mut(host) {
                    variables.extend(self.groups[name].variables.clone());
                }
            }
        }
        for (host, own) in &self.host_variables {
            all.entry(host).or_default().extend(own.clone());
        }
        all
    }
}

/// Reads an Ansible inventory, INI or YAML, into the beginning of a cluster file.
///
/// # Errors
/// Returns every reason why it cannot be carried over: no group of control planes, hosts without an address, …
pub fn from_inventory(text: &str, name: &ClusterName) -> Result<Starter, InventoryError> {
    if text.len() > LONGEST_TEXT {
        let problem = format!(
            "the inventory has {} bytes, the limit is {LONGEST_TEXT}",
            text.len()
        );
        return Err(ValueError::new(problem, "check that this is the file you meant").into());
    }
    let inventory = match nested::read(text)? {
        Some(inventory) => inventory,
        None => ini::read(text)?,
    };
    convert(&inventory, name)
}

fn convert(inventory: &Inventory, name: &ClusterName) -> Result<Starter, InventoryError> {
    let (control_planes, has_control_planes) = inventory.members_of_any(&CONTROL_PLANE_GROUPS);
    let (workers, _) = inventory.members_of_any(&WORKER_GROUPS);
    let mut problems = Vec::new();
    if control_planes.is_empty() {
        let found: Vec<String> = inventory.groups.keys().map(|name| shorten(name)).collect();
        let what = if has_control_planes {
            "has no host"
        } else {
            "is not in the inventory"
        };
        problems.push(ValueError::new(
            format!("the group of control planes {what}; its groups are: {}", found.join(", ")),
            "name the group `kube_control_plane` (kubespray) or `k8s_masters`; workers are `kube_node` or `k8s_workers`",
        ));
    }
    let (etcd, _) = inventory.members_of_any(&["etcd"]);
    for host in etcd.difference(&control_planes) {
        problems.push(ValueError::new(
            format!(
                "host {} is in group `etcd` but no control plane: separate etcd nodes are not yet supported",
                shorten(host)
            ),
            "put it into `kube_control_plane`, or take it out of `etcd` and move its data first",
        ));
    }
    let mut notes = Vec::new();
    let variables = inventory.variables();
    let mut hosts = Vec::new();
    let no_variables = Variables::new();
    for host in &inventory.hosts {
        let mut roles = Vec::new();
        roles.extend(
            control_planes
                .contains(host.as_str())
                .then_some(Role::ControlPlane),
        );
        roles.extend(workers.contains(host.as_str()).then_some(Role::Worker));
        if roles.is_empty() {
            notes.push(format!(
                "host {} is in no group that kubewright knows and was left out.",
                shorten(host)
            ));
            continue;
        }
        match read_host(
            host,
            variables.get(host.as_str()).unwrap_or(&no_variables),
            roles,
            &mut notes,
        ) {
            Ok(host) => hosts.push(host),
            Err(mut more) => problems.append(&mut more),
        }
    }
    // Control planes first; within both, the order of the inventory.
    hosts.sort_by_key(|host| !host.roles.contains(&Role::ControlPlane));
    check_names(&hosts, &mut problems);
    if !problems.is_empty() {
        return Err(InventoryError { problems });
    }
    let user = most_common(hosts.iter().map(|host| host.user.clone()));
    let port = most_common(hosts.iter().map(|host| host.port));
    for host in &mut hosts {
        host.user = host.user.take().filter(|own| Some(own) != user.as_ref());
        host.port = host.port.filter(|own| Some(*own) != port);
    }
    note_settings(inventory, &mut notes);
    Ok(Starter {
        name: name.clone(),
        ssh_user: user,
        ssh_port: port,
        nodes: hosts,
        notes,
    })
}

fn read_host(
    host: &str,
    variables: &Variables,
    roles: Vec<Role>,
    notes: &mut Vec<String>,
) -> Result<StarterNode, Vec<ValueError>> {
    let shown = shorten(host);
    let mut problems = Vec::new();
    let get = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| variables.get(*name))
            .filter(|text| !text.is_empty())
    };
    let ssh_host = get(&["ansible_host", "ansible_ssh_host"]).map_or(host, String::as_str);
    let written = get(&["access_ip", "ip"]).map_or(ssh_host, String::as_str);
    let address = written.parse::<IpAddr>().ok();
    if address.is_none() {
        problems.push(ValueError::new(
            format!("host {shown}: `{}` is not an address", shorten(written)),
            format!("add `ip=ADDRESS` to {shown}: the address under which the other nodes reach it"),
        ));
    }
    if let Some(address) = address.filter(|address| ssh_host != host && ssh_host != address.to_string()) {
        notes.push(format!(
            "{shown}: ssh will go to {address}, the inventory had {}; if that is needed, write a Host entry for {address} in your ssh_config.",
            shorten(ssh_host)
        ));
    }
    let name = node_name(host, &roles, address);
    match &name {
        Some(name) if name != host => notes.push(format!("host {shown} is called {name} here.")),
        Some(_) => {}
        None => problems.push(ValueError::new(
            format!("host `{shown}` has no name that a node can have"),
            "use lower-case letters, digits and dashes, at most 63",
        )),
    }
    let port = get(&["ansible_port", "ansible_ssh_port"]);
    let number = port
        .and_then(|port| port.parse::<u16>().ok())
        .filter(|port| *port > 0);
    if let Some(port) = port.filter(|_| number.is_none()) {
        problems.push(ValueError::new(
            format!(
                "host {shown}: port `{}` is not a number from 1 to 65535",
                shorten(port)
            ),
            "correct `ansible_port`",
        ));
    }
    match (name, address) {
        (Some(name), Some(address)) if problems.is_empty() => Ok(StarterNode {
            name,
            address,
            roles,
            user: get(&["ansible_user", "ansible_ssh_user"]).cloned(),
            port: number,
        }),
        _ => Err(problems),
    }
}

/// Returns a node name for a host: its first label, or one made from its address if it is called by that.
fn node_name(host: &str, roles: &[Role], address: Option<IpAddr>) -> Option<NodeName> {
    if host.parse::<IpAddr>().is_ok() {
        let prefix = if roles.contains(&Role::ControlPlane) {
            "cp"
        } else {
            "w"
        };
        let tail = address?.to_string().replace(['.', ':'], "-");
        return format!("{prefix}-{tail}").parse().ok();
    }
    let label = host.split('.').next().unwrap_or_default();
    label
        .to_lowercase()
        .replace('_', "-")
        .trim_matches('-')
        .parse()
        .ok()
}

fn check_names(hosts: &[StarterNode], problems: &mut Vec<ValueError>) {
    let mut names = BTreeSet::new();
    for host in hosts {
        if !names.insert(&host.name) {
            problems.push(ValueError::new(
                format!("two hosts would be called {}", host.name),
                "node names are the first part of host names; make those differ",
            ));
        }
    }
}

/// Returns the most common of the values, the smallest of several; `None` unless every host has one.
fn most_common<T: Ord>(values: impl Iterator<Item = Option<T>>) -> Option<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value?).or_default() += 1;
    }
    let most = counts.values().copied().max()?;
    counts
        .into_iter()
        .find(|(_, count)| *count == most)
        .map(|(value, _)| value)
}

/// Settings of other tools that have a place in cluster.yaml, and that place.
const SETTINGS: &[(&str, &str)] = &[
    ("kube_version", "spec.kubernetes"),
    ("kube_pods_subnet", "spec.network.podCidr"),
    ("kube_service_addresses", "spec.network.serviceCidr"),
    ("kube_network_plugin", "spec.network.cni"),
    ("kube_proxy_mode", "spec.network.proxy"),
    ("cluster_name", "spec.network.domain"),
    ("dns_domain", "spec.network.domain"),
    (
        "supplementary_addresses_in_ssl_keys",
        "spec.controlPlane.extraSans",
    ),
    ("apiserver_loadbalancer_domain_name", "spec.controlPlane.endpoint"),
    ("ansible_ssh_private_key_file", "spec.ssh.identityFile"),
    ("ansible_ssh_common_args", "spec.ssh.jump, or your ssh_config"),
];

fn note_settings(inventory: &Inventory, notes: &mut Vec<String>) {
    let groups = inventory.groups.values().map(|group| &group.variables);
    let said: BTreeMap<&str, &str> = groups
        .chain(inventory.host_variables.values())
        .flatten()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    for (theirs, ours) in SETTINGS {
        if let Some(value) = said.get(theirs) {
            notes.push(format!(
                "`{theirs}: {}` was not carried over; see `{ours}`.",
                shorten(value)
            ));
        }
    }
    if inventory
        .groups
        .get("bastion")
        .is_some_and(|group| !group.hosts.is_empty())
    {
        notes.push(
            "the group `bastion` was not carried over; write its host as `ssh: { jump: … }`.".to_owned(),
        );
    }
}

#[cfg(test)]
mod tests;
