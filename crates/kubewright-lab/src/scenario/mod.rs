//! Scenarios: whole stories told with the built binaries on a lab of their own.
//!
//! A scenario brings its own machines up, under a unique name, and always takes them down, unless `KEEP_LAB`
//! says otherwise. It uses `kubewright`, `kubectl` and this very program as a user would; what it finds out, a user
//! could have found out. When a story fails, the machines' journals are kept beside its other files.

mod dns;
mod run;
mod stage;

#[path = "../../scenarios/canary/mod.rs"]
mod canary;
#[path = "../../scenarios/certificates/mod.rs"]
mod certificates;
#[path = "../../scenarios/changes.rs"]
mod changes;
#[path = "../../scenarios/faults.rs"]
mod faults;
#[path = "../../scenarios/founding.rs"]
mod founding;
#[path = "../../scenarios/ha_bootstrap.rs"]
mod ha_bootstrap;
#[path = "../../scenarios/joining.rs"]
mod joining;
#[path = "../../scenarios/other_choices.rs"]
mod other_choices;
#[path = "../../scenarios/poor_machines.rs"]
mod poor_machines;
#[path = "../../scenarios/power_cut.rs"]
mod power_cut;
#[path = "../../scenarios/probe.rs"]
mod probe;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;

pub(crate) use stage::{Stage, step, sweep};

use crate::{tool, ui};

/// Arguments of `scenario`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The story
    #[arg(value_enum)]
    story: Story,

    /// All variants of the story, not only the chosen ones
    #[arg(long)]
    full: bool,

    #[command(flatten)]
    place: Place,
}

/// The programs a stage uses and where it keeps its files.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The program under test
    #[arg(long, env = "KUBEWRIGHT", default_value = "kubewright")]
    kubewright: PathBuf,

    /// The Kubernetes client
    #[arg(long, env = "KUBECTL", default_value = "kubectl")]
    kubectl: PathBuf,

    /// Directory with the components, as `components` prints it; upstream's download hosts if none
    #[arg(long, env = "KUBEWRIGHT_COMPONENTS")]
    components: Option<PathBuf>,

    /// Where files are kept
    #[arg(long, default_value = "target/scenario")]
    work_dir: PathBuf,

    /// Log in as this user instead of root
    #[arg(long, default_value = "root")]
    user: String,

    /// Leave the lab up at the end
    #[arg(long, env = "KEEP_LAB", value_parser = clap::builder::FalseyValueParser::new(), num_args = 0..=1, default_missing_value = "1", default_value = "0")]
    keep: bool,
}

/// The stories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Story {
    /// 3 + 2 from blank machines, smoke test, nothing to do the second time, reset and once more
    HaBootstrap,
    /// One control plane loses its power, then all machines do: the cluster comes back by itself
    PowerCut,
    /// Kills, cuts, full disks and second runs during a bootstrap: applying again finishes the job
    Faults,
    /// A change that is killed half-way, and meddling that drift finds and apply repairs
    Changes,
    /// The control planes of the file change under an interrupted bootstrap: refused, and the old file goes on
    Founding,
    /// One control plane becomes three, by a run that is killed and the next; one loses its data and joins again
    Joining,
    /// The defaults are not everything: sudo, plain routes, iptables, other ranges, a manifest of one's own
    OtherChoices,
    /// Machines held to a tenth of a processor, without name servers: a bootstrap ends well, slowly
    PoorMachines,
}

impl Story {
    fn word(self) -> &'static str {
        match self {
            Self::HaBootstrap => "ha-bootstrap",
            Self::PowerCut => "power-cut",
            Self::Faults => "faults",
            Self::Changes => "changes",
            Self::Founding => "founding",
            Self::Joining => "joining",
            Self::OtherChoices => "other-choices",
            Self::PoorMachines => "poor-machines",
        }
    }

    fn tell(self, stage: &Stage, full: bool) -> Result<()> {
        match self {
            Self::HaBootstrap => ha_bootstrap::tell(stage),
            Self::PowerCut => power_cut::tell(stage),
            Self::Faults => faults::tell(stage, full),
            Self::Founding => founding::tell(stage),
            Self::Joining => joining::tell(stage),
            Self::OtherChoices => other_choices::tell(stage),
            Self::PoorMachines => poor_machines::tell(stage),
            Self::Changes => {
                step("apply to blank machines", || {
                    stage.kubewright(&["--yes", "apply"])
                })?;
                stage.fetch_kubeconfig()?;
                changes::tell(stage)
            }
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let story = arguments.story;
    on_stage(&arguments.place, story.word(), |stage| {
        story.tell(stage, arguments.full)
    })
}

/// Brings a lab up, does something with it, and takes it down.
pub(crate) fn on_stage(place: &Place, word: &str, action: impl FnOnce(&Stage) -> Result<()>) -> Result<()> {
    tool::require_root()?;
    let begin = Instant::now();
    sweep(word)?;
    let stage = Stage::build(place, word)?;
    let told = stage.up().and_then(|()| action(&stage));
    if told.is_err() {
        stage.collect_journals();
    }
    if place.keep {
        ui::say(format_args!(
            "kept in {}; `kubewright-lab --lab {} down` removes the lab",
            stage.directory().display(),
            stage.lab_name()
        ));
    } else {
        let down = stage.down();
        if told.is_ok() {
            down?;
            stage.remove_files()?;
        } else if let Err(error) = down {
            // The story's own failure is the news; this one is only said.
            ui::error(&error.context("take the lab down"));
        }
    }
    told.with_context(|| format!("{word}; its files are in {}", stage.directory().display()))?;
    ui::say(format_args!(
        "{word}: passed in {:.0} s",
        begin.elapsed().as_secs_f64()
    ));
    Ok(())
}
