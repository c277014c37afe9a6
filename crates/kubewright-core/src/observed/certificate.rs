//! Why a certificate has to be issued again.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is wrong with a certificate on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum CertificateProblem {
    /// There is a certificate and no key.
    KeyMissing {},
    /// The key on the node is not the certificate's.
    OtherKey {},
    /// The file holds no certificate.
    Unreadable {},
    /// It is for another subject.
    OtherName {
        /// The common name it has.
        present: String,
    },
    /// It does not say exactly what is wanted.
    Differs {
        /// Which part of it.
        part: CertificatePart,
        /// What it lacks.
        missing: Vec<String>,
        /// What it has and is not wanted.
        unwanted: Vec<String>,
    },
    /// The authority that is to sign it does not exist yet.
    AuthorityUnknown {},
    /// It is signed by another authority than the one that is to sign it.
    OtherAuthority {},
    /// It is not valid any more.
    Expired {},
    /// It is valid for less time than it is to be.
    Expiring {
        /// How long it is still valid, whole days.
        days: i64,
    },
}

/// A part of a certificate with several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CertificatePart {
    /// The organisations of its subject: groups, to Kubernetes.
    Groups,
    /// Its alternative names.
    Names,
    /// Its extended key usages.
    Usages,
}

impl CertificateProblem {
    /// The same problem without what changes from one day to the next.
    pub fn lasting(&self) -> Self {
        match self {
            Self::Expiring { .. } => Self::Expiring { days: 0 },
            other => other.clone(),
        }
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyMissing {} => out.write_str("its key is missing"),
            Self::OtherKey {} => out.write_str("its key is another one"),
            Self::Unreadable {} => out.write_str("it cannot be read"),
            Self::OtherName { present } => write!(out, "its name is {present:?}"),
            Self::Differs {
                part,
                missing,
                unwanted,
            } => {
                let part = match part {
                    CertificatePart::Groups => "groups",
                    CertificatePart::Names => "names",
                    CertificatePart::Usages => "usages",
                };
                let missing = missing.iter().map(|value| format!("{value} missing"));
                let unwanted = unwanted.iter().map(|value| format!("{value} no longer wanted"));
                let each: Vec<String> = missing.chain(unwanted).collect();
                write!(out, "{part} differ: {}", each.join(", "))
            }
            Self::AuthorityUnknown {} => out.write_str("its authority is not known yet"),
            Self::OtherAuthority {} => out.write_str("another authority signed it"),
            Self::Expired {} => out.write_str("it has expired"),
            Self::Expiring { days } => write!(out, "it expires in {days} days"),
        }
    }
}
