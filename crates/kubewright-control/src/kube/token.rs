//! Tokens of service accounts, for a dashboard or a robot.
//!
//! Always short-lived ones from the TokenRequest API, never a Secret that lives as long as the cluster.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use kubewright_core::secret::Secret;
use serde_json::{Value, json};

use super::client::ApiClient;
use super::objects::{ObjectsError, apply_objects};
use super::retry::RequestError;

/// The API server issues no token for less.
const SHORTEST: Duration = Duration::from_secs(600);

/// Whose token, and for how long.
#[derive(Debug, Clone)]
pub struct TokenOptions {
    /// The service account's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether to let it do everything in the cluster.
    pub cluster_admin: bool,
    /// How long the token is valid.
    pub lifetime: Duration,
}

/// A token that was issued.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token.
    pub token: Secret,
    /// Until when it is valid: the server may have shortened what was asked for.
    pub expires: Timestamp,
}

/// A token that could not be issued.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Less time than the server issues tokens for.
    #[error("the API server issues no token for less than {} minutes", SHORTEST.as_secs() / 60)]
    TooShort,
    /// The account or its binding could not be made.
    #[error("prepare service account {namespace}/{name}")]
    Prepare {
        /// The account's namespace.
        namespace: String,
        /// The account's name.
        name: String,
        /// What happened.
        #[source]
        source: ObjectsError,
    },
    /// The server did not issue it.
    #[error("request a token of service account {namespace}/{name}")]
    Request {
        /// The account's namespace.
        namespace: String,
        /// The account's name.
        name: String,
        /// What happened.
        #[source]
        source: RequestError,
    },
    /// The server's answer has no token in it.
    #[error("the answer of the API server has no token for service account {namespace}/{name}")]
    Empty {
        /// The account's namespace.
        namespace: String,
        /// The account's name.
        name: String,
    },
}

/// Issues a token, making the service account, and with `cluster_admin` its binding, where they are missing.
pub async fn issue_token(client: &ApiClient, options: &TokenOptions) -> Result<Token, TokenError> {
    let TokenOptions { name, namespace, .. } = options;
    if options.lifetime < SHORTEST {
        return Err(TokenError::TooShort);
    }
    apply_objects(client, &objects(options))
        .await
        .map_err(|source| TokenError::Prepare {
            namespace: namespace.clone(),
            name: name.clone(),
            source,
        })?;
    let api: Api<ServiceAccount> = Api::namespaced(client.raw(), namespace);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            expiration_seconds: Some(i64::try_from(options.lifetime.as_secs()).unwrap_or(i64::MAX)),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let parameters = PostParams::default();
    let answer: TokenRequest = client
        .policy()
        .run(|| api.create_subresource("token", name, &parameters, &request))
        .await
        .map_err(|source| TokenError::Request {
            namespace: namespace.clone(),
            name: name.clone(),
            source,
        })?;
    let status = answer.status.unwrap_or_default();
    match (status.token, status.expiration_timestamp) {
        (Some(token), Some(expires)) => Ok(Token {
            token: Secret::new(token.into_bytes()),
            expires: expires.0,
        }),
        _ => Err(TokenError::Empty {
            namespace: namespace.clone(),
            name: name.clone(),
        }),
    }
}

fn objects(options: &TokenOptions) -> Vec<Value> {
    let TokenOptions { name, namespace, .. } = options;
    let mut objects = vec![json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace},
    })];
    if options.cluster_admin {
        objects.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": format!("kubewright:cluster-admin:{namespace}:{name}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }));
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(cluster_admin: bool) -> TokenOptions {
        TokenOptions {
            name: "admin-user".to_owned(),
            namespace: "dashboard".to_owned(),
            cluster_admin,
            lifetime: Duration::from_secs(3600),
        }
    }

    #[test]
    fn only_an_administrator_is_bound() {
        assert_eq!(objects(&options(false)).len(), 1);
        let binding = &objects(&options(true))[1];
        assert_eq!(
            binding["metadata"]["name"],
            "kubewright:cluster-admin:dashboard:admin-user"
        );
        assert_eq!(binding["subjects"][0]["namespace"], "dashboard");
    }
}
