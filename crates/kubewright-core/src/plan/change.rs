//! Changing a cluster that serves.
//!
//! Promises: control planes are disturbed one at a time, each while all others are healthy, and the next only when the
//! last is ready again; new ones join etcd one after the other, while all members are healthy; what would disturb one
//! while another cannot be reached waits, and the rest is done; nodes on which something restarts are changed in windows,
//! and the first failure stops the rest; kubelets never get ahead of the API servers; what is no longer wanted is deleted
//! last, when nothing uses it any more.

use super::Refusal;
use super::recipe::Recipe;

/// Plans the change.
///
/// # Errors
/// [`Refusal::Quorum`] when a control plane cannot have its turn.
pub(super) fn change(recipe: &mut Recipe<'_>) -> Result<(), Refusal> {
    recipe.defer_joining()?;
    recipe.defer_disturbing();
    recipe.prepare_hosts();
    recipe.record_founders();
    recipe.change_control_planes()?;
    recipe.mark_bootstrapped();
    recipe.register_nodes();
    recipe.apply_objects();
    recipe.change_nodes();
    recipe.wait_for_nodes();
    recipe.wait_for_dns();
    recipe.prune();
    Ok(())
}
