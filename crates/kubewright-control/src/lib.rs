//! Acts on other machines: reaches them, looks, signs, sends, and carries out plans.
//!
//! What a cluster is and what has to be done is decided in the core, as values; here it happens. [`kube`] speaks to an
//! API server and [`etcd`] to a member through whatever connection they are given; [`smoke`] starts pods and shows that
//! they can do what pods do.

pub mod addon;
pub mod artifact;
pub mod authority;
pub mod check;
pub mod cluster_api;
pub mod drift;
pub mod error;
pub mod etcd;
pub mod execute;
pub mod kube;
pub mod node;
pub mod observe;
pub mod operation_log;
pub mod pace;
pub mod random;
pub mod report;
pub mod run_lease;
pub mod session;
pub mod smoke;
pub mod status;
pub mod tls;
pub mod transport;
