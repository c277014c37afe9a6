//! One file per kind of resource: how it is inspected, changed and undone.
//!
//! `inspect` only looks. `record` says how to undo what `change` is about to do. `change` makes it so, from whatever
//! state the node is in: it is what runs again after a crash. `remove` takes away what is no longer wanted. Units,
//! which have processes, are led by [`crate::converge`] in more than one move.

pub mod binary;
pub mod certificate;
pub mod directory;
pub mod file;
pub mod image;
pub mod kernel_module;
mod owner;
pub(crate) mod routing;
pub mod shared_secret;
pub mod swap;
pub mod symlink;
pub mod sysctl;
pub mod unit;
pub mod user;

use std::collections::{BTreeMap, BTreeSet};

use kubewright_core::journal::{Event, Undo};
use kubewright_core::observed::Change;
use kubewright_core::resource::{NodeState, Resource, ResourceId};
use kubewright_core::wire::NodeError;

use crate::fault::fault;
use crate::ledger::Owned;
use crate::node::Node;
use crate::peer::Peer;
use crate::tree::Owner;

/// What changing a resource can need besides the node.
pub struct Work<'w> {
    /// The whole state the node is to have.
    pub state: &'w NodeState,
    /// The controller.
    pub peer: &'w mut dyn Peer,
    /// Keys made for certificates whose signing requests were handed in.
    pub(crate) keys: BTreeMap<ResourceId, rcgen::KeyPair>,
}

impl<'w> Work<'w> {
    /// Work towards a state, with this controller.
    pub fn new(state: &'w NodeState, peer: &'w mut dyn Peer) -> Self {
        Self {
            state,
            peer,
            keys: BTreeMap::new(),
        }
    }
}

/// How a resource other than a unit differs from what it is to be.
///
/// # Errors
/// When the node cannot be looked at.
pub fn inspect(node: &mut Node, state: &NodeState, resource: &Resource) -> Result<Option<Change>, NodeError> {
    match resource {
        Resource::User(user) => Ok(user::inspect(node, user)),
        Resource::Directory(directory) => directory::inspect(node, directory),
        Resource::File(file) => file::inspect(node, file),
        Resource::Symlink(link) => symlink::inspect(node, link),
        Resource::SharedSecret(secret) => shared_secret::inspect(node, secret),
        Resource::Certificate(certificate) => certificate::inspect(node, &state.authorities, certificate),
        Resource::Sysctl(sysctl) => Ok(sysctl::inspect(node, sysctl)),
        Resource::KernelModule(module) => Ok(kernel_module::inspect(node, module)),
        Resource::SwapOff(_) => Ok(swap::inspect(node)),
        Resource::Binary(binary) => binary::inspect(node, binary),
        Resource::Image(image) => Ok(image::inspect(node, image)),
        Resource::Routing(wanted) => routing::inspect(node.system.as_ref(), wanted),
        Resource::Unit(_) => Ok(None),
    }
    .map_err(|error| of(error, resource.id()))
}

/// How to undo the change a resource needs; keeps old bytes where that takes them.
///
/// # Errors
/// When the old bytes cannot be kept.
pub fn record(node: &mut Node, resource: &Resource, change: &Change) -> Result<Undo, NodeError> {
    match resource {
        Resource::User(user) => Ok(user::record(node, user)),
        Resource::Directory(directory) => owner::record(node, &directory.path),
        Resource::File(file) => file::record(node, &file.path),
        Resource::Symlink(link) => symlink::record(node, link),
        Resource::SharedSecret(_) | Resource::Certificate(_) if *change == Change::Missing => {
            Ok(Undo::Remove)
        }
        Resource::SharedSecret(secret) if matches!(change, Change::Access { .. }) => {
            owner::record(node, &secret.path)
        }
        Resource::Certificate(certificate) if matches!(change, Change::Access { .. }) => {
            owner::record(node, &certificate.key_path)
        }
        Resource::SharedSecret(_)
        | Resource::Certificate(_)
        | Resource::Image(_)
        | Resource::Routing(_)
        | Resource::KernelModule(_) => Ok(Undo::Nothing),
        Resource::Sysctl(sysctl) => Ok(sysctl::record(node, sysctl)),
        Resource::SwapOff(_) => file::record(node, swap::FSTAB),
        Resource::Binary(binary) => file::record(node, &binary.path),
        Resource::Unit(unit) => unit::record(node, unit),
    }
    .map_err(|error| of(error, resource.id()))
}

