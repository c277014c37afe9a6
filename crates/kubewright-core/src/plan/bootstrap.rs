//! Making machines a cluster, while nobody is served by them.
//!
//! Promises: etcd is founded once, by control planes that all keep who they are, and no member ever founds a second one; the cluster's keys are kept by the control
//! planes before a worker knows of them; everything else happens at the same time on all nodes. An interrupted bootstrap
//! is continued by the next run.

use super::recipe::Recipe;

/// All etcd members start at once (joining one by one would cost five seconds each by etcd's health interval); the API
/// servers come up on them; meanwhile the runtime is put in place. Nodes and objects are registered as soon as the API
/// servers are ready; kubelets start and find their node object, certificates and network in place.
pub(super) fn bootstrap(recipe: &mut Recipe<'_>) {
    recipe.prepare_hosts();
    recipe.record_founders();
    recipe.found_control_planes();
    recipe.mark_bootstrapped();
    recipe.converge_runtimes();
    recipe.register_nodes();
    recipe.apply_objects();
    recipe.converge_nodes();
    recipe.wait_for_nodes();
    recipe.wait_for_dns();
}
