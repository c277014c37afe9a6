//! How components run: a carrier turns descriptions into something that starts them.
//!
//! There is one today. A static pod, or a DaemonSet, is another file here that reads the same
//! [`crate::component::Component`]s. What a process is called, how it is looked at and what a change does to it is the
//! carrier's to say; nobody else does.

mod disturbance;
pub mod systemd;

pub use disturbance::{Disturbance, disturbance};
pub use systemd::{
    PROGRAMS, component_of, disable_command, jobs_command, log_command, mask_command, stop_command, unit_name,
};

use crate::component::Component;
use crate::resource::{Resource, Stage};
use crate::spec::ControlPlaneMode;

/// Returns everything the components of a node need, in the order in which it converges.
pub fn render(mode: ControlPlaneMode, components: &[Component]) -> Vec<(Stage, Resource)> {
    match mode {
        // The other two are refused where cluster.yaml is read.
        ControlPlaneMode::Systemd | ControlPlaneMode::StaticPod | ControlPlaneMode::SelfHosted => {
            systemd::render(components)
        }
    }
}
