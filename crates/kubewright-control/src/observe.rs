//! Looks at everything before anything is planned: look, work out what is to be, compare.
//!
//! Two exchanges with every node, all nodes at once: who are you and what do you hold; then, with the desired states
//! rendered from the answers and from what etcd and the API tell, how do you differ. What an operator's machine keeps
//! from earlier runs is never asked.

mod desired;
mod every_node;
mod look;
mod unreachable;

use std::sync::Arc;

use kubewright_core::desired::Desired;
use kubewright_core::observed::Observed;
use kubewright_core::plan::{MadeFrom, Sources};
use kubewright_core::resource::NodeState;

use crate::authority::Authorities;
use crate::cluster_api::ClusterApi;
use crate::error::Error;
use crate::execute::RunContext;
use crate::report::{Event, Reporter};
use crate::session::{Purpose, Session};
use desired::{Wish, desired};
use every_node::every_node;
pub use look::{Seen, first_look, look_before_reset};
use look::{by_name, look};
use unreachable::Missing;
pub use unreachable::UnreachablePolicy;

/// Everything that was seen and is to be, and the open connections it was seen through.
pub struct Observation {
    /// What was seen, and how it differs from what is to be.
    pub observed: Observed,
    /// What is to be.
    pub desired: Arc<Desired>,
    /// Connections and API, for the run that may follow.
    pub run_context: Arc<RunContext>,
    /// The API, for commands that talk to it.
    pub api: Arc<dyn ClusterApi>,
    /// The cluster's authorities, new ones if there were none.
    pub authorities: Arc<Authorities>,
    /// What is to be, as far as it is the same at every look; `None` when that is all of it.
    lasting: Option<Desired>,
}

impl Observation {
    /// Everything a plan is made from, for one that is saved.
    pub fn made_from(&self, session: &Session) -> MadeFrom {
        let desired = self.lasting.as_ref().unwrap_or(&self.desired);
        MadeFrom::of(&Sources {
            cluster: &session.cluster,
            release: &session.release,
            states: &desired.states,
            objects: &desired.object_digests(),
            observed: &self.observed,
        })
    }
}

/// Why not everything could be seen: one error per node.
#[derive(Debug)]
pub struct ObserveErrors(pub Vec<Error>);

impl<E: Into<Error>> From<E> for ObserveErrors {
    fn from(error: E) -> Self {
        Self(vec![error.into()])
    }
}

/// Looks at the whole cluster, and compares it with what cluster.yaml makes of it.
///
/// # Errors
/// One error for every node that could not be looked at and is needed.
pub async fn observe(
    session: &Session,
    purpose: Purpose,
    policy: UnreachablePolicy,
    verify: bool,
    reporter: &Arc<dyn Reporter>,
) -> Result<Observation, ObserveErrors> {
    let mut seen = look(session, purpose, policy, reporter).await?;
    let Wish { desired, lasting } = desired(session, &seen, reporter).await?;
    let desired = Arc::new(desired);
    compare(session, policy, &mut seen, &desired, verify, reporter).await?;
    Ok(Observation {
        observed: seen.observed.clone(),
        api: Arc::clone(&seen.api),
        authorities: Arc::clone(&seen.authorities),
        run_context: Arc::new(seen.into_run_context(session, Arc::clone(&desired))),
        desired,
        lasting,
    })
}

/// Adds to what was seen how it differs from what is to be.
async fn compare(
    session: &Session,
    policy: UnreachablePolicy,
    seen: &mut Seen,
    desired: &Arc<Desired>,
    verify: bool,
    reporter: &Arc<dyn Reporter>,
) -> Result<(), ObserveErrors> {
    let open = by_name(&session.cluster, &seen.nodes);
    let inspections = every_node(&open, |name, node| {
        let desired = Arc::clone(desired);
        reporter.event(&Event::Node {
            node: name.clone(),
            doing: "looking".to_owned(),
        });
        async move {
            match desired.states.get(&name) {
                Some(state) => node.inspect(state, verify).await,
                None => node.inspect(&NodeState::default(), verify).await,
            }
        }
    });
    let before = seen.observed.api.take();
    let compared = async {
        match before {
            Some(before) => seen.api.compare(before, desired).await.map(Some),
            None => Ok(None),
        }
    };
    let (inspections, compared) = tokio::join!(inspections, compared);
    let observed = &mut seen.observed;
    let mut missing = Missing::default();
    let inspections = missing.sort(policy, inspections)?;
    let is_bootstrapped = observed.is_bootstrapped();
    let is_seen = |name: &str| inspections.contains_key(name);
    let unreachable = missing.judge(policy, &session.cluster, is_bootstrapped, is_seen)?;
    observed.unreachable.extend(unreachable);
    for (name, inspection) in inspections {
        if let Some(node) = observed.nodes.get_mut(&name) {
            node.differences = inspection.differences;
        }
    }
    for name in observed.unreachable.keys() {
        observed.nodes.remove(name);
    }
    observed.api = compared?;
    Ok(())
}
