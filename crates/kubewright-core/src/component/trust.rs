//! Whom a node trusts: the authorities' certificates, on control planes their keys and the other shared secrets, and at
//! last whom the node belongs to.
//!
//! Workers get the cluster's own certificate and no secret at all.

use super::description::everywhere;
use super::view::{View, directory, public_file};
use super::{Component, Description};
use crate::observed::{FixedSettings, Marker};
use crate::pki::{
    ENCRYPTION_CONFIG_PATH, ENCRYPTION_SECRET, ETCD_PKI_DIRECTORY, PKI_DIRECTORY, SERVICE_ACCOUNT_KEY_PATH,
    SERVICE_ACCOUNT_PUBLIC_PATH, SERVICE_ACCOUNT_SECRET,
};
use crate::resource::{Access, AuthorityName, Resource, ResourceId, SharedSecret, Stage};

/// What nodes trust.
pub const DESCRIPTION: Description = Description::new("trust", Stage::Host, everywhere);

/// What a node trusts.
pub fn component(view: &View) -> Component {
    let mut component = Component::new(&DESCRIPTION);
    let resources = &mut component.reads;
    resources.push(directory(PKI_DIRECTORY, Access::root(0o755)));
    resources.push(authority(view, AuthorityName::Kubernetes));
    if view.node.is_control_plane() {
        resources.push(directory(ETCD_PKI_DIRECTORY, Access::root(0o755)));
        resources.push(authority(view, AuthorityName::Etcd));
        resources.push(authority(view, AuthorityName::FrontProxy));
        for name in AuthorityName::ALL {
            resources.push(secret(view, name.secret_name(), name.key_path()));
        }
        resources.push(secret(view, SERVICE_ACCOUNT_SECRET, SERVICE_ACCOUNT_KEY_PATH));
        resources.push(public_file(
            SERVICE_ACCOUNT_PUBLIC_PATH,
            view.context.service_account_public_key,
        ));
        resources.push(secret(view, ENCRYPTION_SECRET, ENCRYPTION_CONFIG_PATH));
    }
    resources.push(marker(view));
    component
}

fn authority(view: &View, name: AuthorityName) -> Resource {
    public_file(name.certificate_path(), view.authority(name))
}

fn secret(view: &View, name: &str, path: &str) -> Resource {
    Resource::SharedSecret(SharedSecret {
        path: path.to_owned(),
        access: Access::root(0o600),
        name: name.to_owned(),
        sha256: view.context.secrets.get(name).copied(),
    })
}

/// The resource of an authority's certificate, for components that read it.
pub(super) fn authority_id(name: AuthorityName) -> ResourceId {
    ResourceId::new("file", name.certificate_path())
}

/// The resource of a shared secret, for components that read it.
pub(super) fn secret_id(path: &str) -> ResourceId {
    ResourceId::new("secret", path)
}

/// Whom the node belongs to: a later run refuses a node of another cluster or of another name. It comes last: a node
/// belongs to a cluster when what makes the cluster that one is kept somewhere.
fn marker(view: &View) -> Resource {
    let marker = Marker {
        cluster: view.cluster.name.to_string(),
        cluster_id: view.context.cluster_id.to_owned(),
        node: view.name().to_owned(),
        pod_cidr: Some(view.pod_cidr.to_string()),
        kubernetes: Some(view.cluster.kubernetes.to_string()),
        fixed: Some(FixedSettings::of(view.cluster)),
    };
    let mut text = serde_json::to_string_pretty(&marker).unwrap_or_default();
    text.push('\n');
    public_file(Marker::PATH, text)
}
