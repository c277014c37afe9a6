//! The agents this program carries, one per processor architecture, compressed.
//!
//! A release embeds them (see `build.rs`); a build without them works for everything that needs no node.

include!(concat!(env!("OUT_DIR"), "/agents.rs"));
