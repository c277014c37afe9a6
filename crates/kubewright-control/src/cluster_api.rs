//! The cluster's API as looking, steps and commands see it. [`KubernetesApi`] is the real one; tests have others.

mod connection;
mod kubernetes;
mod late;
mod leases;

use std::time::Duration;

use futures::future::BoxFuture;
use kubewright_core::desired::Desired;
use kubewright_core::manifest::NodeObject;
use kubewright_core::observed::{Observed, ObservedApi};
use kubewright_core::plan::Condition;
use kubewright_core::spec::Cluster;
use serde_json::Value;

pub use self::kubernetes::KubernetesApi;
pub use self::late::Late;
use crate::error::Error;
use crate::kube::client::ApiClient;
use crate::run_lease::LeaseHolder;

/// The Kubernetes API as looking and steps use it.
pub trait ClusterApi: Send + Sync {
    /// Looks for an API server that is ready; whether there is one.
    fn find<'a>(&'a self, observed: &'a Observed) -> BoxFuture<'a, bool>;
    /// What the API says of nodes, before anything is rendered.
    fn look_at_nodes<'a>(&'a self, cluster: &'a Cluster) -> BoxFuture<'a, Result<ObservedApi, Error>>;
    /// Completes what was seen of an API with how it differs from what it is to have.
    fn compare<'a>(
        &'a self,
        seen: ObservedApi,
        desired: &'a Desired,
    ) -> BoxFuture<'a, Result<ObservedApi, Error>>;
    /// A client of an API server that is ready, for what is no step.
    fn client(&self) -> BoxFuture<'_, Result<ApiClient, Error>>;
    /// Creates or completes Node objects.
    fn register_nodes<'a>(&'a self, nodes: &'a [NodeObject]) -> BoxFuture<'a, Result<usize, Error>>;
    /// Applies objects, in this order.
    fn apply_objects<'a>(&'a self, objects: &'a [Value]) -> BoxFuture<'a, Result<usize, Error>>;
    /// Deletes the named objects, as far as kubewright applied them and they are not wanted.
    fn delete_objects<'a>(
        &'a self,
        names: &'a [String],
        desired: &'a Desired,
    ) -> BoxFuture<'a, Result<usize, Error>>;
    /// Waits until the condition holds.
    fn wait<'a>(&'a self, condition: &'a Condition, timeout: Duration) -> BoxFuture<'a, Result<(), Error>>;
    /// Looks once why a condition does not hold yet.
    fn explain<'a>(&'a self, condition: &'a Condition) -> BoxFuture<'a, Result<Late, Error>>;
    /// Leases the cluster for a run that is about to change it: now if an API server answers, otherwise before the API is
    /// changed for the first time.
    fn begin_changes(&self, holder: LeaseHolder, api_answers: bool) -> BoxFuture<'_, Result<(), Error>> {
        let _ = (holder, api_answers);
        Box::pin(async { Ok(()) })
    }
    /// Ends the claim.
    fn end_changes(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
