//! Filled in by the modules below.
