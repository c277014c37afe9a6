//! The run's claim as a Lease object of the cluster: `kubewright` in kube-system.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;

use super::client::ApiClient;
use super::retry::{RequestError, RetryPolicy};
use crate::run_lease::Record;

const NAME: &str = "kubewright";
const NAMESPACE: &str = "kube-system";
/// Which nodes' locks the holder has.
const NODES: &str = "kubewright.dev/locked-nodes";
/// Who runs it, from where.
const OPERATOR: &str = "kubewright.dev/operator";

/// Reads the claim; nothing when there never was one.
pub async fn read(client: &ApiClient) -> Result<Option<Record>, RequestError> {
    let leases: Api<Lease> = Api::namespaced(client.raw(), NAMESPACE);
    let found = client.policy().run(|| leases.get_opt(NAME)).await?;
    Ok(found.map(record))
}

/// Writes the lease over exactly `version`, or for the first time. Returns the new version, or nothing after a conflict.
pub async fn write(
    client: &ApiClient,
    record: &Record,
    version: Option<&str>,
) -> Result<Option<String>, RequestError> {
    let leases: Api<Lease> = Api::namespaced(client.raw(), NAMESPACE);
    let lease = lease(record, version);
    // A conflict means that another client was first: it is read again, not written again.
    let policy = RetryPolicy {
        repeats_conflicts: false,
        ..client.policy()
    };
    let parameters = PostParams::default();
    let written = match version {
        Some(_) => policy.run(|| leases.replace(NAME, &parameters, &lease)).await,
        None => policy.run(|| leases.create(&parameters, &lease)).await,
    };
    match written {
        Ok(lease) => Ok(Some(lease.metadata.resource_version.unwrap_or_default())),
        Err(error) if error.is_conflict() || (version.is_some() && error.is_not_found()) => Ok(None),
        Err(error) => Err(error),
    }
}

fn record(lease: Lease) -> Record {
    let spec = lease.spec.unwrap_or_default();
    let note = |key: &str| {
        let notes = lease.metadata.annotations.as_ref();
        notes
            .and_then(|notes| notes.get(key))
            .cloned()
            .unwrap_or_default()
    };
    let time = |time: &Option<MicroTime>| time.as_ref().map_or_else(String::new, |time| time.0.to_string());
    let nodes = note(NODES);
    Record {
        run: spec.holder_identity.clone().filter(|holder| !holder.is_empty()),
        operator: note(OPERATOR),
        nodes: nodes
            .split(',')
            .filter(|node| !node.is_empty())
            .map(str::to_owned)
            .collect(),
        lasts: Duration::from_secs(
            spec.lease_duration_seconds
                .unwrap_or_default()
                .max(1)
                .unsigned_abs()
                .into(),
        ),
        acquired: time(&spec.acquire_time),
        renewed: time(&spec.renew_time),
        version: lease.metadata.resource_version.unwrap_or_default(),
    }
}

fn lease(record: &Record, version: Option<&str>) -> Lease {
    let time = |text: &str| text.parse::<Timestamp>().ok().map(MicroTime);
    let nodes: Vec<&str> = record.nodes.iter().map(String::as_str).collect();
    Lease {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            resource_version: version.map(str::to_owned),
            annotations: Some(BTreeMap::from([
                (NODES.to_owned(), nodes.join(",")),
                (OPERATOR.to_owned(), record.operator.clone()),
            ])),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: record.run.clone(),
            lease_duration_seconds: Some(i32::try_from(record.lasts.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: time(&record.acquired),
            renew_time: time(&record.renewed),
            ..LeaseSpec::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_being_a_lease() {
        let record_of = Record {
            run: Some("0123".to_owned()),
            operator: "ada@workstation".to_owned(),
            nodes: ["cp-1", "w-1"].map(str::to_owned).into(),
            lasts: Duration::from_secs(15),
            acquired: "2026-01-02T03:04:05Z".to_owned(),
            renewed: "2026-01-02T03:04:15Z".to_owned(),
            version: "7".to_owned(),
        };
        assert_eq!(record(lease(&record_of, Some("7"))), record_of);
    }
}