/// Starts what takes an answer from the controller, for several resources at once.
///
/// # Errors
/// When the controller has gone or a key cannot be made.
pub fn prepare(work: &mut Work<'_>, resource: &Resource, change: &Change) -> Result<(), NodeError> {
    match resource {
        Resource::Certificate(certificate) if certificate::needs_issuing(change) => {
            certificate::request(work, certificate).map_err(|error| of(error, resource.id()))
        }
        _ => Ok(()),
    }
}

/// Makes a resource other than a unit so.
///
/// # Errors
/// When it cannot be made so.
pub fn change(
    node: &mut Node,
    work: &mut Work<'_>,
    resource: &Resource,
    change: &Change,
) -> Result<(), NodeError> {
    match resource {
        Resource::User(user) => user::change(node, user),
        Resource::Directory(directory) => directory::change(node, directory),
        Resource::File(file) => file::change(node, file, change),
        Resource::Symlink(link) => node.tree.link(&link.path, &link.target),
        Resource::SharedSecret(secret) => shared_secret::change(node, work, secret, change),
        Resource::Certificate(certificate) => certificate::change(node, work, certificate, change),
        Resource::Sysctl(sysctl) => sysctl::change(node, work.state, sysctl),
        Resource::KernelModule(module) => kernel_module::change(node, work.state, module),
        Resource::SwapOff(_) => swap::change(node),
        Resource::Binary(binary) => binary::change(node, work, binary),
        Resource::Image(image) => image::change(node, work, image),
        Resource::Routing(wanted) => routing::change(node.system.as_ref(), wanted).map(drop),
        Resource::Unit(_) => Ok(()),
    }
    .map_err(|error| of(error, resource.id()))
}

/// Whether something kubewright put there is still there to be removed.
///
/// # Errors
/// When the node cannot be looked at.
pub fn is_orphaned(node: &Node, id: &ResourceId) -> Result<bool, NodeError> {
    match id.kind() {
        "file" | "symlink" | "secret" | "certificate" | "binary" => file::is_there(node, id.what()),
        "unit" => file::is_there(node, &unit::path(id.what())),
        "directory" => directory::is_empty(node, id.what()),
        "sysctl" => Ok(sysctl::is_persisted(node, id.what())),
        "module" => Ok(kernel_module::is_persisted(node, id.what())),
        // Users stay (files of theirs may), images belong to the runtime's own collection, swap stays off.
        _ => Ok(false),
    }
    .map_err(|error| of(error, id.clone()))
}

/// How to undo the removal of something orphaned.
///
/// # Errors
/// When its bytes cannot be kept.
pub fn record_removal(node: &mut Node, id: &ResourceId) -> Result<Undo, NodeError> {
    match id.kind() {
        "file" | "binary" => file::record(node, id.what()),
        "unit" => unit::record_named(node, id.what()),
        "symlink" => {
            let target = node.tree.read_link(id.what())?;
            Ok(target.map_or(Undo::Nothing, |target| Undo::Link { target }))
        }
        _ => Ok(Undo::Nothing),
    }
    .map_err(|error| of(error, id.clone()))
}

/// Removes something kubewright put there.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(node: &mut Node, state: &NodeState, id: &ResourceId, owned: &Owned) -> Result<(), NodeError> {
    match id.kind() {
        "file" | "symlink" | "secret" | "certificate" | "binary" => {
            let paths = std::iter::once(id.what()).chain(owned.also.iter().map(String::as_str));
            paths.into_iter().try_for_each(|path| node.tree.remove(path))
        }
        "unit" => unit::remove(node, id.what()),
        "directory" => node.tree.remove_directory(id.what()),
        "sysctl" => sysctl::persist(node, state),
        "module" => kernel_module::persist(node, state),
        _ => Ok(()),
    }
    .map_err(|error| of(error, id.clone()))
}

