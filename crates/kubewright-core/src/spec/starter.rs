//! Writes a cluster.yaml for somebody who has addresses and wants to begin.
//!
//! Only what must be said is said; what may be changed stands beside it as a comment with its default.

use super::cluster::Role;
use super::value::{ClusterName, NodeName};
use super::{API_VERSION, KIND};
use crate::catalogue;
use std::fmt::Write as _;
use std::net::IpAddr;

/// A cluster file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Starter {
    /// The cluster's name.
    pub name: ClusterName,
    /// The SSH user, if known.
    pub ssh_user: Option<String>,
    /// The SSH port, if it is not 22.
    pub ssh_port: Option<u16>,
    /// The machines, in the order they are written.
    pub nodes: Vec<StarterNode>,
    /// What the user should know about how the file came to be; written as comments.
    pub notes: Vec<String>,
}

/// A machine in a cluster file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StarterNode {
    /// The node's name.
    pub name: NodeName,
    /// The node's address.
    pub address: IpAddr,
    /// What it does.
    pub roles: Vec<Role>,
    /// Its own SSH user, if it differs.
    pub user: Option<String>,
    /// Its own SSH port, if it differs.
    pub port: Option<u16>,
}

/// Returns a commented cluster.yaml for the given machines. A name in both lists is one node with both roles.
pub fn starter(
    control_planes: &[(NodeName, IpAddr)],
    workers: &[(NodeName, IpAddr)],
    name: &ClusterName,
) -> String {
    let mut nodes: Vec<StarterNode> = Vec::new();
    let lists = [(control_planes, Role::ControlPlane), (workers, Role::Worker)];
    for (node, address, role) in lists
        .iter()
        .flat_map(|(list, role)| list.iter().map(|(node, address)| (node, *address, *role)))
    {
        match nodes
            .iter_mut()
            .find(|known| known.name == *node && known.address == address)
        {
            Some(known) if known.roles.contains(&role) => {}
            Some(known) => known.roles.push(role),
            None => nodes.push(StarterNode {
                name: node.clone(),
                address,
                roles: vec![role],
                user: None,
                port: None,
            }),
        }
    }
    // Without a worker, pods have nowhere to run: a small cluster's control planes do both.
    if workers.is_empty() {
        for node in &mut nodes {
            node.roles.push(Role::Worker);
        }
    }
    Starter {
        name: name.clone(),
        ssh_user: None,
        ssh_port: None,
        nodes,
        notes: Vec::new(),
    }
    .render()
}

/// Returns a commented cluster.yaml for addresses alone; the nodes are called `cp-1`, … and `w-1`, …
pub fn starter_from_addresses(control_planes: &[IpAddr], workers: &[IpAddr], name: &ClusterName) -> String {
    let named = |prefix: &str, addresses: &[IpAddr]| -> Vec<(NodeName, IpAddr)> {
        let name = |(number, address): (usize, &IpAddr)| {
            // A letter, a dash and a number always make a name.
            Some((format!("{prefix}-{}", number + 1).parse().ok()?, *address))
        };
        addresses.iter().enumerate().filter_map(name).collect()
    };
    let control_planes = named("cp", control_planes);
    let mut workers = named("w", workers);
    for worker in &mut workers {
        if let Some((name, _)) = control_planes.iter().find(|(_, address)| *address == worker.1) {
            worker.0 = name.clone();
        }
    }
    starter(&control_planes, &workers, name)
}

impl Starter {
    /// Returns the text of the file.
    pub fn render(&self) -> String {
        let mut text = String::new();
        text.push_str("# A Kubernetes cluster, described for kubewright.\n");
        text.push_str("#   kubewright check    looks at the machines and changes nothing\n");
        text.push_str("#   kubewright plan     shows what would be done, and why\n");
        text.push_str("#   kubewright apply    does it; running it again changes nothing\n");
        text.push_str("# Lines that begin with `#` show other settings with their defaults.\n");
        for note in &self.notes {
            let note: String = note
                .chars()
                .map(|c| {
                    if c.is_control() || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}') {
                        ' '
                    } else {
                        c
                    }
                })
                .collect();
            let _ = writeln!(text, "#\n# Note: {note}");
        }
        let _ = writeln!(
            text,
            "apiVersion: {API_VERSION}\nkind: {KIND}\nmetadata:\n  name: {}",
            quoted(self.name.as_str())
        );
        let _ = writeln!(text, "spec:\n  kubernetes: {}\n", catalogue::newest());
        text.push_str(SETTINGS);
        self.render_ssh(&mut text);
        text.push_str("\n  nodes:\n");
        for node in &self.nodes {
            let roles: Vec<&str> = node.roles.iter().map(|role| role.as_str()).collect();
            let name = quoted(node.name.as_str());
            let _ = write!(
                text,
                "    - {{ name: {name}, address: {}, roles: [{}]",
                address(node.address),
                roles.join(", ")
            );
            if let Some(user) = &node.user {
                let _ = write!(text, ", user: {}", quoted(user));
            }
            if let Some(port) = node.port {
                let _ = write!(text, ", port: {port}");
            }
            text.push_str(" }\n");
        }
        text
    }

    fn render_ssh(&self, text: &mut String) {
        let user = quoted(self.ssh_user.as_deref().unwrap_or("root"));
        let port = self.ssh_port.unwrap_or(22);
        let _ = writeln!(
            text,
            "\n  # Your own ssh is used, with its agent and ssh_config. Another user than root needs sudo without a password.\n  ssh: {{ user: {user}, port: {port} }}\n  # ssh: {{ user: admin, identityFile: ~/.ssh/id_ed25519, knownHosts: ./known_hosts, jump: gate.example.org }}"
        );
    }
}

