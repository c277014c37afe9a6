//! Acts on other machines: reaches them, looks, signs, sends, and carries out plans.
//!
//! What a cluster is and what has to be done is decided in the core, as values; here it happens.

pub mod authority;
pub mod random;
pub mod transport;
