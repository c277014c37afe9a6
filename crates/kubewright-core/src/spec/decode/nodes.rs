//! The list of nodes.

use super::parts::port;
use super::words::keys;
use super::{Decoder, Fields};
use crate::spec::cluster::{Node, Role};
use crate::spec::report::{Target, child, item};
use crate::spec::yaml::{Tree, Value};
use crate::value::{NodeName, Taint, check_label_key, check_label_value, shorten};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

const EXAMPLE: &str = "write `- { name: cp-1, address: 192.0.2.11, roles: [control-plane] }`";

/// Decodes `spec.nodes`. Each item yields a node, broken or not, so that places in the list stay what they are.
pub(super) fn decode_nodes(d: &mut Decoder<'_>, spec: &Fields<'_>) -> Vec<Node> {
    d.required(spec, "nodes", "`nodes`, the list of machines,", EXAMPLE);
    let items = d.items(spec, "nodes", EXAMPLE);
    items
        .iter()
        .enumerate()
        .filter_map(|(index, tree)| node(d, tree, &item(&spec.path("nodes"), index)))
        .collect()
}

fn node(d: &mut Decoder<'_>, tree: &Tree, path: &str) -> Option<Node> {
    let placeholder = "unknown".parse::<NodeName>().ok()?;
    let is_map = matches!(tree.value, Value::Map(_));
    if !is_map {
        d.wrong_type(tree, path, "a map", EXAMPLE);
    }
    let fields = d.fields(is_map.then_some(tree), path, keys("spec.nodes[]"));
    let (mut name, mut address, mut roles) = (None, None, Vec::new());
    if is_map {
        let example = "add a name, such as `name: cp-1`";
        name = d.required(&fields, "name", "the node's name", example);
        address = d.required(
            &fields,
            "address",
            "the node's address",
            "add an address, such as `address: 192.0.2.11`",
        );
        let example = "write `roles: [control-plane]`, `roles: [worker]`, or both in one list";
        d.required(&fields, "roles", "the node's list of roles", example);
        for (index, tree) in d.items(&fields, "roles", example).iter().enumerate() {
            roles.extend(d.word(
                tree,
                &item(&fields.path("roles"), index),
                Role::WORDS,
                Role::from_word,
            ));
        }
    }
    let name = name.and_then(|tree| d.value(tree, &fields.path("name"), "write a name, such as `cp-1`"));
    let address = address.and_then(|tree| node_address(d, tree, &fields.path("address")));
    let labels = labels(d, &fields);
    let example = "write a list of taints, such as `[dedicated=gpu:NoSchedule]`";
    let taints: Vec<Taint> = d
        .items(&fields, "taints", example)
        .iter()
        .enumerate()
        .filter_map(|(index, tree)| {
            let example = "write a taint as text: `key=value:Effect`, such as `dedicated=gpu:NoSchedule`";
            d.value(tree, &item(&fields.path("taints"), index), example)
        })
        .collect();
    Some(Node {
        name: name.unwrap_or(placeholder),
        address: address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        roles,
        labels,
        taints,
        user: d.optional_text(&fields, "user", "write a user name, such as `root`"),
        port: fields
            .get("port")
            .and_then(|tree| port(d, tree, &fields.path("port"))),
        host_key: d.optional_text(
            &fields,
            "hostKey",
            "write a public key, such as `ssh-ed25519 AAAA…`",
        ),
    })
}

fn node_address(d: &mut Decoder<'_>, tree: &Tree, path: &str) -> Option<IpAddr> {
    let text = d.text(tree, path, "write an address, such as `192.0.2.11`")?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let shown = shorten(text);
    let (problem, hint) =
        if let Some((address, _)) = text.split_once('/').filter(|(a, _)| a.parse::<IpAddr>().is_ok()) {
            (
                format!("node address `{shown}` has a prefix length"),
                format!("write `{address}`"),
            )
        } else if let Some((address, port)) = text
            .rsplit_once(':')
            .filter(|(a, _)| a.parse::<Ipv4Addr>().is_ok())
        {
            (
                format!("node address `{shown}` has a port"),
                format!("write `address: {address}`, and `port: {port}` if that is the SSH port"),
            )
        } else if text.chars().any(char::is_alphabetic) {
            (
                format!("node address `{shown}` is not an IP address"),
                "write the address itself: etcd, certificates and routes need it, and it must not change"
                    .to_owned(),
            )
        } else {
            (
                format!("node address `{shown}` is not an IP address"),
                "write an address, such as `192.0.2.11`".to_owned(),
            )
        };
    d.report
        .error("invalid-value", path, Target::Value, problem, hint);
    d.report.mark_broken(path);
    None
}

fn labels(d: &mut Decoder<'_>, fields: &Fields<'_>) -> BTreeMap<String, String> {
    let path = fields.path("labels");
    let example = "write labels as a map, such as `{ disk: ssd }`";
    let mut labels = BTreeMap::new();
    let Some(tree) = fields.get("labels") else {
        return labels;
    };
    for (key, value) in d.free_entries(tree, &path, example) {
        let place = child(&path, key);
        if let Err(error) = check_label_key(key) {
            d.report
                .error("invalid-value", &place, Target::Key, error.problem, error.hint);
            continue;
        }
        let Some(text) = d.text(
            value,
            &place,
            "write the label's value, or `\"\"` for an empty one",
        ) else {
            continue;
        };
        if let Err(error) = check_label_value(text) {
            d.report
                .error("invalid-value", &place, Target::Value, error.problem, error.hint);
            continue;
        }
        labels.insert(key.to_owned(), text.to_owned());
    }
    labels
}
