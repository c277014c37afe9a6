//! Waits of a run, and why they take long: whoever watches is told after half a minute what is missing, and again when
//! that changes, instead of after the ten minutes a wait may last.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kubewright_core::carrier::unit_name;
use kubewright_core::component::{apiserver, etcd, kubelet};
use kubewright_core::plan::{Condition, PlannedStep};
use kubewright_core::wire::NodeCondition;
use tokio::time::{Instant, sleep, timeout};

use super::RunContext;
use crate::cluster_api::Late;
use crate::error::Error;
use crate::pace::{Measure, Pace};
use crate::report::{Event, Reporter};

/// How many nodes that are not ready are asked for their kubelet; with more, the first ones tell the cause.
const NODES_ASKED: usize = 5;
/// How long looking for the cause may take each time, on usual nodes.
const LOOK: Duration = Duration::from_secs(15);

/// When a wait says why it lasts.
#[derive(Clone, Copy, Debug)]
pub struct WaitReports {
    /// After how long the cause is looked for.
    pub first: Duration,
    /// How long after that it is looked for again.
    pub every: Duration,
    /// How long after it was told it may be told again, if it has changed.
    pub apart: Duration,
}

impl Default for WaitReports {
    /// A healthy node is Ready within half a minute; a process that ends at once has ended several times by then.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(30),
            every: Duration::from_secs(10),
            apart: Duration::from_secs(30),
        }
    }
}

impl RunContext {
    /// Waits for a condition, and tells why it does not hold while that takes long.
    pub(super) async fn wait(
        &self,
        planned: &PlannedStep,
        condition: &Condition,
        limit: Duration,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        let limit = self.pace(condition).bound(limit);
        let waited = tokio::select! {
            biased;
            waited = self.wait_for(condition, limit) => waited,
            never = self.tell_why(planned, condition, reporter) => match never {},
        };
        let Err(error) = waited else {
            self.note(condition, begun.elapsed());
            return Ok(());
        };
        match condition {
            // The agent and the API have told the rest.
            Condition::NodeReady { .. } | Condition::NodesReady { .. } => {
                let late = self.late(condition).await;
                let kubelets = self.kubelets(&late.nodes).await;
                Err(kubelets.into_iter().fold(error, Error::because))
            }
            Condition::OnNode { .. } | Condition::DeploymentAvailable { .. } => Err(error),
        }
    }

    /// How slow those have been on whom a condition depends: a node for its own, the slowest of all for the cluster's.
    fn pace(&self, condition: &Condition) -> Pace {
        let nodes = self.nodes.iter().filter(|(name, _)| match condition {
            Condition::OnNode { node, .. } => *name == node,
            _ => true,
        });
        let paces = nodes.map(|(_, node)| node.pace().clone());
        paces.fold(Pace::default(), Pace::slower)
    }

    /// Notes how long a server took to start: what it is asked afterwards has longer.
    fn note(&self, condition: &Condition, took: Duration) {
        let Condition::OnNode { node, condition } = condition else {
            return;
        };
        let started = |component| condition.unit() == Some(unit_name(component).as_str());
        let measure = match () {
            () if started(apiserver::NAME) => Measure::ApiServerStart,
            () if started(etcd::NAME) => Measure::EtcdStart,
            () => return,
        };
        if let Ok(node) = self.node(node) {
            node.pace().note(measure, took);
        }
    }

    async fn wait_for(&self, condition: &Condition, limit: Duration) -> Result<(), Error> {
        match condition {
            Condition::OnNode { node, condition } => {
                Ok(self.node(node)?.wait(condition.clone(), limit).await?)
            }
            condition => self.api.wait(condition, limit).await,
        }
    }

    /// Looks again and again why a condition does not hold, and tells whatever is news.
    async fn tell_why(
        &self,
        planned: &PlannedStep,
        condition: &Condition,
        reporter: &Arc<dyn Reporter>,
    ) -> Infallible {
        let begun = Instant::now();
        let mut news = News::default();
        sleep(self.wait_reports.first).await;
        loop {
            let why = self.why(condition).await;
            let elapsed = begun.elapsed();
            if news.is_new(&why, elapsed, self.wait_reports.apart) {
                let seconds = elapsed.as_secs();
                tracing::info!(step = %planned.id, seconds, why = %why.join("; "), "step waits");
                reporter.event(&Event::StepWaits {
                    step: planned.id.clone(),
                    node: planned.step.node().map(str::to_owned),
                    title: planned.step.title(),
                    seconds,
                    why,
                });
            }
            sleep(self.wait_reports.every).await;
        }
    }

