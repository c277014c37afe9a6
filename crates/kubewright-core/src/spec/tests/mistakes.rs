//! Mistakes and their answers. Read them aloud: each says where, what is wrong, and what to do.

mod nodes;
mod outside;
mod ranges;
mod settings;
mod text;

use super::{adding, said, with};
