//! What a kubewright cluster is: values in, values out.
//!
//! The operator writes a [`spec`]; machines are looked at and become an [`observed`] value; [`plan`] compares the
//! two and yields steps; [`component`] and [`carrier`] say what every node holds, as [`resource`]s. [`wire`] and
//! [`journal`] are the words controller and agent exchange and leave behind.
//!
//! Nothing here reads a file, opens a socket, starts a process, asks for the time or rolls dice: what is needed of
//! the world is a parameter. That is what makes a plan printable, hashable and testable.

#![cfg_attr(test, allow(clippy::disallowed_methods))] // tests read and renew goldens and pages

pub mod carrier;
pub mod catalogue;
pub mod check;
mod check_kind;
pub mod component;
mod context;
pub mod desired;
pub mod drift;
pub mod errors;
pub mod founding;
pub mod http;
pub mod journal;
mod kinds;
pub mod manifest;
pub mod observed;
pub mod offline;
pub mod operation_log;
pub mod pki;
pub mod plan;
pub mod render;
pub mod resource;
pub mod secret;
pub mod shown;
pub mod spec;
mod value;
pub mod wire;
