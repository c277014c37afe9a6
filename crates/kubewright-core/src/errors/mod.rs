//! Errors as an operator meets them: whose matter one is, its stable id, what it probably comes from.
//!
//! The crates have small enums of their own for what can go wrong. At the edge each becomes one of the situations in
//! [`ErrorId`], which is what scripts and documents refer to: the id decides the exit code, and the reference page is
//! made of the same list. Ids of safety rules are ids of errors; checks and rules of cluster.yaml have lists of their
//! own ([`crate::check::Kind`], [`crate::spec::RULES`]).
//!
//! Nothing here looks at a machine or prints.

mod diagnosis;
mod id;
mod kind;
mod reference;

#[cfg(test)]
mod tests;

pub use diagnosis::{Diagnosis, diagnose};
pub use id::ErrorId;
pub use kind::Kind;
pub use reference::reference;
