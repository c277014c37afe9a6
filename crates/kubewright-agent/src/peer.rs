//! The controller, as the work on this node needs it.

use std::io::Read;

use kubewright_core::resource::{Digest, ResourceId};
use kubewright_core::secret::Secret;
use kubewright_core::wire::NodeError;

/// Who is asked for what the node lacks; tests bring their own.
pub trait Peer {
    /// Tells that a resource is being made so, or has been.
    fn progress(&mut self, resource: &ResourceId, done: bool);

    /// Whether the controller has gone: the current change is finished and no other begun.
    fn is_gone(&self) -> bool;

    /// Asks for content by its digest; yields the compressed stream.
    ///
    /// # Errors
    /// When the controller goes away or does not have it.
    fn blob(&mut self, sha256: Digest) -> Result<Box<dyn Read + Send>, NodeError>;

    /// Hands in a signing request (PEM); several may be handed in before the first answer is awaited.
    ///
    /// # Errors
    /// When the controller has gone.
    fn request_signature(&mut self, resource: &ResourceId, request: String) -> Result<(), NodeError>;

    /// Awaits the certificate (PEM) for a request that was handed in.
    ///
    /// # Errors
    /// When the controller goes away or refuses to sign.
    fn signature(&mut self, resource: &ResourceId) -> Result<String, NodeError>;

    /// Asks for a shared secret.
    ///
    /// # Errors
    /// When the controller goes away or has no such secret.
    fn secret(&mut self, name: &str) -> Result<Secret, NodeError>;
}
