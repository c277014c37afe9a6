//! How components run: a carrier turns descriptions into something that starts them.
//!
//! There is one today. A static pod, or a DaemonSet, is another file here that reads the same
//! [`crate::component::Component`]s.

pub mod systemd;
