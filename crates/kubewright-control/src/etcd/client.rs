//! A client for one etcd member, over the JSON gateway every member serves beside gRPC.
//!
//! Enough to see how a member and its cluster are, to read a raw key, to move the leadership and to change the members; see
//! <https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/>. Keys and values travel as base64, 64-bit numbers as text.
//! Answers are bounded in size and time.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubewright_core::observed::EtcdMember;
use kubewright_core::secret::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::pace::Pace;
use crate::tls::{self, TlsError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Nothing asked for here is larger: etcd's own limit for one value is 1.5 MiB, half as much again as base64.
const LARGEST_ANSWER: usize = 4 << 20;

/// A request to an etcd member that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    /// The certificates are unusable.
    #[error("prepare the connection to etcd at {url}")]
    Tls {
        /// The member's address.
        url: String,
        /// What is wrong with them.
        #[source]
        source: TlsError,
    },
    /// Nobody answered, or not in time.
    #[error("ask etcd at {url} for {what}: {cause}")]
    Unreachable {
        /// The member's address.
        url: String,
        /// What was asked for.
        what: &'static str,
        /// The last cause, as in `connection refused`.
        cause: String,
    },
    /// The member refused.
    #[error("etcd at {url} answered {code} when asked for {what}: {message}")]
    Refused {
        /// The member's address.
        url: String,
        /// What was asked for.
        what: &'static str,
        /// The HTTP status.
        code: u16,
        /// The member's words.
        message: String,
    },
    /// The answer is not what the API promises.
    #[error("the answer of etcd at {url} to {what} cannot be read: {cause}")]
    Unreadable {
        /// The member's address.
        url: String,
        /// What was asked for.
        what: &'static str,
        /// What is wrong with it; not the answer, which may hold a secret.
        cause: String,
    },
}

/// How one member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The member's own id.
    pub member_id: u64,
    /// The id of its cluster.
    pub cluster_id: u64,
    /// The revision of its database.
    pub revision: u64,
    /// Its version, as in `3.6.4`.
    pub version: String,
    /// The leader's id; 0 when there is none.
    pub leader: u64,
    /// The size of its database file, bytes.
    pub database_bytes: u64,
    /// The part of it in use, bytes.
    pub database_used_bytes: u64,
    /// The index of the last entry it has written to its log.
    pub raft_index: u64,
    /// The term of the current leader.
    pub raft_term: u64,
    /// The index of the last entry it has applied.
    pub raft_applied_index: u64,
    /// Whether it does not vote yet.
    pub is_learner: bool,
    /// What it complains about, as in `NOSPACE`.
    pub errors: Vec<String>,
}

/// A client for one member.
#[derive(Clone)]
pub struct EtcdClient {
    url: String,
    http: reqwest::Client,
}

impl EtcdClient {
    /// Makes a client; nothing is sent yet. `url` is the member's client address, as in `https://127.0.0.1:2379`, and
    /// `pace` how slow its node has been.
    pub fn new(
        url: &str,
        authority_pem: &str,
        certificate_pem: &str,
        key_pem: &Secret,
        pace: &Pace,
    ) -> Result<Self, EtcdError> {
        let url = url.trim_end_matches('/').to_owned();
        let tls =
            tls::client_config(authority_pem, certificate_pem, key_pem).map_err(|source| EtcdError::Tls {
                url: url.clone(),
                source,
            })?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(pace.bound(CONNECT_TIMEOUT))
            .timeout(pace.bound(ANSWER_TIMEOUT))
            .no_proxy()
            .build()
            .map_err(|error| EtcdError::Unreachable {
                url: url.clone(),
                what: "a connection",
                cause: root_cause(&error),
            })?;
        Ok(Self { url, http })
    }

    /// Reads the raw value of a key; `None` when there is no such key.
    pub async fn value(&self, key: &str) -> Result<Option<Secret>, EtcdError> {
        let what = "a key";
        let request = json!({"key": STANDARD.encode(key), "limit": "1"});
        let answer: RangeAnswer = self.post("/v3/kv/range", what, &request).await?;
        let Some(pair) = answer.kvs.into_iter().next() else {
            return Ok(None);
        };
        let value = STANDARD
            .decode(pair.value)
            .map_err(|_| self.unreadable(what, "its value is not base64"))?;
        Ok(Some(Secret::new(value)))
    }

    /// Lists the members as this member knows them, agreed by a quorum.
    pub async fn members(&self) -> Result<Vec<EtcdMember>, EtcdError> {
        let request = json!({"linearizable": true});
        let answer: MembersAnswer = self
            .post("/v3/cluster/member/list", "the members", &request)
            .await?;
        let mut members: Vec<_> = answer
            .members
            .into_iter()
            .map(|member| EtcdMember {
                id: member.id.0,
                name: member.name,
                peer_urls: member.peer_urls,
                is_learner: member.is_learner,
            })
            .collect();
        members.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
        Ok(members)
    }

    /// Asks how the member is; it answers without a quorum as well.
    pub async fn status(&self) -> Result<Status, EtcdError> {
        let answer: StatusAnswer = self
            .post("/v3/maintenance/status", "its status", &json!({}))
            .await?;
        Ok(Status {
            member_id: answer.header.member_id.0,
            cluster_id: answer.header.cluster_id.0,
            revision: answer.header.revision.0,
            version: answer.version,
            leader: answer.leader.0,
            database_bytes: answer.db_size.0,
            database_used_bytes: answer.db_size_in_use.0,
            raft_index: answer.raft_index.0,
            raft_term: answer.raft_term.0,
            raft_applied_index: answer.raft_applied_index.0,
            is_learner: answer.is_learner,
            errors: answer.errors,
        })
    }

