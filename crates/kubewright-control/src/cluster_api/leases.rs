//! Where a run's claim is written down: in the API, reached as everything of it is.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::connection::ApiConnection;
use crate::error::{Error, Kind};
use crate::kube::lease;
use crate::run_lease::{Leases, Record};

/// The cluster's Lease.
pub(super) struct ApiLeases(pub(super) Arc<ApiConnection>);

impl Leases for ApiLeases {
    fn read(&self) -> BoxFuture<'_, Result<Option<Record>, Error>> {
        Box::pin(self.0.with(|client| async move {
            let read = lease::read(&client).await;
            read.map_err(|error| Error::caused(Kind::Api, "read the run's lease", &error))
        }))
    }

    fn write<'a>(
        &'a self,
        record: &'a Record,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(self.0.with(move |client| async move {
            let written = lease::write(&client, record, version).await;
            written.map_err(|error| Error::caused(Kind::Api, "write the run's lease", &error))
        }))
    }
}