/// Puts back what was before a change.
///
/// # Errors
/// When it cannot be put back.
pub fn undo(node: &mut Node, id: &ResourceId, undo: &Undo) -> Result<(), NodeError> {
    let what = id.what();
    match (id.kind(), undo) {
        (_, Undo::Nothing) => Ok(()),
        (_, Undo::Unknown) => Err(fault(format!("undo {id}"), "recorded by a newer version")),
        ("user", Undo::Remove) => user::remove(node, what),
        ("directory", Undo::Remove) => node.tree.remove_directory(what),
        ("directory", Undo::Value { value }) => directory::undo(node, what, value),
        ("sysctl", Undo::Value { value }) => sysctl::set(node, what, value),
        ("secret", Undo::Value { value }) => file::set_owner(node, what, owner::parse(what, value)?),
        ("certificate", Undo::Value { value }) => {
            certificate::undo_owner(node, id, owner::parse(what, value)?)
        }
        (
            "unit",
            Undo::Unit {
                enabled,
                active,
                file,
                mode,
                uid,
                gid,
                started,
            },
        ) => {
            let mine = Owner::mine(mode.unwrap_or(unit::MODE));
            let owner = Owner {
                uid: uid.unwrap_or(mine.uid),
                gid: gid.unwrap_or(mine.gid),
                ..mine
            };
            let before = unit::Before {
                enabled: *enabled,
                active: *active,
                file: file.map(|file| (file, owner)),
                started: *started,
            };
            unit::undo(node, what, &before)
        }
        ("swap", undo) => file::undo(node, swap::FSTAB, undo),
        (_, undo) => file::undo(node, what, undo),
    }
    .map_err(|error| of(error, id.clone()))
}

/// The file that all resources of a kind share, beside what each has of its own: kernel settings outlive a reboot there.
pub fn shared_file(id: &ResourceId) -> Option<&'static str> {
    match id.kind() {
        "sysctl" => Some(sysctl::PERSISTED),
        "module" => Some(kernel_module::PERSISTED),
        _ => None,
    }
}

/// How to undo what is about to happen to the files that several of the resources share.
///
/// # Errors
/// When their bytes cannot be kept.
pub fn record_shared<'i>(
    node: &mut Node,
    ids: impl Iterator<Item = &'i ResourceId>,
) -> Result<Vec<Event>, NodeError> {
    let paths: BTreeSet<&str> = ids.filter_map(shared_file).collect();
    let record = |path| {
        let undo = file::record(node, path)?;
        let resource = ResourceId::new("file", path);
        Ok(Event::Intended { resource, undo })
    };
    paths.into_iter().map(record).collect()
}

/// Why a change of this kind is never put back.
pub fn why_left(id: &ResourceId) -> &'static str {
    match id.kind() {
        "image" => "images stay in the runtime's store",
        "routing" => "routes follow the file that was put back, or stay until the next boot",
        "module" => "a loaded kernel module stays until the next boot",
        "secret" => "replaced secrets are not kept",
        "certificate" => "replaced keys are not kept",
        "user" => "the account was there before and stays as it is",
        "sysctl" => "the kernel had no such parameter",
        "node" => "what a reset removes is not kept",
        _ => "what was there before is not kept",
    }
}

/// What identifies an input of a unit: when it changes, the unit has to be restarted.
///
/// # Errors
/// When the input cannot be read.
pub fn identity(node: &mut Node, state: &NodeState, id: &ResourceId) -> Result<String, NodeError> {
    let of_file = |node: &mut Node, path: &str| -> Result<String, NodeError> {
        let digest = node.hashes.of(&node.tree, path)?;
        Ok(digest.map_or_else(|| "missing".to_owned(), |digest| digest.to_string()))
    };
    match state.get(id).map(|staged| &staged.resource) {
        Some(Resource::File(file)) => of_file(node, &file.path),
        Some(Resource::SharedSecret(secret)) => of_file(node, &secret.path),
        Some(Resource::Certificate(certificate)) => of_file(node, &certificate.certificate_path),
        Some(Resource::Binary(binary)) => of_file(node, &binary.path),
        Some(Resource::Symlink(link)) => Ok(node.tree.read_link(&link.path)?.unwrap_or_default()),
        Some(Resource::Sysctl(sysctl)) => Ok(sysctl.value.clone()),
        Some(_) | None => Ok(String::new()),
    }
}

fn of(mut error: NodeError, id: ResourceId) -> NodeError {
    error.resource.get_or_insert(id);
    error
}
