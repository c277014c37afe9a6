//! Acts on one node: makes it what it is to be, tells what it is, and runs its proxy for the API server.
//!
//! [`serve`] is the connection with the controller over standard input and output. It leads to [`converge`], the
//! loop that inspects, records, changes and verifies, resource by resource ([`resource`]). The agent knows nothing of
//! clusters: it receives the files, units and certificates that this node is to have.
//!
//! It never follows a link in a directory it writes to, never shows a key, never leaves a file half-written, and never
//! panics (it is built to abort when it does, and so does not).

pub mod accounts;
pub mod api_proxy;
pub mod blob;
pub mod bootstrapped;
pub mod converge;
pub mod datagrams;
pub mod facts;
pub mod fault;
pub mod founding;
pub mod hashes;
pub mod journal;
pub mod keep_routes;
pub mod ledger;
pub mod link;
pub mod lock;
pub mod mounts;
pub mod node;
mod notify;
pub mod operations;
pub mod peer;
pub mod pipe;
pub mod probe;
pub mod reset;
pub mod resolvers;
pub mod resource;
pub mod secrets;
pub mod serve;
pub mod sync_speed;
pub mod system;
pub mod tree;
pub mod tunnel;
pub mod undo;
pub mod wait;
pub mod x509;

#[cfg(test)]
mod testing;
