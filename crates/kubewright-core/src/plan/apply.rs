//! Making the cluster what cluster.yaml says.
//!
//! Promises: nothing is planned that a safety rule forbids; what serves goes on serving; a run that was interrupted is
//! continued by the next; nodes that cannot be reached do not stop what can be done without them. Machines without a
//! cluster become one all at once (see [`super::bootstrap`]); a cluster that serves is changed step by step (see
//! [`super::change`]).

use std::collections::BTreeMap;

use super::bootstrap::bootstrap;
use super::change::change;
use super::recipe::Recipe;
use super::rules::{self, Situation};
use super::{Operation, Plan, Refusal};
use crate::observed::Observed;
use crate::resource::NodeState;
use crate::spec::Cluster;

/// Plans what makes the cluster what it is to be.
///
/// # Errors
/// A [`Refusal`] when a safety rule forbids to go on; nothing was changed.
pub fn plan_apply(
    cluster: &Cluster,
    states: &BTreeMap<String, NodeState>,
    objects: &[String],
    observed: &Observed,
) -> Result<Plan, Refusal> {
    rules::refuse_unsafe(&Situation {
        cluster,
        states,
        observed,
    })?;
    let mut recipe = Recipe::new(cluster, states, objects, observed);
    if observed.api.is_none() && !observed.is_bootstrapped() {
        bootstrap(&mut recipe);
    } else {
        change(&mut recipe)?;
    }
    Ok(Plan {
        operation: Operation::Apply,
        notes: recipe.notes(),
        deferred: recipe.deferred(),
        steps: recipe.into_steps(),
        left_out: observed.unreachable.clone(),
    })
}