    /// Why a condition does not hold, line by line.
    async fn why(&self, condition: &Condition) -> Vec<String> {
        match condition {
            Condition::OnNode { node, condition } => self.explained(node, condition.clone()).await,
            condition => {
                let late = self.late(condition).await;
                let kubelets = self.kubelets(&late.nodes).await;
                late.lines.into_iter().chain(kubelets).collect()
            }
        }
    }

    /// What the API says of it.
    async fn late(&self, condition: &Condition) -> Late {
        let limit = self.pace(condition).bound(LOOK);
        match timeout(limit, self.api.explain(condition)).await {
            Ok(Ok(late)) => late,
            Ok(Err(error)) => Late::unknown(error.to_string()),
            Err(_) => Late::unknown(format!("the API does not answer within {} s", limit.as_secs())),
        }
    }

    /// How the kubelets of nodes are, as their agents see it.
    async fn kubelets(&self, nodes: &[String]) -> Vec<String> {
        let condition = NodeCondition::UnitActive {
            unit: unit_name(kubelet::NAME),
        };
        let asked = nodes.iter().take(NODES_ASKED);
        let asked = asked.map(|node| {
            let explained = self.explained(node, condition.clone());
            async move {
                let lines = explained.await.into_iter();
                lines.map(|line| format!("{node}: {line}")).collect::<Vec<_>>()
            }
        });
        futures::future::join_all(asked).await.concat()
    }

    /// What the agent of a node says of a condition; nothing of a node there is no connection with.
    async fn explained(&self, node: &str, condition: NodeCondition) -> Vec<String> {
        let Ok(node) = self.node(node) else {
            return Vec::new();
        };
        let limit = node.pace().bound(LOOK);
        match timeout(limit, node.explain(condition)).await {
            Ok(Ok(explanation)) => vec![explanation.to_string()],
            Ok(Err(error)) => vec![error.to_string()],
            Err(_) => vec![format!("its agent does not answer within {} s", limit.as_secs())],
        }
    }
}

/// What was told last, and when.
#[derive(Default)]
struct News(Option<(String, Duration)>);

impl News {
    /// Whether lines say something else than what was told last, and that was long enough ago; then they count as told.
    fn is_new(&mut self, why: &[String], now: Duration, apart: Duration) -> bool {
        let gist = gist(why);
        let is_new = match &self.0 {
            None => !why.is_empty(),
            Some((told, at)) => *told != gist && !why.is_empty() && now.saturating_sub(*at) >= apart,
        };
        if is_new {
            self.0 = Some((gist, now));
        }
        is_new
    }
}

/// What stays the same while only counters, times and process numbers move on.
fn gist(why: &[String]) -> String {
    let text = why.join("\n");
    text.chars()
        .filter(|character| !character.is_ascii_digit())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At which seconds something is told of what is seen every ten seconds.
    fn told(within: u64, seen: impl Fn(u64) -> String) -> Vec<u64> {
        let times = WaitReports::default();
        let mut news = News::default();
        let looks = (times.first.as_secs()..within).step_by(times.every.as_secs() as usize);
        looks
            .filter(|second| news.is_new(&[seen(*second)], Duration::from_secs(*second), times.apart))
            .collect()
    }

    #[test]
    fn a_cause_is_told_after_half_a_minute_and_not_again_while_only_numbers_change() {
        let told = told(600, |second| format!("kubelet.service restarted {second} times"));
        assert_eq!(told, [30]);
    }

    #[test]
    fn another_cause_is_told_again() {
        let cause = |second| if second < 100 { "no image" } else { "no network" };
        assert_eq!(told(600, |second| cause(second).to_owned()), [30, 100]);
    }

    #[test]
    fn a_cause_that_comes_and_goes_is_told_twice_a_minute_at_most() {
        let cause = |second| {
            if second / 10 % 2 == 1 {
                "CrashLoopBackOff"
            } else {
                "Error"
            }
        };
        assert_eq!(told(130, |second| cause(second).to_owned()), [30, 60, 90, 120]);
    }

    #[test]
    fn nothing_is_told_when_nothing_is_missing() {
        assert!(!News::default().is_new(&[], Duration::from_secs(30), Duration::ZERO));
    }
}
