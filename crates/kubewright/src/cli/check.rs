//! `kubewright check`.

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
    let report = look(&opened).await;
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

/// Asks the machines.
pub(crate) async fn look(opened: &Opened) -> Report {
    let watch = |node: &str, doing: &str| {
        opened.progress.event(&Event::Node {
            node: node.to_owned(),
            doing: doing.to_owned(),
        });
    };
    let report = opened.session.check(&watch).await;
    opened.progress.finish();
    report
}
