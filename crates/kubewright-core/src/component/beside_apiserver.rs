//! What controller manager and scheduler have in common: one of each works beside every API server, and one of all leads.
//!
//! They talk to the API server of their own node only, and serve health and metrics on loopback to whom that API server
//! lets in.

use super::trust::authority_id;
use super::view::View;
use super::{
    Arguments, CIPHER_SUITES, Component, Confinement, Description, Kubeconfig, Process, apiserver,
    client_certificate, local_serving_certificate,
};
use crate::resource::{Access, AuthorityName, Certificate, Resource, Start};

/// Seconds a leader that is gone holds the lease, by which it must have renewed it, and between attempts: upstream's own.
/// With shorter ones (8, 6, 1) the leader of a slow machine changed once a minute: an API server that needs seconds for an
/// answer is enough to lose the lease.
pub(super) const LEASE_SECONDS: (u32, u32, u32) = (15, 10, 2);

/// A component beside the API server.
pub(super) struct Beside {
    /// What it says of itself.
    pub(super) description: &'static Description,
    /// Where its kubeconfig goes.
    pub(super) kubeconfig: &'static str,
}

/// What a restart means where there are so many other control planes.
pub(super) fn on_restart(others: usize) -> Option<String> {
    (others > 0).then(|| "another control plane takes over within 20 s if this one led".to_owned())
}

impl Beside {
    /// The component with its program and its identity, and what it serves with; without its process.
    pub(super) fn component(&self, view: &View) -> (Component, Certificate) {
        let program = self.description.name;
        let name = program.trim_start_matches("kube-");
        let user = format!("system:{program}");
        let path = format!("/etc/kubernetes/pki/{name}");
        let mut client = client_certificate(name, AuthorityName::Kubernetes, &user, &[], &path);
        let mut serving = local_serving_certificate(
            &format!("{name}-server"),
            AuthorityName::Kubernetes,
            program,
            [],
            [],
            &format!("{path}-server"),
        );
        for certificate in [&mut client, &mut serving] {
            certificate.key_access = Access::readable_by(program);
        }
        let kubeconfig = Kubeconfig {
            path: self.kubeconfig,
            cluster: view.cluster.name.as_str(),
            user: &user,
            server: &apiserver::local_url(),
            certificate: &client,
        };
        let mut component = Component::new(self.description);
        component.reads.extend([
            Resource::Binary(view.binary(program)),
            kubeconfig.file_for(program),
        ]);
        component.shared = vec![
            authority_id(AuthorityName::Kubernetes),
            authority_id(AuthorityName::FrontProxy),
        ];
        component.rereads = [client, serving.clone()].map(Resource::Certificate).into();
        (component, serving)
    }

    /// The argument that says what it works by, and those that have the API server decide who is let in.
    pub(super) fn arguments(&self, first: (&str, &str), serving: &Certificate) -> Arguments {
        Arguments::new([
            first,
            ("authentication-kubeconfig", self.kubeconfig),
            ("authorization-kubeconfig", self.kubeconfig),
            // At the very first start the role that lets it look this up may not exist yet.
            ("authentication-tolerate-lookup-failure", "true"),
            ("client-ca-file", AuthorityName::Kubernetes.certificate_path()),
            (
                "requestheader-client-ca-file",
                AuthorityName::FrontProxy.certificate_path(),
            ),
            ("requestheader-allowed-names", "front-proxy-client"),
            ("bind-address", "127.0.0.1"),
            ("tls-cert-file", &serving.certificate_path),
            ("tls-private-key-file", &serving.key_path),
            ("tls-min-version", "VersionTLS12"),
            ("tls-cipher-suites", &CIPHER_SUITES.join(",")),
        ])
    }

    /// How it runs.
    pub(super) fn process(&self, arguments: Arguments) -> Process {
        let mut process = Process::new(self.description);
        process.arguments = arguments;
        process.systemd.start = Start::Ask;
        process.starts_after = vec![apiserver::NAME];
        process.confinement = Confinement::Strict { writable: Vec::new() };
        process
    }
}
