//! What several control planes hold, as one: equal values are one value, missing ones do not matter, different ones
//! stop everything.

use std::collections::BTreeMap;

use kubewright_core::resource::{AuthorityCertificates, AuthorityName};
use kubewright_core::secret::Secret;
use kubewright_core::spec::NodeName;

use super::AuthorityError;

/// Merges the secrets that control planes hold, by node.
///
/// # Errors
/// [`AuthorityError::Differs`] with the nodes, when two of them hold different values.
pub fn merge_secrets(
    held: &BTreeMap<NodeName, BTreeMap<String, Secret>>,
) -> Result<BTreeMap<String, Secret>, AuthorityError> {
    merge(held, |name| format!("secret {name}"))
}

/// Merges the authority certificates found on nodes, by node; `found` is by path, as in the facts.
///
/// # Errors
/// [`AuthorityError::Differs`] with the nodes, when two of them have different certificates.
pub fn merge_certificates(
    found: &BTreeMap<NodeName, BTreeMap<String, String>>,
) -> Result<AuthorityCertificates, AuthorityError> {
    let merged = merge(found, Clone::clone)?;
    let certificates = AuthorityName::ALL
        .into_iter()
        .filter_map(|name| Some((name, merged.get(name.certificate_path())?.clone())))
        .collect();
    Ok(certificates)
}

/// The authorities' certificates that a node has the keys of. While there is no cluster yet, others are what an
/// interrupted run left of authorities that were never kept anywhere.
pub fn kept_certificates(
    certificates: &BTreeMap<String, String>,
    secrets: &BTreeMap<String, Secret>,
) -> BTreeMap<String, String> {
    let names = AuthorityName::ALL.into_iter();
    names
        .filter(|name| secrets.contains_key(name.secret_name()))
        .filter_map(|name| {
            let path = name.certificate_path();
            Some((path.to_owned(), certificates.get(path)?.clone()))
        })
        .collect()
}

fn merge<T: Clone + PartialEq>(
    held: &BTreeMap<NodeName, BTreeMap<String, T>>,
    what: impl Fn(&String) -> String,
) -> Result<BTreeMap<String, T>, AuthorityError> {
    let mut by_name: BTreeMap<&String, Vec<(&T, Vec<String>)>> = BTreeMap::new();
    for (node, values) in held {
        for (name, value) in values {
            let groups = by_name.entry(name).or_default();
            match groups.iter_mut().find(|(known, _)| *known == value) {
                Some((_, nodes)) => nodes.push(node.to_string()),
                None => groups.push((value, vec![node.to_string()])),
            }
        }
    }
    by_name
        .into_iter()
        .map(|(name, mut groups)| match groups.pop() {
            Some((value, _)) if groups.is_empty() => Ok((name.clone(), value.clone())),
            last => Err(AuthorityError::Differs {
                what: what(name),
                nodes: groups.into_iter().chain(last).map(|(_, nodes)| nodes).collect(),
            }),
        })
        .collect()
}
