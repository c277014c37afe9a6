//! The members of etcd: who they are ([`membership`]), the way to one of them ([`connection`]), and what is said on it
//! ([`client`]).

mod client;
mod connection;
mod membership;

pub use client::{EtcdClient, EtcdError, Status};
pub use connection::{EtcdConnection, EtcdConnections, ThroughNodes};
pub(crate) use membership::{look, look_again};
