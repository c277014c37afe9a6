//! What acts on one node: the node-local proxy for the API server.

pub mod api_proxy;
