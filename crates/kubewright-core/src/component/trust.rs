//! Whom a node trusts: the authorities' certificates, on control planes their keys and the other shared secrets, and at
//! last whom the node belongs to.
//!
//! Workers get the cluster's own certificate and no secret at all. A secret is root's, and readable by the one group of
//! processes that uses it; all these users are made here, before anything is theirs to read.

use super::description::everywhere;
use super::view::{View, directory, public_file};
use super::{Account, Component, Description, apiserver, controller_manager};
use crate::observed::{FixedSettings, Marker};
use crate::pki::{
    ENCRYPTION_CONFIG_PATH, ENCRYPTION_SECRET, ETCD_PKI_DIRECTORY, PKI_DIRECTORY, SERVICE_ACCOUNT_KEY_PATH,
    SERVICE_ACCOUNT_PUBLIC_PATH, SERVICE_ACCOUNT_SECRET,
};
use crate::resource::{Access, AuthorityName, Resource, ResourceId, SharedSecret, Stage};

/// What nodes trust.
pub const DESCRIPTION: Description = Description::new("trust", Stage::Host, everywhere);

/// Whose group may read the key that service-account tokens are signed with: the API server and the controller manager
/// are in it. Nothing runs as this user.
pub(super) const TOKEN_SIGNERS: Account = Account::homeless("kube-token-signers");

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
        let readers = [&apiserver::DESCRIPTION, &controller_manager::DESCRIPTION];
        let readers = readers.into_iter().filter_map(|reader| reader.account);
        resources.extend(readers.chain([TOKEN_SIGNERS]).map(Account::resource));
        for name in AuthorityName::ALL {
            let access = match name {
                // Signs what is approved in the cluster, such as the kubelets' own renewals.
                AuthorityName::Kubernetes => Access::readable_by(controller_manager::NAME),
                AuthorityName::Etcd | AuthorityName::FrontProxy => Access::root(0o600),
            };
            resources.push(secret(view, name.secret_name(), name.key_path(), access));
        }
        let signers = Access::readable_by(TOKEN_SIGNERS.name);
        resources.push(secret(
            view,
            SERVICE_ACCOUNT_SECRET,
            SERVICE_ACCOUNT_KEY_PATH,
            signers,
        ));
        resources.push(public_file(
            SERVICE_ACCOUNT_PUBLIC_PATH,
            view.context.service_account_public_key,
        ));
        let server = Access::readable_by(apiserver::NAME);
        resources.push(secret(view, ENCRYPTION_SECRET, ENCRYPTION_CONFIG_PATH, server));
    }
    resources.push(marker(view));
    component
}

fn authority(view: &View, name: AuthorityName) -> Resource {
    public_file(name.certificate_path(), view.authority(name))
}

fn secret(view: &View, name: &str, path: &str, access: Access) -> Resource {
    Resource::SharedSecret(SharedSecret {
        path: path.to_owned(),
        access,
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
