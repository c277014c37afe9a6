//! From an inventory to nodes: roles, names, addresses, and how they are reached by SSH.

use super::super::cluster::Role;
use super::super::starter::{Starter, StarterNode, StarterSsh};
use super::model::{Inventory, Variables, is_template};
use super::settings;
use crate::shown::count;
use crate::value::{ClusterName, NodeName, ValueError, shorten};
use std::collections::{BTreeMap, BTreeSet};
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

/// A host that becomes a node.
struct Host<'a> {
    name: &'a str,
    variables: Variables,
    node: StarterNode,
    login: String,
}

pub(super) fn convert(
    inventory: &Inventory,
    name: &ClusterName,
    mut notes: Vec<String>,
) -> Result<Starter, Vec<ValueError>> {
    let mut problems = Vec::new();
    let roles = roles(inventory, &mut notes, &mut problems);
    let mut variables = inventory.host_variables();
    let mut hosts = Vec::new();
    let mut left_out = Vec::new();
    // What is in `etcd` alone has been named already.
    let etcd = inventory.members("etcd");
    for name in &inventory.hosts {
        let Some(roles) = roles.get(name.as_str()) else {
            if !etcd.contains(name.as_str()) {
                left_out.push(shorten(name));
            }
            continue;
        };
        let variables = variables.remove(name.as_str()).unwrap_or_default();
        match read_host(name, variables, roles.clone()) {
            Ok(host) => hosts.push(host),
            Err(more) => problems.extend(more),
        }
    }
    if !left_out.is_empty() {
        notes.push(format!(
            "in no group of control planes or workers, and left out: {}",
            left_out.join(", ")
        ));
    }
    // Control planes first; within both, the order of the inventory.
    hosts.sort_by_key(|host| !host.node.roles.contains(&Role::ControlPlane));
    check_unique(&hosts, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    note_names_and_addresses(&hosts, &mut notes);
    let (user, port) = ssh(&mut hosts, &mut notes);
    let all: Vec<(&str, &Variables)> = hosts.iter().map(|host| (host.name, &host.variables)).collect();
    let mut network = settings::network(&all, &mut notes);
    let identity_file = settings::identity_file(&all, &mut notes);
    settings::note_others(&all, &mut notes);
    if !inventory.members("bastion").is_empty() {
        notes.push("group `bastion`: write its host as `spec.ssh.jump`".to_owned());
    }
    let nodes: Vec<StarterNode> = hosts.into_iter().map(|host| host.node).collect();
    notes.extend(network.fit(&nodes));
    Ok(Starter {
        name: name.clone(),
        ssh: StarterSsh {
            user,
            port,
            identity_file,
        },
        network,
        nodes,
        notes,
    })
}

/// Returns what each host does. etcd runs on the control planes here, whatever the inventory says of it.
fn roles<'a>(
    inventory: &'a Inventory,
    notes: &mut Vec<String>,
    problems: &mut Vec<ValueError>,
) -> BTreeMap<&'a str, Vec<Role>> {
    let (mut control_planes, has_group) = inventory.members_of_any(&CONTROL_PLANE_GROUPS);
    let (workers, _) = inventory.members_of_any(&WORKER_GROUPS);
    if control_planes.is_empty() {
        let found: Vec<String> = inventory.groups.keys().map(|name| shorten(name)).collect();
        let what = if has_group {
            "has no host"
        } else {
            "is not in the inventory"
        };
        problems.push(ValueError::new(
            format!("the group of control planes {what}; its groups are: {}", found.join(", ")),
            "name the group `kube_control_plane` (kubespray) or `k8s_masters`; workers are `kube_node` or `k8s_workers`",
        ));
    }
    let etcd = inventory.members("etcd");
    let (both, alone): (Vec<&str>, Vec<&str>) = etcd
        .difference(&control_planes)
        .copied()
        .partition(|host| workers.contains(host));
    let is_even = |number: usize| number.is_multiple_of(2);
    // An older builder of kubespray makes two masters and three members of etcd: the third becomes a control plane.
    if !control_planes.is_empty()
        && is_even(control_planes.len())
        && !is_even(control_planes.len() + both.len())
    {
        notes.push(format!(
            "in group `etcd`, and control planes as well here, where etcd runs on the control planes: {}",
            both.join(", ")
        ));
        control_planes.extend(both);
    } else if !both.is_empty() {
        notes.push(format!(
            "in group `etcd`, and workers alone here, where etcd runs on the control planes: {}",
            both.join(", ")
        ));
    }
    if !alone.is_empty() {
        notes.push(format!(
            "in group `etcd` alone, and left out, as etcd runs on the control planes here: {}",
            alone.join(", ")
        ));
    }
    if !control_planes.is_empty() && is_even(control_planes.len()) {
        let number = control_planes.len();
        problems.push(ValueError::new(
            format!(
                "{} are {}: an even number survives no more losses than one fewer",
                list(control_planes.iter().copied()),
                count(number, "control plane")
            ),
            format!(
                "use {} or {}: etcd needs more than half of them alive",
                number - 1,
                number + 1
            ),
        ));
    }
    let mut roles: BTreeMap<&str, Vec<Role>> = BTreeMap::new();
    for (hosts, role) in [(control_planes, Role::ControlPlane), (workers, Role::Worker)] {
        for host in hosts {
            roles.entry(host).or_default().push(role);
        }
    }
    roles
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 10;
    let mut names: Vec<String> = names.map(shorten).collect();
    let more = names.len().saturating_sub(MOST);
    names.truncate(MOST);
    let names = names.join(", ");
    if more == 0 {
        names
    } else {
        format!("{names} and {more} more")
    }
}

