//! Checks that need more than one value, or more than a value's form: does this cluster make sense?
//!
//! Every check runs, each reports on the key it is about, and none says anything about a value that could not be
//! decoded. What kubewright cannot do yet is refused here by name, so that nothing in a file is ever ignored.

mod components;
mod network;
mod nodes;
mod outside;
mod owned;
mod settings;

use super::cluster::Cluster;
use super::report::Report;

/// Runs every check.
pub(super) fn validate(cluster: &Cluster, report: &mut Report) {
    settings::check(cluster, report);
    network::check(cluster, report);
    outside::check(cluster, report);
    nodes::check(cluster, report);
    components::check(cluster, report);
}
