//! What a cluster reaches outside of itself, and by which way: HTTP proxy, image registries, name servers, an OIDC issuer.

use super::Cluster;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The HTTP proxy that images and programs are fetched through. etcd and the API are never reached through it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpProxy {
    /// The proxy for `http://`, as a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// The proxy for `https://`, as a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https: Option<String>,
    /// Hosts, domains and ranges that are reached without it, besides the cluster's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_proxy: Vec<String>,
}

/// How images of one registry are fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Registry {
    /// URLs that are asked before the registry itself, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// Certificates in PEM that mirrors and registry are trusted by, besides the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Whether certificates of the mirrors, or without mirrors of the registry, are not checked.
    pub skip_verify: bool,
}

/// How names outside the cluster are resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Dns {
    /// Name servers that CoreDNS asks. Empty: those of the node it runs on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upstream: Vec<IpAddr>,
    /// More server blocks for the Corefile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_config: Option<String>,
}

/// An OIDC issuer whose tokens the API server accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Oidc {
    /// The issuer's URL, as in the token's `iss`.
    pub issuer: String,
    /// The client id, as in the token's `aud`.
    pub client_id: String,
    /// Certificates in PEM that the issuer is trusted by instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The claim that is the user's name.
    #[serde(default = "Oidc::username_claim")]
    pub username_claim: String,
    /// The claim that is the list of the user's groups. Absent: no groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// What stands before the names of users and groups, so that none can pass for one of the cluster's own.
    #[serde(default = "Oidc::prefix")]
    pub prefix: String,
}

impl Oidc {
    /// Returns the claim that every issuer gives.
    pub fn username_claim() -> String {
        "sub".to_owned()
    }

    /// Returns the default prefix.
    pub fn prefix() -> String {
        "oidc:".to_owned()
    }
}

impl HttpProxy {
    /// Returns whether nothing goes through a proxy.
    pub const fn is_none(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }
}

impl Cluster {
    /// Returns what is reached without the proxy: the cluster's own, and what the file says.
    ///
    /// The nodes stand there by their networks, so that a node more changes nothing: a change restarts containerd.
    pub fn no_proxy(&self) -> Vec<String> {
        let network = &self.network;
        let own = ["localhost", "127.0.0.0/8", ".svc"].map(str::to_owned);
        let nodes: BTreeSet<String> = self.nodes.iter().map(|node| surroundings(node.address)).collect();
        own.into_iter()
            .chain([
                format!(".{}", network.domain),
                network.pod_cidr.to_string(),
                network.service_cidr.to_string(),
            ])
            .chain(nodes)
            .chain(self.proxy.no_proxy.iter().cloned())
            .collect()
    }
}

/// Returns the private range an address lies in (RFC 1918), or else the /24 around it.
fn surroundings(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => match v4.octets() {
            [10, ..] => "10.0.0.0/8".to_owned(),
            [172, 16..=31, ..] => "172.16.0.0/12".to_owned(),
            [192, 168, ..] => "192.168.0.0/16".to_owned(),
            [a, b, c, _] => format!("{a}.{b}.{c}.0/24"),
        },
        IpAddr::V6(_) => address.to_string(),
    }
}
