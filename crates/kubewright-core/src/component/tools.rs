//! What people use on a control plane: kubectl, etcd's tools, and the administrator's kubeconfig.
//!
//! `admin.conf` names a group that a binding makes cluster administrator, not `system:masters`: taking the binding
//! away takes the right away. Only root can read it.

use super::description::on_control_planes;
use super::view::View;
use super::{Component, Description, Kubeconfig, api_proxy, client_certificate};
use crate::manifest::ADMIN_GROUP;
use crate::resource::{AuthorityName, Resource, Stage};

/// The administrator's kubeconfig on control planes.
pub const ADMIN_KUBECONFIG: &str = "/etc/kubernetes/admin.conf";

/// Tools, on control planes.
pub const DESCRIPTION: Description = Description {
    binaries: &["kubectl", "etcdctl", "etcdutl"],
    ..Description::new("tools", Stage::ControlPlane, on_control_planes)
};

/// Tools of a control plane.
pub fn component(view: &View) -> Component {
    let mut component = Component::new(&DESCRIPTION);
    for name in DESCRIPTION.binaries {
        component.reads.push(Resource::Binary(view.binary(name)));
    }
    let certificate = client_certificate(
        "admin",
        AuthorityName::Kubernetes,
        "kubernetes-admin",
        &[ADMIN_GROUP],
        "/etc/kubernetes/pki/admin",
    );
    component.reads.push(
        Kubeconfig {
            path: ADMIN_KUBECONFIG,
            cluster: view.cluster.name.as_str(),
            user: "kubernetes-admin",
            server: &api_proxy::url(),
            certificate: &certificate,
        }
        .file(),
    );
    component.reads.push(Resource::Certificate(certificate));
    component
}
