//! Handing the controller the secrets a control plane holds.
//!
//! Only regular files that belong to root are read, and no link is followed: a path the controller names cannot be turned
//! into another one on the node.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubewright_core::wire::{NodeError, SecretText};
use zeroize::Zeroizing;

use crate::fault::fault;
use crate::system::System;
use crate::tree::{Kind, Look, Owner, Tree};

/// Keys are far smaller.
const LIMIT: u64 = 64 << 10;

/// Reads those of the named files that exist.
///
/// # Errors
/// When one is there and is not a regular file of root's, or cannot be read.
pub fn read(
    system: &Arc<dyn System>,
    paths: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, SecretText>, NodeError> {
    let tree = Tree::open(Arc::clone(system))?;
    let mut found = BTreeMap::new();
    for (name, path) in paths {
        let seen = match tree.look(path)? {
            Look::There(seen) => seen,
            Look::Missing => continue,
            Look::Blocked(reason) => return Err(fault(format!("read {path}"), reason)),
        };
        if seen.kind != Kind::File || seen.owner.uid != Owner::mine(0).uid {
            return Err(fault(
                format!("read {path}"),
                "it is not a regular file of root's",
            ));
        }
        if let Some(bytes) = tree.read(path, LIMIT)? {
            let bytes = Zeroizing::new(bytes);
            found.insert(name.clone(), SecretText(STANDARD.encode(bytes.as_slice())));
        }
    }
    Ok(found)
}
