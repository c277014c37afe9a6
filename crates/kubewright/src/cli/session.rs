//! From flags to a session with the machines, and from its errors to failures.

use std::path::PathBuf;
use std::sync::Arc;

use kubewright_control::error::Error;
use kubewright_control::observe::{
    Observation, ObserveErrors, Seen, UnreachablePolicy, first_look, look_before_reset, observe,
};
use kubewright_control::report::Reporter;
use kubewright_control::session::{Purpose, Session};
use kubewright_control::transport::{Agent, Agents};
use kubewright_core::catalogue::Platform;
use kubewright_core::observed::Observed;
use kubewright_core::shown::sentence;

use super::cluster_file::{self, ClusterFile};
use crate::agents::EMBEDDED;
use crate::failure::{ErrorId, Failure, Kind};
use crate::settings::GlobalFlags;
use crate::ui::{Progress, Ui};

/// What every command that talks to machines starts from.
pub(crate) struct Opened {
    /// The session.
    pub(crate) session: Session,
    /// The file it is about.
    pub(crate) file: ClusterFile,
    /// The run's debug log.
    pub(crate) log: Option<PathBuf>,
    /// Live lines.
    pub(crate) progress: Arc<Progress>,
    /// What the command does about nodes that cannot be reached.
    policy: UnreachablePolicy,
}

/// What a planning command does about nodes that do not answer.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(crate) struct Skipping {
    /// Skip workers that do not answer: also in a bootstrap, and without exit code 4
    #[arg(long)]
    pub(crate) skip_unreachable_workers: bool,
}

impl From<Skipping> for UnreachablePolicy {
    fn from(skipping: Skipping) -> Self {
        Self::Change {
            skip_workers: skipping.skip_unreachable_workers,
        }
    }
}

/// Tells which nodes are left out, and why.
pub(crate) fn tell_absent(observed: &Observed, ui: &Ui) {
    for (node, why) in &observed.unreachable {
        ui.say(&format!("{node} is skipped: {}", sentence(why)));
    }
}

/// Reads the file and prepares a session.
pub(crate) fn open(command: &str, flags: &GlobalFlags, ui: &Ui) -> Result<Opened, Failure> {
    let log = super::run_log::start(command, flags.verbose);
    let file = cluster_file::read(flags, ui)?;
    let session =
        Session::new(file.cluster.clone(), &file.directory(), agents()?).map_err(|error| failure(&error))?;
    Ok(Opened {
        session,
        file,
        log,
        progress: Arc::new(ui.progress()),
        policy: UnreachablePolicy::EveryNode,
    })
}

impl Opened {
    /// Says what the command does about nodes that cannot be reached.
    pub(crate) fn with_policy(mut self, policy: UnreachablePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Who shows how it goes.
    pub(crate) fn reporter(&self) -> Arc<dyn Reporter> {
        self.progress.clone()
    }

    /// Looks at the whole cluster.
    pub(crate) async fn observe(&self, purpose: Purpose) -> Result<Observation, Failure> {
        self.observe_with(purpose, false).await
    }

    /// Looks at the whole cluster; `verify` reads every file on the nodes.
    pub(crate) async fn observe_with(&self, purpose: Purpose, verify: bool) -> Result<Observation, Failure> {
        let observation = observe(&self.session, purpose, self.policy, verify, &self.reporter()).await;
        self.progress.finish();
        observation.map_err(|errors| self.failures(errors))
    }

    /// Looks at who the nodes are and whose authority they live under, no further.
    pub(crate) async fn first_look(&self, purpose: Purpose) -> Result<Seen, Failure> {
        let look = first_look(&self.session, purpose, self.policy, &self.reporter()).await;
        self.progress.finish();
        look.map_err(|errors| self.failures(errors))
    }

    /// Looks at who the nodes are, for taking the cluster down.
    pub(crate) async fn look_before_reset(&self, purpose: Purpose) -> Result<Seen, Failure> {
        let look = look_before_reset(&self.session, purpose, &self.reporter()).await;
        self.progress.finish();
        look.map_err(|errors| self.failures(errors))
    }

    /// Many nodes' errors as one failure: each is told, then they are counted.
    fn failures(&self, errors: ObserveErrors) -> Failure {
        let ObserveErrors(errors) = errors;
        let failures: Vec<Failure> = errors.iter().map(failure).collect();
        let mut failures = failures.into_iter();
        let first = failures
            .next()
            .unwrap_or_else(|| Failure::new(Kind::Bug, "an error without a text"));
        let all = failures.fold(first, Failure::and);
        self.with_log(all)
    }

    /// Names the debug log.
    pub(crate) fn with_log(&self, failure: Failure) -> Failure {
        match &self.log {
            Some(path) => failure.hint(format!("the full log is {}", path.display())),
            None => failure,
        }
    }
}

/// An error of the machines' side as a failure.
pub(crate) fn failure(error: &Error) -> Failure {
    Failure::of_machines(error)
}

/// The agents this program carries; a build without any takes them from where the next build would.
fn agents() -> Result<Agents, Failure> {
    let bug = |what: String| Failure::new(Kind::Bug, what);
    let mut agents = Agents::default();
    let mut add = |architecture: &str, digest: &str, gzip: Arc<[u8]>| {
        let platform = Platform::from_machine(architecture)
            .ok_or_else(|| bug(format!("there is an agent for {architecture}")))?;
        let sha256 = digest.trim().parse().map_err(|error| bug(format!("{error}")))?;
        let agent = Agent {
            size_bytes: unpacked_size(&gzip),
            gzip,
            sha256,
        };
        agents = std::mem::take(&mut agents).with(platform, agent);
        Ok(())
    };
    for (architecture, digest, gzip) in EMBEDDED {
        add(architecture, digest, Arc::from(*gzip))?;
    }
    if EMBEDDED.is_empty() {
        for (architecture, digest, gzip) in kept_beside() {
            add(architecture, &digest, Arc::from(gzip))?;
        }
    }
    if agents.iter().next().is_none() {
        return Err(
            Failure::named(ErrorId::AgentMissing, "this kubewright carries no agent")
                .because("it was built without one")
                .hint("build it with: cargo xtask dist"),
        );
    }
    Ok(agents)
}

/// Agents in the directory that a build would embed them from (see `build.rs`).
fn kept_beside() -> Vec<(&'static str, String, Vec<u8>)> {
    let Some(directory) = std::env::var_os("KUBEWRIGHT_AGENTS").map(PathBuf::from) else {
        return Vec::new();
    };
    let read = |architecture: &'static str| {
        let name = format!("kubewright-agent-{architecture}");
        let digest = std::fs::read_to_string(directory.join(format!("{name}.sha256"))).ok()?;
        let gzip = std::fs::read(directory.join(format!("{name}.gz"))).ok()?;
        Some((architecture, digest, gzip))
    };
    ["amd64", "arm64"].into_iter().filter_map(read).collect()
}

/// A gzip file ends with the size of what it holds (RFC 1952, modulo 4 GiB).
fn unpacked_size(gzip: &[u8]) -> u64 {
    gzip.last_chunk::<4>()
        .map_or(0, |size| u64::from(u32::from_le_bytes(*size)))
}
