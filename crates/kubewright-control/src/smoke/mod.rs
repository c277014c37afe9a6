//! Proves that a cluster works.