/// Returns the first of the variables that says something.
fn get<'v>(variables: &'v Variables, names: &[&str]) -> Option<&'v str> {
    names.iter().find_map(|name| variables.get(*name)?.text())
}

fn read_host(name: &str, variables: Variables, roles: Vec<Role>) -> Result<Host<'_>, Vec<ValueError>> {
    let shown = shorten(name);
    let mut problems = Vec::new();
    let login = get(&variables, &["ansible_host", "ansible_ssh_host"]).unwrap_or(name);
    // `ip` is what a node's services listen on; `access_ip` may be an address that a router translates.
    let written = get(&variables, &["ip", "access_ip"]).unwrap_or(login);
    let address = written.parse::<IpAddr>().ok();
    let add = format!("add `ip=ADDRESS` to {shown}: the IPv4 address under which the other nodes reach it");
    match address {
        None if is_template(written) => problems.push(ValueError::new(
            format!(
                "host {shown}: the address `{}` is a template, which only Ansible can fill in",
                shorten(written)
            ),
            add,
        )),
        None => problems.push(ValueError::new(
            format!("host {shown}: `{}` is not an address", shorten(written)),
            add,
        )),
        Some(IpAddr::V6(address)) => problems.push(ValueError::new(
            format!("host {shown}: {address} is an IPv6 address, which is not yet supported"),
            add,
        )),
        Some(IpAddr::V4(_)) => {}
    }
    let node_name = match get(&variables, &["k8s_nodename"]) {
        Some(name) if !is_template(name) => sanitized(name),
        _ => node_name(name, &roles, address),
    };
    if node_name.is_none() {
        problems.push(ValueError::new(
            format!("host `{shown}` has no name that a node can have"),
            "use lower-case letters, digits and dashes, at most 63",
        ));
    }
    let port = get(&variables, &["ansible_port", "ansible_ssh_port"]);
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
    match (node_name, address) {
        (Some(node_name), Some(address)) if problems.is_empty() => Ok(Host {
            name,
            node: StarterNode {
                name: node_name,
                address,
                roles,
                user: get(&variables, &["ansible_user", "ansible_ssh_user"]).map(str::to_owned),
                port: number,
            },
            login: login.to_owned(),
            variables,
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
    sanitized(host)
}

fn sanitized(name: &str) -> Option<NodeName> {
    let label = name.split('.').next().unwrap_or_default();
    label
        .to_lowercase()
        .replace('_', "-")
        .trim_matches('-')
        .parse()
        .ok()
}

fn check_unique(hosts: &[Host<'_>], problems: &mut Vec<ValueError>) {
    let mut names = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    for host in hosts {
        if let Some(other) = names.insert(&host.node.name, host.name) {
            problems.push(ValueError::new(
                format!(
                    "hosts {} would both be called {}",
                    list([other, host.name].into_iter()),
                    host.node.name
                ),
                "node names are the first part of host names, or `k8s_nodename`; make those differ",
            ));
        }
        if let Some(other) = addresses.insert(host.node.address, host.name) {
            problems.push(ValueError::new(
                format!(
                    "hosts {} have one address, {}",
                    list([other, host.name].into_iter()),
                    host.node.address
                ),
                "give each host its own address",
            ));
        }
    }
}

fn note_names_and_addresses(hosts: &[Host<'_>], notes: &mut Vec<String>) {
    let renamed: Vec<String> = hosts
        .iter()
        .filter(|host| host.node.name != host.name)
        .map(|host| format!("{} is {}", shorten(host.name), host.node.name))
        .collect();
    if !renamed.is_empty() {
        notes.push(format!("names of nodes: {}", renamed.join(", ")));
    }
    let moved: Vec<String> = hosts
        .iter()
        .filter(|host| host.login != host.name && host.login != host.node.address.to_string())
        .map(|host| format!("{} (was {})", host.node.address, shorten(&host.login)))
        .collect();
    if !moved.is_empty() {
        notes.push(format!(
            "ssh goes to the node's own address: {}; where only the other one can be reached, write `Host` entries with \
             `HostName` in your ssh_config",
            moved.join(", ")
        ));
    }
    let outer: Vec<String> = hosts
        .iter()
        .filter_map(|host| {
            let outer = get(&host.variables, &["access_ip"])?;
            let has_inner = get(&host.variables, &["ip"]).is_some();
            (has_inner && outer != host.node.address.to_string()).then(|| shorten(outer))
        })
        .collect();
    if !outer.is_empty() {
        notes.push(format!(
            "`access_ip` was not carried over, `ip` was: {}; if people outside use one of these, add it to \
             `spec.controlPlane.extraSans`",
            outer.join(", ")
        ));
    }
}

/// Takes what most hosts share of user and port out of the nodes.
fn ssh(hosts: &mut [Host<'_>], notes: &mut Vec<String>) -> (Option<String>, Option<u16>) {
    let templates: BTreeSet<String> = hosts
        .iter_mut()
        .filter(|host| host.node.user.as_deref().is_some_and(is_template))
        .filter_map(|host| host.node.user.take())
        .collect();
    for template in templates {
        notes.push(format!(
            "`ansible_user` is the template `{}`, which only Ansible can fill in; write the name as `spec.ssh.user`",
            shorten(&template)
        ));
    }
    let user = most_common(hosts.iter().map(|host| host.node.user.clone()));
    let port = most_common(hosts.iter().map(|host| host.node.port));
    for host in hosts {
        host.node.user = host.node.user.take().filter(|own| Some(own) != user.as_ref());
        host.node.port = host.node.port.filter(|own| Some(*own) != port);
    }
    (user, port.filter(|port| *port != 22))
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
