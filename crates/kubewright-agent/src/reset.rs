//! Taking the cluster off the node.

use kubewright_core::resource::ResourceId;
use kubewright_core::wire::NodeError;

use crate::fault::fault;
use crate::journal::Journal;
use crate::node::Node;
use crate::peer::Peer;

/// Stops and removes everything kubewright put on the node.
///
/// # Errors
/// Always, for now.
pub fn reset(_: &mut Node, _: &mut Journal, _: &mut dyn Peer) -> Result<Vec<ResourceId>, NodeError> {
    Err(fault("reset the node", "not yet"))
}
