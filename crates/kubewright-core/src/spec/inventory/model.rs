//! An inventory as read: groups, hosts, and which value of a variable wins.
//!
//! The order is Ansible's own (its documentation, "How variables are merged"): `all` loses to every other group, a group
//! loses to the groups below it, of one depth the later name wins, variable files win over the inventory's own sections,
//! and a host wins over its groups.

use crate::value::ValueError;
use std::collections::{BTreeMap, BTreeSet};

/// The most hosts that are read.
pub(super) const MOST_HOSTS: usize = 5000;
/// The most groups that are read.
const MOST_GROUPS: usize = 1000;
/// The most levels of groups that are told apart.
const MOST_LEVELS: usize = 32;
/// What every text begins with that ansible-vault encrypted.
pub(super) const VAULT: &str = "$ANSIBLE_VAULT;";

/// The value of a variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variable {
    /// Text, or a number or boolean as it was written.
    Text(String),
    /// A list or a map.
    Nested,
    /// A value that ansible-vault encrypted.
    Encrypted,
}

impl Variable {
    /// Makes the value that a text stands for.
    pub(super) fn of_text(text: &str) -> Self {
        if text.starts_with(VAULT) {
            Self::Encrypted
        } else {
            Self::Text(text.to_owned())
        }
    }

    /// Returns the text if it is one that says something.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()).filter(|text| !text.is_empty()),
            Self::Nested | Self::Encrypted => None,
        }
    }
}

/// Whether a text is a template that only Ansible can fill in.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

pub(super) type Variables = BTreeMap<String, Variable>;

/// Groups by name, hosts in the order of the text.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) hosts: Vec<String>,
    variables: BTreeMap<String, Own>,
}

/// The variables of a group or host: from the inventory, and from files beside it.
#[derive(Debug, Default)]
struct Own {
    inventory: Variables,
    files: Variables,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) hosts: Vec<String>,
    pub(super) children: Vec<String>,
    own: Own,
}

impl Inventory {
    pub(super) fn group(&mut self, name: &str) -> Result<&mut Group, ValueError> {
        if self.groups.len() >= MOST_GROUPS {
            return Err(ValueError::new(
                format!("the inventory has more than {MOST_GROUPS} groups"),
                "leave only the groups of the cluster in it",
            ));
        }
        Ok(self.groups.entry(plain(name)).or_default())
    }

    pub(super) fn add_child(&mut self, group: &str, child: &str) -> Result<(), ValueError> {
        let child = plain(child);
        self.group(&child)?;
        self.group(group)?.children.push(child);
        Ok(())
    }

    pub(super) fn add_variables(&mut self, group: &str, more: Variables) -> Result<(), ValueError> {
        self.group(group)?.own.inventory.extend(more);
        Ok(())
    }

    pub(super) fn add_host(
        &mut self,
        group: &str,
        host: &str,
        variables: Variables,
    ) -> Result<(), ValueError> {
        self.host(host)?.inventory.extend(variables);
        self.group(group)?.hosts.push(host.to_owned());
        Ok(())
    }

    fn host(&mut self, host: &str) -> Result<&mut Own, ValueError> {
        if !self.variables.contains_key(host) {
            if self.hosts.len() >= MOST_HOSTS {
                return Err(ValueError::new(
                    format!("the inventory has more than {MOST_HOSTS} hosts"),
                    "split it, or write cluster.yaml by hand",
                ));
            }
            self.hosts.push(host.to_owned());
        }
        Ok(self.variables.entry(host.to_owned()).or_default())
    }

    /// Returns where a group's variable files go; `None` when there is no such group.
    pub(super) fn file_variables_of_group(&mut self, name: &str) -> Option<&mut Variables> {
        let name = plain(name);
        if name == "all" {
            return Some(&mut self.groups.entry(name).or_default().own.files);
        }
        self.groups.get_mut(&name).map(|group| &mut group.own.files)
    }

