//! The whole proxy against fake API servers on real loopback sockets.

mod admin;
mod dial;
mod failover;
mod fake_api;
mod fixture;
mod membership;
