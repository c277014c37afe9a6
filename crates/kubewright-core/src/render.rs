//! What one node is to have, from the cluster as it is to be: the same values give the same bytes.
//!
//! Everything the world has to say comes in as a [`RenderContext`]: allocated pod ranges, the authorities' public
//! certificates, digests of shared secrets, and which bytes the artifacts' names stand for. Nothing here decides
//! whether a change is allowed; that is the plan's.

use crate::carrier;
use crate::component::{self, Component, View};
pub use crate::component::{AGENT_PATH, BINARY_DIRECTORY};
pub use crate::context::{Artifacts, ImageArchive, NodePlatform, RenderContext, RenderError};
use crate::resource::{NodeState, Resource};

/// Renders everything one node is to have.
///
/// # Errors
/// [`RenderError`] when the context lacks something the node needs.
pub fn render(context: &RenderContext, node: &str) -> Result<NodeState, RenderError> {
    let view = View::new(context, node)?;
    let components = component::of_node(&view)?;
    check_binaries(&view, &components)?;
    let mut state = NodeState {
        authorities: view.authorities(),
        resources: Vec::new(),
    };
    for (stage, resource) in carrier::render(context.cluster.control_plane.mode, &components) {
        state.extend(stage, [resource]);
    }
    Ok(state)
}

/// Returns the components of one node, before a carrier runs them.
///
/// # Errors
/// [`RenderError`] when the context lacks something the node needs.
pub fn components(context: &RenderContext, node: &str) -> Result<Vec<Component>, RenderError> {
    component::of_node(&View::new(context, node)?)
}

/// Refuses to render names without bytes when the bytes are known.
fn check_binaries(view: &View, components: &[Component]) -> Result<(), RenderError> {
    if !view.context.artifacts.is_resolved {
        return Ok(());
    }
    let missing = components
        .iter()
        .flat_map(|component| component.reads.iter().chain(&component.rereads))
        .find_map(|resource| match resource {
            Resource::Binary(binary) if binary.blob.is_none() => Some(binary.name.clone()),
            _ => None,
        });
    match missing {
        None => Ok(()),
        Some(binary) => Err(RenderError::NoBinary {
            node: view.name().to_owned(),
            binary,
            platform: view.machine.platform,
        }),
    }
}
