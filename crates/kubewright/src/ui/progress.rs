//! One live line per node while a run goes on; plain lines where there is no terminal.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use kubewright_control::report::{Event, Reporter};
use kubewright_core::shown;

/// The line of what concerns the cluster as a whole.
const CLUSTER: &str = "cluster";

/// Shows the events of a run.
pub(crate) struct Progress {
    quiet: bool,
    live: Option<Live>,
}

struct Live {
    all: MultiProgress,
    lines: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Progress {
    /// Live lines when `fancy`, plain ones otherwise, none when `quiet`.
    pub(crate) fn new(quiet: bool, fancy: bool) -> Self {
        let live = (fancy && !quiet).then(|| Live {
            all: MultiProgress::new(),
            lines: Mutex::new(BTreeMap::new()),
        });
        Self { quiet, live }
    }

    /// Takes the live lines away, so that results can be printed.
    pub(crate) fn finish(&self) {
        if let Some(live) = &self.live {
            if let Ok(mut lines) = live.lines.lock() {
                lines.values().for_each(ProgressBar::finish_and_clear);
                lines.clear();
            }
            let _ = live.all.clear();
        }
    }

    /// Says something that concerns the whole run.
    pub(crate) fn say(&self, text: &str) {
        match &self.live {
            Some(live) => {
                let _ = live.all.println(shown::line(text));
            }
            None if self.quiet => {}
            None => {
                let _ = writeln!(std::io::stderr().lock(), "{}", shown::line(text));
            }
        }
    }

    fn plain(&self, node: &str, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr().lock(), "{node}: {}", shown::line(text));
        }
    }

    /// Shows `text` on the live line of `node`; says nothing where lines are plain.
    fn live(&self, node: &str, text: &str) {
        let Some(live) = &self.live else { return };
        let Ok(mut lines) = live.lines.lock() else { return };
        let line = lines.entry(node.to_owned()).or_insert_with(|| {
            let line = live.all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:<12} {wide_msg} {elapsed}") {
                line.set_style(style);
            }
            line.set_prefix(node.to_owned());
            line.enable_steady_tick(Duration::from_millis(120));
            line
        });
        line.set_message(shown::line(text));
    }

    /// Says something that stays above the live lines.
    fn above(&self, node: &str, text: &str) {
        match &self.live {
            Some(live) => {
                let _ = live.all.println(format!("{node}: {}", shown::line(text)));
            }
            None => self.plain(node, text),
        }
    }

    fn note(&self, node: &str, text: &str) {
        if self.live.is_some() {
            self.live(node, text);
        } else {
            self.plain(node, text);
        }
    }
}

impl Reporter for Progress {
    fn event(&self, event: &Event) {
        match event {
            Event::Node { node, doing } => self.live(node, doing),
            Event::Waiting { node, what } => self.note(node, what),
            Event::StepStarted { node, title, .. } => {
                self.note(node.as_deref().unwrap_or(CLUSTER), title);
            }
            Event::Resource {
                node,
                resource,
                done: false,
            } => self.live(node, resource.as_str()),
            Event::Resource { .. } => {}
            Event::StepWaits {
                node,
                title,
                seconds,
                why,
                ..
            } => {
                let node = node.as_deref().unwrap_or(CLUSTER);
                self.above(node, &format!("{title}: waited {seconds} s so far"));
                for line in why {
                    self.above(node, &format!("  {line}"));
                }
            }
            Event::StepFinished {
                node, title, seconds, ..
            } => {
                self.note(
                    node.as_deref().unwrap_or(CLUSTER),
                    &format!("{title}: done in {seconds:.1} s"),
                );
            }
            Event::StepFailed { node, error, .. } => {
                self.above(node.as_deref().unwrap_or(CLUSTER), error);
            }
        }
    }
}