const SETTINGS: &str = "  # controlPlane:
  #   endpoint: api.example.org:6443   # a name, virtual address or load balancer for people outside; nodes need none
  #   extraSans: []                    # more names and addresses for the API server's certificate

  network:
    podCidr: 10.244.0.0/16             # each node gets a /24 of it; no machine's address may lie in it
    serviceCidr: 10.96.0.0/16          # no machine's address may lie in it
    # domain: cluster.local
    # cni: flannel                     # flannel | bridge (one network segment, plain routes) | none
    # proxy: nftables                  # nftables | iptables | none

  # security: { encryption: secretbox, audit: metadata, podSecurity: baseline }
  # artifacts: { source: upstream }    # upstream | { mirror: URL } | { directory: PATH }
  # components: { kube-apiserver: { extraArgs: { event-ttl: 2h } } }
  # addons: [{ name: mine, manifests: [./manifests] }]
";

/// Quotes a word that YAML would read as something else than text, or that holds more than a plain word.
fn quoted(word: &str) -> String {
    let is_plain = word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&word.to_ascii_lowercase().as_str());
    if is_plain {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "''"))
    }
}

/// Quotes an address if YAML needs it inside `{ }`.
fn address(address: IpAddr) -> String {
    if address.is_ipv4() {
        address.to_string()
    } else {
        format!("'{address}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse;
    use proptest::prelude::*;

    fn machines(prefix: &str, third: u8, count: u8) -> Vec<(NodeName, IpAddr)> {
        (1..=count)
            .map(|n| {
                (
                    format!("{prefix}-{n}").parse().unwrap(),
                    IpAddr::from([192, 0, third, n]),
                )
            })
            .collect()
    }

    #[test]
    fn three_and_two_make_a_file_without_a_finding() {
        let text = starter(
            &machines("cp", 2, 3),
            &machines("w", 3, 2),
            &"prod".parse().unwrap(),
        );
        let parsed = parse(&text, "cluster.yaml").unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(parsed.warnings, Vec::new());
        assert_eq!(parsed.spec.kubernetes, catalogue::newest());
        assert_eq!(
            (
                parsed.spec.control_planes().count(),
                parsed.spec.workers().count()
            ),
            (3, 2)
        );
        assert_eq!(parsed.spec.ssh.user.as_deref(), Some("root"));
    }

    #[test]
    fn control_planes_alone_are_workers_too() {
        let text = starter(&machines("cp", 2, 3), &[], &"prod".parse().unwrap());
        assert_eq!(parse(&text, "cluster.yaml").unwrap().spec.workers().count(), 3);
        let both = machines("n", 2, 3);
        let text = starter(&both, &both, &"prod".parse().unwrap());
        assert_eq!(parse(&text, "cluster.yaml").unwrap().spec.nodes.len(), 3);
    }

    #[test]
    fn addresses_alone_are_enough_and_one_in_both_lists_is_one_node() {
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let text = starter_from_addresses(
            &[1, 2, 3].map(address),
            &[3, 4].map(address),
            &"prod".parse().unwrap(),
        );
        let cluster = parse(&text, "cluster.yaml")
            .unwrap_or_else(|errors| panic!("{errors}"))
            .spec;
        let names: Vec<_> = cluster.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["cp-1", "cp-2", "cp-3", "w-2"]);
        assert_eq!(cluster.workers().count(), 2);
    }

    #[test]
    fn every_setting_in_a_comment_is_one_that_works() {
        let text = starter(
            &machines("cp", 2, 3),
            &machines("w", 3, 2),
            &"prod".parse().unwrap(),
        );
        for line in text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("# "))
        {
            let key = line.split(':').next().unwrap_or_default();
            if !["security", "artifacts", "components", "addons"].contains(&key) {
                continue;
            }
            let with = text.replacen("  network:\n", &format!("  {line}\n  network:\n"), 1);
            parse(&with, "cluster.yaml").unwrap_or_else(|errors| panic!("{errors}"));
        }
    }

    proptest! {
        #[test]
        fn any_names_make_a_file_that_reads_back(
            names in proptest::collection::btree_set("[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?", 3..8),
            cluster in "[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?",
            user in "[ -~]{1,12}",
            note in any::<String>(),
        ) {
            let nodes: Vec<StarterNode> = names
                .iter()
                .zip(1_u8..)
                .map(|(name, n)| StarterNode {
                    name: name.parse().unwrap(),
                    address: IpAddr::from([192, 0, 2, n]),
                    roles: if n <= 3 { vec![Role::ControlPlane] } else { vec![Role::Worker] },
                    user: None,
                    port: Some(u16::from(n)),
                })
                .collect();
            let starter = Starter {
                name: cluster.parse().unwrap(),
                ssh_user: Some(user),
                ssh_port: Some(2222),
                nodes,
                notes: vec![note],
            };
            let parsed = parse(&starter.render(), "cluster.yaml");
            match parsed {
                Ok(parsed) => {
                    prop_assert_eq!(parsed.spec.nodes.len(), names.len());
                    prop_assert_eq!(parsed.spec.name.as_str(), cluster);
                }
                // A user name that ssh cannot take is refused as such, never misread.
                Err(errors) => prop_assert!(errors.findings.iter().all(|f| f.path == "spec.ssh.user" || f.rule.starts_with("no-")), "{}", errors),
            }
        }
    }
}
