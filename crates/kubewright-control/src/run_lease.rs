//! A run's lease on the cluster, once there is an API to hold it: a Lease that is renewed while the run lives.
//!
//! The locks of the nodes decide who may change a node; they are held by the kernel and need no clock. The lease is for
//! what they cannot see: a run that works on nodes this one does not have, because they were left out or because its
//! cluster.yaml names others, and everyone who wants to know who changes the cluster. Whether a holder
//! is alive is judged by watching it, never by comparing the clocks of two machines; a holder whose nodes are all locked
//! by this run is gone and is not waited for.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::error::{Error, ErrorId, Kind};
use crate::node::boot_time;
use crate::pace::Pace;

/// The run that takes the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseHolder {
    /// The run's id.
    pub run: String,
    /// Who runs it, from where, as in `ada@workstation`.
    pub operator: String,
    /// The nodes it has locked.
    pub nodes: BTreeSet<String>,
}

/// What is written down of a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The run that holds it, if any does.
    pub run: Option<String>,
    /// Who runs it, from where.
    pub operator: String,
    /// The nodes it has locked.
    pub nodes: BTreeSet<String>,
    /// How long it lasts without being renewed.
    pub lasts: Duration,
    /// Since when, by the holder's clock.
    pub acquired: String,
    /// When it was renewed, by the holder's clock; only whether it changes means something.
    pub renewed: String,
    /// The version of what was read.
    pub version: String,
}

/// Where leases are stored.
pub trait Leases: Send + Sync {
    /// The lease as it is; nothing when there never was one.
    fn read(&self) -> BoxFuture<'_, Result<Option<Record>, Error>>;
    /// Writes over exactly `version`, or for the first time. Returns the new version, or nothing after a conflict.
    fn write<'a>(
        &'a self,
        record: &'a Record,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<String>, Error>>;
}

/// How long a lease lasts, and how often it is looked at and renewed.
#[derive(Clone, Copy, Debug)]
pub struct LeaseTiming {
    /// Without being renewed it lasts this long.
    pub lasts: Duration,
    /// It is renewed this often.
    pub renews: Duration,
    /// Another one's is looked at this often.
    pub looks: Duration,
    /// Another one's is watched for this long at most.
    pub timeout: Duration,
}

impl Default for LeaseTiming {
    fn default() -> Self {
        Self {
            lasts: Duration::from_secs(15),
            renews: Duration::from_secs(5),
            looks: Duration::from_secs(1),
            timeout: Duration::from_secs(60),
        }
    }
}

impl LeaseTiming {
    /// The same for an API that is as slow as this: a renewal may take as long as several at usual ones.
    #[must_use]
    pub fn at(self, pace: &Pace) -> Self {
        Self {
            lasts: pace.bound(self.lasts),
            timeout: pace.bound(self.timeout),
            ..self
        }
    }
}

/// A lost race is tried again this often; more races in a row are no coincidence.
const CONFLICTS: u32 = 10;
/// Why the lease was given up then.
const CONFLICT: &str = "conflict: another client keeps updating it";
/// How long letting go may take: the next run does not depend on it.
const RELEASE: Duration = Duration::from_secs(5);

/// A lease that is held and renewed.
pub struct RunLease {
    held: Arc<Held>,
    renewing: JoinHandle<()>,
}

struct Held {
    leases: Arc<dyn Leases>,
    holder: LeaseHolder,
    timing: LeaseTiming,
    acquired: String,
    /// The version written last, and when that was, by a clock that runs on while this computer sleeps.
    written: Mutex<(String, Duration)>,
    lost: std::sync::Mutex<Option<Record>>,
}

impl RunLease {
    /// Takes the lease and keeps it.
    ///
    /// # Errors
    /// [`Kind::Refused`] when another run renews it, and when it cannot be read or written.
    pub async fn take(
        leases: Arc<dyn Leases>,
        holder: LeaseHolder,
        timing: LeaseTiming,
    ) -> Result<Self, Error> {
        let acquired = now();
        let version = take(leases.as_ref(), &holder, timing, &acquired).await?;
        let held = Arc::new(Held {
            leases,
            holder,
            timing,
            acquired,
            written: Mutex::new((version, boot_time())),
            lost: std::sync::Mutex::default(),
        });
        let own = Arc::clone(&held);
        let renewing = tokio::spawn(async move {
            loop {
                sleep(own.timing.renews).await;
                match own.renew().await {
                    Err(error) if error.kind() == Kind::Refused => {
                        tracing::error!(%error, "the lease on the cluster is lost");
                        return;
                    }
                    Err(error) => tracing::debug!(%error, "renewing the lease on the cluster"),
                    Ok(()) => {}
                }
            }
        });
        Ok(Self { held, renewing })
    }

    /// Makes sure that the lease still holds: a run that was asleep may have lost it.
    ///
    /// # Errors
    /// [`Kind::Refused`] when another run holds it now.
    pub async fn confirm(&self) -> Result<(), Error> {
        if let Some(other) = self.held.lost() {
            return Err(taken(&other));
        }
        let written = self.held.written.lock().await.1;
        if boot_time().saturating_sub(written) < self.held.timing.lasts {
            return Ok(());
        }
        self.held.renew().await
    }

