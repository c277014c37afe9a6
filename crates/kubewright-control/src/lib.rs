//! Acts on other machines: reaches them, looks, signs, sends, and carries out plans.
//!
//! What a cluster is and what has to be done is decided in the core, as values; here it happens. [`kube`] speaks to an
//! API server and [`etcd`] to a member through whatever connection they are given; [`smoke`] starts pods and shows that
//! they can do what pods do.

pub mod artifact;
pub mod authority;
pub mod check;
pub mod etcd;
pub mod kube;
pub mod node;
pub mod random;
pub mod smoke;
pub mod tls;
pub mod transport;