    /// Has the member, which has to be the leader, hand the leadership over to another one; answered when that leads.
    pub async fn move_leader(&self, to: u64) -> Result<(), EtcdError> {
        let request = json!({"targetID": to.to_string()});
        let _: Value = self
            .post("/v3/maintenance/transfer-leadership", "another leader", &request)
            .await?;
        Ok(())
    }

    /// Takes a member in as a learner: it is sent all data and does not vote.
    pub async fn add_learner(&self, peer_url: &str) -> Result<(), EtcdError> {
        let request = json!({"peerURLs": [peer_url], "isLearner": true});
        let _: Value = self
            .post("/v3/cluster/member/add", "another member", &request)
            .await?;
        Ok(())
    }

    /// Makes a learner a voter; refused until it has caught up with the leader.
    pub async fn promote(&self, id: u64) -> Result<(), EtcdError> {
        let request = json!({"ID": id.to_string()});
        let _: Value = self
            .post("/v3/cluster/member/promote", "the vote of a learner", &request)
            .await?;
        Ok(())
    }

    /// Removes a member for good: its data is of no use to anybody from then on.
    pub async fn remove_member(&self, id: u64) -> Result<(), EtcdError> {
        let request = json!({"ID": id.to_string()});
        let _: Value = self
            .post("/v3/cluster/member/remove", "the end of a member", &request)
            .await?;
        Ok(())
    }

    /// Asks whether the member can serve: it has a leader and no alarm. An error names the reason.
    pub async fn health(&self) -> Result<(), EtcdError> {
        let what = "its health";
        let answer: HealthAnswer = self
            .send(self.http.get(format!("{}/health", self.url)), what)
            .await?;
        if answer.health == "true" {
            return Ok(());
        }
        Err(EtcdError::Refused {
            url: self.url.clone(),
            what,
            code: 200,
            message: answer.reason,
        })
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        what: &'static str,
        body: &Value,
    ) -> Result<T, EtcdError> {
        let request = self
            .http
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .body(body.to_string());
        self.send(request, what).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
        what: &'static str,
    ) -> Result<T, EtcdError> {
        let unreachable = |error: reqwest::Error| EtcdError::Unreachable {
            url: self.url.clone(),
            what,
            cause: root_cause(&error),
        };
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(self.unreadable(what, "it is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            return Err(EtcdError::Refused {
                url: self.url.clone(),
                what,
                code: status.as_u16(),
                message: refusal(&body),
            });
        }
        serde_json::from_slice(&body).map_err(|error| {
            let place = format!("it is not the expected JSON at column {}", error.column());
            self.unreadable(what, &place)
        })
    }

    fn unreadable(&self, what: &'static str, cause: &str) -> EtcdError {
        EtcdError::Unreadable {
            url: self.url.clone(),
            what,
            cause: cause.to_owned(),
        }
    }
}

/// Takes the member's words out of an error answer: the gateway's `message`, or `/health`'s `reason`.
fn refusal(body: &[u8]) -> String {
    let said = serde_json::from_slice::<Value>(body).ok().and_then(|value| {
        ["message", "error", "reason"]
            .iter()
            .find_map(|field| value.get(*field).and_then(Value::as_str).map(str::to_owned))
    });
    said.unwrap_or_else(|| {
        String::from_utf8_lossy(&body[..body.len().min(200)])
            .trim()
            .to_owned()
    })
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// A 64-bit number, which the gateway writes as text and leaves out when it is 0.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(try_from = "Value")]
struct Number(u64);

impl TryFrom<Value> for Number {
    type Error = String;
    fn try_from(value: Value) -> Result<Self, String> {
        match &value {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        }
        .map(Self)
        .ok_or_else(|| "not a number".to_owned())
    }
}

#[derive(Deserialize)]
struct RangeAnswer {
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct KeyValue {
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct MembersAnswer {
    #[serde(default)]
    members: Vec<MemberAnswer>,
}

#[derive(Deserialize)]
struct MemberAnswer {
    #[serde(rename = "ID", default)]
    id: Number,
    #[serde(default)]
    name: String,
    #[serde(rename = "peerURLs", default)]
    peer_urls: Vec<String>,
    #[serde(rename = "isLearner", default)]
    is_learner: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Header {
    cluster_id: Number,
    member_id: Number,
    revision: Number,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusAnswer {
    header: Header,
    #[serde(default)]
    version: String,
    #[serde(default)]
    leader: Number,
    #[serde(default)]
    db_size: Number,
    #[serde(default)]
    db_size_in_use: Number,
    #[serde(default)]
    raft_index: Number,
    #[serde(default)]
    raft_term: Number,
    #[serde(default)]
    raft_applied_index: Number,
    #[serde(default)]
    is_learner: bool,
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct HealthAnswer {
    #[serde(default)]
    health: String,
    #[serde(default)]
    reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_as_text_or_are_left_out() {
        let answer: StatusAnswer = serde_json::from_str(
            r#"{"header": {"member_id": "10276657743932975437"}, "version": "3.6.4", "dbSize": "20480", "isLearner": true}"#,
        )
        .unwrap();
        assert_eq!(answer.header.member_id.0, 10_276_657_743_932_975_437);
        assert_eq!(
            (answer.db_size.0, answer.leader.0, answer.is_learner),
            (20480, 0, true)
        );
    }

    #[test]
    fn a_refusal_is_the_members_own_words() {
        assert_eq!(
            refusal(br#"{"error":"x","code":14,"message":"etcdserver: no leader"}"#),
            "etcdserver: no leader"
        );
        assert_eq!(
            refusal(br#"{"health":"false","reason":"ALARM NOSPACE"}"#),
            "ALARM NOSPACE"
        );
        assert_eq!(refusal(b"404 page not found\n"), "404 page not found");
    }
}