    /// Releases it, so that the next run need not wait.
    pub async fn release(self) {
        self.renewing.abort();
        let (version, _) = self.held.written.lock().await.clone();
        let record = Record {
            run: None,
            ..self.held.record()
        };
        match timeout(RELEASE, self.held.leases.write(&record, Some(&version))).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "releasing the lease on the cluster"),
            Err(_) => tracing::debug!("releasing the lease on the cluster took too long"),
        }
    }
}

impl Drop for RunLease {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

impl Held {
    fn lost(&self) -> Option<Record> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record(&self) -> Record {
        record(&self.holder, self.timing, &self.acquired)
    }

    async fn renew(&self) -> Result<(), Error> {
        let mut written = self.written.lock().await;
        for _ in 0..CONFLICTS {
            if let Some(version) = self.leases.write(&self.record(), Some(&written.0)).await? {
                *written = (version, boot_time());
                return Ok(());
            }
            // The writer may have been this run, with the answer lost on the way.
            match self.leases.read().await? {
                Some(seen) if seen.run.as_deref() == Some(self.holder.run.as_str()) => {
                    written.0 = seen.version;
                }
                seen => {
                    let other = seen.unwrap_or_default();
                    let error = taken(&other);
                    *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(other);
                    return Err(error);
                }
            }
        }
        Err(Error::new(Kind::Api, "renew Lease kube-system/kubewright").because(CONFLICT))
    }
}

/// Acquires the lease: at once if no run can hold it, otherwise after watching it.
async fn take(
    leases: &dyn Leases,
    me: &LeaseHolder,
    timing: LeaseTiming,
    acquired: &str,
) -> Result<String, Error> {
    let begun = Instant::now();
    let mut watched: Option<(Record, Instant)> = None;
    let mut conflicts = 0;
    loop {
        let seen = leases.read().await?;
        let is_free = match (&seen, &watched) {
            (None, _) => true,
            (Some(other), _) if is_gone(other, me) => true,
            (Some(other), Some((first, _)))
                if (&other.run, &other.renewed) != (&first.run, &first.renewed) =>
            {
                return Err(busy(other));
            }
            (Some(other), Some((_, since))) => since.elapsed() >= other.lasts.min(timing.timeout),
            (Some(_), None) => false,
        };
        if is_free {
            let version = seen.as_ref().map(|record| record.version.as_str());
            if let Some(version) = leases.write(&record(me, timing, acquired), version).await? {
                return Ok(version);
            }
            conflicts += 1;
            if conflicts >= CONFLICTS {
                return Err(Error::new(Kind::Api, "acquire Lease kube-system/kubewright").because(CONFLICT));
            }
            continue;
        }
        if let (Some(other), None) = (seen, &watched) {
            let (run, operator) = (other.run.as_deref().unwrap_or_default(), &other.operator);
            tracing::warn!(run, %operator, "checking if another run still renews the cluster's Lease");
            watched = Some((other, Instant::now()));
        }
        // Bounded by what the other lease lasts; this only keeps a broken store from being watched for ever.
        if begun.elapsed() > timing.timeout * 2 {
            let holder = watched.as_ref().map_or_else(String::new, |(other, _)| {
                let run = other.run.as_deref().unwrap_or("none");
                format!("; last seen: held by {} (run {run})", other.operator)
            });
            let waited = begun.elapsed().as_secs();
            return Err(Error::new(Kind::Api, "acquire Lease kube-system/kubewright")
                .because(format!("it was not released within {waited} s{holder}")));
        }
        sleep(timing.looks).await;
    }
}

/// Whether the holder cannot be at work: no run, this run, or a run whose nodes are all locked by this one.
fn is_gone(other: &Record, me: &LeaseHolder) -> bool {
    match &other.run {
        None => true,
        Some(run) if *run == me.run => true,
        Some(_) => !other.nodes.is_empty() && other.nodes.is_subset(&me.nodes),
    }
}

fn record(me: &LeaseHolder, timing: LeaseTiming, acquired: &str) -> Record {
    Record {
        run: Some(me.run.clone()),
        operator: me.operator.clone(),
        nodes: me.nodes.clone(),
        lasts: timing.lasts,
        acquired: acquired.to_owned(),
        renewed: now(),
        version: String::new(),
    }
}

/// What a holder is called.
fn name(other: &Record) -> String {
    let operator = if other.operator.is_empty() {
        "an unknown user"
    } else {
        &other.operator
    };
    format!("{operator} (run {})", other.run.as_deref().unwrap_or("unknown"))
}

fn busy(other: &Record) -> Error {
    Error::named(
        ErrorId::ClusterLocked,
        format!("{} is changing the cluster", name(other)),
    )
    .because(format!("since {}, and it still renews its Lease", other.acquired))
    .hint("wait until that run is done; kubectl -n kube-system get lease kubewright shows it")
}

fn taken(other: &Record) -> Error {
    Error::named(ErrorId::ClusterLocked, "this run lost its Lease on the cluster")
        .because(format!("{} holds it since {}", name(other), other.acquired))
        .hint("run the command again: it reads the nodes and the cluster again")
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

#[cfg(test)]
mod tests;
