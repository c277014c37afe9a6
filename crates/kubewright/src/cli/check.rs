//! `kubewright check`.

use std::collections::BTreeSet;

use kubewright_control::report::{Event, Reporter as _};
use kubewright_core::check::Report;

use super::session::{self, Opened};
use crate::failure::{ErrorId, Failure};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Arguments of `check`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {}

/// Looks for what would make apply fail.
pub(crate) async fn run(_arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let opened = session::open("check", flags, ui)?;
    let report = look(&opened, None).await;
    ui.result(&report, || report.text())?;
    if report.has_errors() {
        return Err(Failure::named(
            ErrorId::CheckErrors,
            "kubewright apply would fail on these machines",
        )
        .hint("fix every finding marked as error above, then check again"));
    }
    Ok(())
}

/// Asks the machines; with `only`, what is tried and measured concerns these alone.
pub(crate) async fn look(opened: &Opened, only: Option<&BTreeSet<String>>) -> Report {
    let watch = |node: &str, doing: &str| {
        opened.progress.event(&Event::Node {
            node: node.to_owned(),
            doing: doing.to_owned(),
        });
    };
    let report = opened.session.check(only, &watch).await;
    opened.progress.finish();
    report
}
