//! Waits until a set of objects is as wanted, told of every change by the server.
//!
//! List, judge, then watch from the version of the list and judge again at every event; when the watch ends, list
//! again. There is no polling: a pause happens only when a request failed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::TryStreamExt as _;
use kube::api::{ListParams, WatchParams};
use kube::core::WatchEvent;
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::failure::ApiFailure;

/// How long to wait after a request that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(250);
/// A watch that brings nothing is opened again after this time, in case its connection died silently.
const LONGEST_WATCH_SECONDS: u32 = 30;

/// Whether what is seen is what is waited for.
pub(crate) enum Verdict<T> {
    /// It is.
    Done(T),
    /// It is not yet; what was seen, for people.
    Waiting(String),
}

/// Which objects are looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub(crate) fields: Option<String>,
    pub(crate) labels: Option<String>,
}

impl Selection {
    pub(crate) fn named(name: &str) -> Self {
        Self {
            fields: Some(format!("metadata.name={name}")),
            labels: None,
        }
    }

    pub(crate) fn labelled(labels: &str) -> Self {
        Self {
            fields: None,
            labels: Some(labels.to_owned()),
        }
    }
}

/// The time was over; carries what was last seen.
#[derive(Debug)]
pub(crate) struct TimeOver {
    pub(crate) last_seen: String,
}

/// Watches until `judge` is done, or `end`.
///
/// `judge` sees all selected objects by `namespace/name` (`/name` where there is no namespace).
pub(crate) async fn until<K, T>(
    api: &Api<K>,
    selection: &Selection,
    end: Instant,
    mut judge: impl FnMut(&BTreeMap<String, K>) -> Verdict<T>,
) -> Result<T, TimeOver>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let mut last_seen = "nothing yet: the API server has not answered".to_owned();
    let list = ListParams {
        label_selector: selection.labels.clone(),
        field_selector: selection.fields.clone(),
        ..ListParams::default()
    };
    let watch = WatchParams {
        label_selector: selection.labels.clone(),
        field_selector: selection.fields.clone(),
        timeout: Some(LONGEST_WATCH_SECONDS),
        ..WatchParams::default()
    };
    loop {
        let failure = match timeout_at(end, round(api, &list, &watch, &mut judge, &mut last_seen)).await {
            Err(_) => return Err(TimeOver { last_seen }),
            Ok(Ok(Some(value))) => return Ok(value),
            // The watch came to its end: look again.
            Ok(Ok(None)) => continue,
            Ok(Err(error)) => ApiFailure::from(error),
        };
        tracing::debug!(%failure, "looking again");
        last_seen = failure.to_string();
        let next = Instant::now() + PAUSE_AFTER_FAILURE;
        if next >= end {
            return Err(TimeOver { last_seen });
        }
        sleep_until(next).await;
    }
}

async fn round<K, T>(
    api: &Api<K>,
    list: &ListParams,
    watch: &WatchParams,
    judge: &mut impl FnMut(&BTreeMap<String, K>) -> Verdict<T>,
    last_seen: &mut String,
) -> Result<Option<T>, kube::Error>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let listed = api.list(list).await?;
    let version = listed.metadata.resource_version.clone().unwrap_or_default();
    let mut objects: BTreeMap<String, K> = listed
        .items
        .into_iter()
        .map(|object| (key(&object), object))
        .collect();
    match judge(&objects) {
        Verdict::Done(value) => return Ok(Some(value)),
        Verdict::Waiting(seen) => *last_seen = seen,
    }
    let events = api.watch(watch, &version).await?;
    futures::pin_mut!(events);
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                objects.insert(key(&object), object);
            }
            WatchEvent::Deleted(object) => {
                objects.remove(&key(&object));
            }
            WatchEvent::Bookmark(_) => continue,
            // Usually 410: the version is too old to watch from.
            WatchEvent::Error(_) => return Ok(None),
        }
        match judge(&objects) {
            Verdict::Done(value) => return Ok(Some(value)),
            Verdict::Waiting(seen) => *last_seen = seen,
        }
    }
    Ok(None)
}

fn key<K: Resource>(object: &K) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}
