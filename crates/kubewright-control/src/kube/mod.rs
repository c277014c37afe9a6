//! What kubewright asks of and does to a cluster's API.
//!
//! Every function takes a ready client (see [`connect`]) and knows nothing of how it reaches the server. Objects are
//! compared and written by server-side apply ([`objects`]), Node objects by hand because their owners are many
//! ([`nodes`]); waiting is a named condition that watches and, when time runs out, tells what it last saw ([`wait`]).
//! A request is repeated only where [`retry`] says that repeating can help; how long it is waited for, and how many are
//! under way at once, follows what the run measured of the server ([`client`]).

pub mod client;
pub mod connect;
pub mod failure;
pub mod kind;
pub mod kubeconfig;
pub mod lease;
pub mod nodes;
pub mod objects;
pub mod prune;
pub mod retry;
pub mod token;
pub mod wait;

mod difference;
mod ownership;
pub(crate) mod pods;
mod prediction;
pub(crate) mod watch;
