//! Writes a cluster.yaml for somebody who has addresses and wants to begin.
//!
//! Only what must be said is said; what may be changed stands beside it as a comment with its default.

use super::cluster::{NODE_POD_PREFIX, Network, ProxyMode, Role};
use super::{API_VERSION, KIND};
use crate::catalogue;
use crate::value::{Cidr, ClusterName, DomainName, NodeName};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

/// A cluster file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Starter {
    /// The cluster's name.
    pub name: ClusterName,
    /// How nodes are reached, as far as it is known.
    pub ssh: StarterSsh,
    /// What is known of the network.
    pub network: StarterNetwork,
    /// The machines, in the order they are written.
    pub nodes: Vec<StarterNode>,
    /// What the user should know about how the file came to be; written as comments.
    pub notes: Vec<String>,
}

/// How nodes are reached, in a cluster file to be written. What is absent is left to the user's ssh_config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StarterSsh {
    /// The user.
    pub user: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The private key.
    pub identity_file: Option<String>,
}

/// The network, in a cluster file to be written. What is absent is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StarterNetwork {
    /// The range of pods.
    pub pod_cidr: Option<Cidr>,
    /// The range of services.
    pub service_cidr: Option<Cidr>,
    /// The DNS domain of services.
    pub domain: Option<DomainName>,
    /// How kube-proxy works.
    pub proxy: Option<ProxyMode>,
}

impl StarterNetwork {
    /// Chooses other ranges than the defaults where the nodes' addresses or the other range lie in those; returns what
    /// to say about that.
    pub(super) fn fit(&mut self, nodes: &[StarterNode]) -> Vec<String> {
        let defaults = Network::default();
        let mut notes = Vec::new();
        let services = self.service_cidr.unwrap_or(defaults.service_cidr);
        if self.pod_cidr.is_none() {
            // A range for each node, and at least the default's room to grow.
            let has_room = |prefix: &u8| 1_usize << (NODE_POD_PREFIX - prefix) >= nodes.len();
            let prefix = (9..=defaults.pod_cidr.prefix()).rev().find(has_room).unwrap_or(9);
            self.pod_cidr = fitting("pod", defaults.pod_cidr, prefix, nodes, &services, &mut notes);
        }
        let pods = self.pod_cidr.unwrap_or(defaults.pod_cidr);
        if self.service_cidr.is_none() {
            self.service_cidr = fitting("service", defaults.service_cidr, 16, nodes, &pods, &mut notes);
        }
        notes
    }
}

