//! What of the authorities the nodes hold already: the part that is the same at the next look.

use std::collections::BTreeMap;

use kubewright_core::pki::SERVICE_ACCOUNT_SECRET;
use kubewright_core::resource::{AuthorityCertificates, Digest};

use super::Authorities;

/// Certificates and digests without those that only this run made, for comparing a plan with a later one.
#[derive(Debug)]
pub struct Lasting {
    /// The authorities' certificates.
    pub certificates: AuthorityCertificates,
    /// Digests of the shared secrets, by name.
    pub digests: BTreeMap<String, Digest>,
    /// The public half of the service-account key, PEM; empty when it was made by this run.
    pub service_account_public: String,
}

impl Authorities {
    /// What the nodes hold already; `None` when that is everything.
    pub fn lasting(&self) -> Option<Lasting> {
        if self.made.is_empty() {
            return None;
        }
        let (mut certificates, mut digests) = (self.certificates(), self.digests());
        certificates.retain(|name, _| !self.made.contains(name.secret_name()));
        digests.retain(|name, _| !self.made.contains(name));
        let is_lasting = !self.made.contains(SERVICE_ACCOUNT_SECRET);
        Some(Lasting {
            certificates,
            digests,
            service_account_public: if is_lasting {
                self.service_account_public.clone()
            } else {
                String::new()
            },
        })
    }
}