    /// Returns where a host's variable files go; `None` when there is no such host.
    pub(super) fn file_variables_of_host(&mut self, name: &str) -> Option<&mut Variables> {
        self.variables.get_mut(name).map(|own| &mut own.files)
    }

    /// Returns every host of a group and the groups below it.
    pub(super) fn members<'a>(&'a self, name: &'a str) -> BTreeSet<&'a str> {
        if name == "all" {
            return self.hosts.iter().map(String::as_str).collect();
        }
        let mut members = BTreeSet::new();
        let mut seen = BTreeSet::from([name]);
        let mut open = vec![name];
        while let Some(group) = open.pop().and_then(|name| self.groups.get(name)) {
            members.extend(group.hosts.iter().map(String::as_str));
            open.extend(
                group
                    .children
                    .iter()
                    .map(String::as_str)
                    .filter(|child| seen.insert(*child)),
            );
        }
        members
    }

    /// Returns every host of any of the groups, and whether one of the groups is there at all.
    pub(super) fn members_of_any<'a>(&'a self, groups: &'a [&'a str]) -> (BTreeSet<&'a str>, bool) {
        let mut members = BTreeSet::new();
        let mut is_there = false;
        for name in groups {
            is_there |= self.groups.contains_key(*name);
            members.extend(self.members(name));
        }
        (members, is_there)
    }

    /// Returns the variables of every host, with the value that wins of each.
    pub(super) fn host_variables(&self) -> BTreeMap<&str, Variables> {
        let mut all: BTreeMap<&str, Variables> = self
            .hosts
            .iter()
            .map(|host| (host.as_str(), Variables::new()))
            .collect();
        let order = self.groups_in_order();
        let (everybody, others): (Vec<&str>, Vec<&str>) = order.iter().partition(|name| **name == "all");
        for source in [Own::inventory, Own::files] {
            for name in everybody.iter().chain(&others) {
                let Some(more) = self.groups.get(*name).map(|group| source(&group.own)) else {
                    continue;
                };
                if more.is_empty() {
                    continue;
                }
                for host in self.members(name) {
                    if let Some(variables) = all.get_mut(host) {
                        variables.extend(more.clone());
                    }
                }
            }
        }
        for (host, own) in &self.variables {
            let variables = all.entry(host).or_default();
            variables.extend(own.inventory.clone());
            variables.extend(own.files.clone());
        }
        all
    }

    /// Returns the groups so that later ones win: by depth, then `ansible_group_priority`, then name.
    fn groups_in_order(&self) -> Vec<&str> {
        let mut depth: BTreeMap<&str, usize> = self.groups.keys().map(|name| (name.as_str(), 1)).collect();
        for _ in 0..MOST_LEVELS {
            let mut has_changed = false;
            for (name, group) in &self.groups {
                let below = depth.get(name.as_str()).copied().unwrap_or(1) + 1;
                if name == "all" {
                    continue;
                }
                for child in &group.children {
                    if let Some(depth) = depth.get_mut(child.as_str()).filter(|depth| **depth < below) {
                        *depth = below;
                        has_changed = true;
                    }
                }
            }
            if !has_changed {
                break;
            }
        }
        let priority = |name: &str| -> i64 {
            let group = self.groups.get(name);
            group
                .and_then(|group| {
                    group
                        .own
                        .inventory
                        .get("ansible_group_priority")?
                        .text()?
                        .parse()
                        .ok()
                })
                .unwrap_or(1)
        };
        let mut order: Vec<&str> = self.groups.keys().map(String::as_str).collect();
        order.sort_by_key(|name| (depth.get(name).copied(), priority(name), *name));
        order
    }
}

impl Own {
    const fn inventory(&self) -> &Variables {
        &self.inventory
    }

    const fn files(&self) -> &Variables {
        &self.files
    }
}

/// Older tools write dashes where newer ones write underscores.
fn plain(group: &str) -> String {
    group.replace('-', "_")
}