/// Returns a range in place of the default, if that does not fit and another does.
fn fitting(
    what: &str,
    default: Cidr,
    prefix: u8,
    nodes: &[StarterNode],
    other: &Cidr,
    notes: &mut Vec<String>,
) -> Option<Cidr> {
    let holds_node = |range: &Cidr| nodes.iter().any(|node| range.contains(node.address));
    let why = if holds_node(&default) {
        "nodes have addresses in"
    } else if default.overlaps(other) {
        "the other range shares addresses with"
    } else if default.prefix() > prefix {
        "there are too many nodes for"
    } else {
        return None;
    };
    let private: [(Ipv4Addr, u8); 3] = [
        (Ipv4Addr::new(10, 128, 0, 0), 9),
        (Ipv4Addr::new(172, 16, 0, 0), 12),
        (Ipv4Addr::new(10, 0, 0, 0), 9),
    ];
    let range = private
        .iter()
        .filter_map(|(address, prefix)| Cidr::new(IpAddr::V4(*address), *prefix))
        .flat_map(|range| {
            (0..range.subnet_count(prefix)).filter_map(move |index| range.subnet(prefix, index))
        })
        .find(|range| !holds_node(range) && !range.overlaps(other))?;
    notes.push(format!(
        "the {what} range is {range}, because {why} the default, {default}"
    ));
    Some(range)
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

impl Starter {
    /// Makes a cluster file from addresses alone; the nodes are called `cp-1`, … and `w-1`, …
    ///
    /// An address in both lists is one node with both roles. Without a worker, the control planes are workers as well.
    pub fn from_addresses(control_planes: &[IpAddr], workers: &[IpAddr], name: &ClusterName) -> Self {
        let named = |prefix: &str, addresses: &[IpAddr], role: Role| -> Vec<StarterNode> {
            let node = |(number, address): (usize, &IpAddr)| {
                Some(StarterNode {
                    // A letter, a dash and a number always make a name.
                    name: format!("{prefix}-{}", number + 1).parse().ok()?,
                    address: *address,
                    roles: vec![role],
                    user: None,
                    port: None,
                })
            };
            addresses.iter().enumerate().filter_map(node).collect()
        };
        let mut nodes = named("cp", control_planes, Role::ControlPlane);
        for node in &mut nodes {
            if workers.is_empty() || workers.contains(&node.address) {
                node.roles.push(Role::Worker);
            }
        }
        let alone: Vec<IpAddr> = workers
            .iter()
            .copied()
            .filter(|address| !control_planes.contains(address))
            .collect();
        nodes.extend(named("w", &alone, Role::Worker));
        let mut network = StarterNetwork::default();
        let notes = network.fit(&nodes);
        Self {
            name: name.clone(),
            ssh: StarterSsh::default(),
            network,
            nodes,
            notes,
        }
    }

    /// Returns the text of the file.
    pub fn render(&self) -> String {
        let mut text = String::new();
        text.push_str("# A Kubernetes cluster, described for kubewright.\n");
        text.push_str("#   kubewright check    looks at the machines and changes nothing\n");
        text.push_str("#   kubewright plan     shows what would be done, and why\n");
        text.push_str("#   kubewright apply    does it; running it again changes nothing\n");
        text.push_str("# Lines that begin with `#` show other settings with their defaults.\n");
        if !self.notes.is_empty() {
            text.push_str("#\n# How this file came to be:\n");
        }
        for note in &self.notes {
            let _ = writeln!(text, "# - {}", in_comment(note));
        }
        let _ = writeln!(
            text,
            "apiVersion: {API_VERSION}\nkind: {KIND}\nmetadata:\n  name: {}",
            quoted(self.name.as_str())
        );
        let _ = writeln!(text, "spec:\n  kubernetes: {}\n", catalogue::newest());
        text.push_str(CONTROL_PLANE);
        self.render_network(&mut text);
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

    fn render_network(&self, text: &mut String) {
        let defaults = Network::default();
        let network = &self.network;
        let pods = network.pod_cidr.unwrap_or(defaults.pod_cidr).to_string();
        let services = network.service_cidr.unwrap_or(defaults.service_cidr).to_string();
        let domain = network.domain.as_ref();
        let domain = commented(
            "domain",
            domain.map(|domain| quoted(domain.as_str())),
            defaults.domain.as_str(),
        );
        let proxy = network.proxy.map(|proxy| proxy.to_string());
        let proxy = commented("proxy", proxy, defaults.proxy.as_str());
        let _ = write!(
            text,
            "  network:
    podCidr: {pods:<25} # each node gets a /24 of it; no machine's address may lie in it
    serviceCidr: {services:<21} # no machine's address may lie in it
    {domain}
    # cni: flannel                     # flannel | bridge (one network segment, plain routes) | none
    {proxy:<34} # nftables | iptables | none

"
        );
    }

    fn render_ssh(&self, text: &mut String) {
        text.push_str(
            "
  # Your own ssh is used, with its agent and ssh_config. Another user than root needs sudo without a password.
  # ssh: { user: admin, port: 22, identityFile: ~/.ssh/id_ed25519, knownHosts: ./known_hosts, jump: gate.example.org }
",
        );
        let ssh = &self.ssh;
        let known: Vec<String> = [
            ssh.user.as_deref().map(|user| format!("user: {}", quoted(user))),
            ssh.port.map(|port| format!("port: {port}")),
            ssh.identity_file
                .as_deref()
                .map(|path| format!("identityFile: {}", quoted(path))),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !known.is_empty() {
            let _ = writeln!(text, "  ssh: {{ {} }}", known.join(", "));
        }
    }
}

/// Writes a setting, or its default as a comment.
fn commented(key: &str, value: Option<String>, default: &str) -> String {
    value.map_or_else(
        || format!("# {key}: {default}"),
        |value| format!("{key}: {value}"),
    )
}

/// Makes a text one that stays in its comment.
fn in_comment(text: &str) -> String {
    let is_odd = |c: char| c.is_control() || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if is_odd(c) { ' ' } else { c }).collect()
}

const CONTROL_PLANE: &str = "  # controlPlane:
  #   endpoint: api.example.org:6443   # a name, virtual address or load balancer for people outside; nodes need none
  #   extraSans: []                    # more names and addresses for the API server's certificate

";

const SETTINGS: &str = "  # security: { encryption: secretbox, audit: metadata, podSecurity: baseline }
  # artifacts: { source: upstream }    # upstream | { mirror: URL } | { directory: PATH }
  # registries: { docker.io: { mirrors: [https://mirror.example.org] } }
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

    fn addresses(third: u8, count: u8) -> Vec<IpAddr> {
        (1..=count).map(|n| IpAddr::from([192, 0, third, n])).collect()
    }

    fn text(control_planes: &[IpAddr], workers: &[IpAddr]) -> String {
        Starter::from_addresses(control_planes, workers, &"prod".parse().unwrap()).render()
    }

    #[test]
    fn three_and_two_make_a_file_without_a_finding() {
        let text = text(&addresses(2, 3), &addresses(3, 2));
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
        // Whatever the user's ssh_config says stays in force.
        assert_eq!(parsed.spec.ssh, crate::spec::Ssh::default());
    }

    #[test]
    fn control_planes_alone_are_workers_too() {
        let text = text(&addresses(2, 3), &[]);
        assert_eq!(parse(&text, "cluster.yaml").unwrap().spec.workers().count(), 3);
    }

    #[test]
    fn an_address_in_both_lists_is_one_node_with_both_roles() {
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let text = text(&[1, 2, 3].map(address), &[3, 4].map(address));
        let cluster = parse(&text, "cluster.yaml")
            .unwrap_or_else(|errors| panic!("{errors}"))
            .spec;
        let names: Vec<_> = cluster.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["cp-1", "cp-2", "cp-3", "w-1"]);
        assert_eq!(cluster.workers().count(), 2);
    }

    #[test]
    fn addresses_in_the_default_ranges_get_other_ranges() {
        let nodes = [[10, 244, 0, 1], [10, 96, 3, 2], [10, 128, 3, 3]].map(IpAddr::from);
        let text = text(&nodes, &[]);
        let parsed = parse(&text, "cluster.yaml").unwrap_or_else(|errors| panic!("{errors}"));
        let network = parsed.spec.network;
        assert_eq!(
            (network.pod_cidr.to_string(), network.service_cidr.to_string()),
            ("10.129.0.0/16".to_owned(), "10.130.0.0/16".to_owned())
        );
        assert!(
            text.contains("# - the pod range is 10.129.0.0/16, because nodes have addresses in"),
            "{text}"
        );
    }

    #[test]
    fn every_setting_in_a_comment_is_one_that_works() {
        let text = text(&addresses(2, 3), &addresses(3, 2));
        for line in text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("# "))
        {
            let key = line.split(':').next().unwrap_or_default();
            if ![
                "security",
                "artifacts",
                "registries",
                "components",
                "addons",
                "ssh",
            ]
            .contains(&key)
            {
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
                ssh: StarterSsh {
                    user: Some(user),
                    port: Some(2222),
                    identity_file: None,
                },
                network: StarterNetwork::default(),
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
