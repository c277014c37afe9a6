//! `kubewright drift`.

use kubewright_control::drift::look;
use kubewright_control::observe::UnreachablePolicy;
use kubewright_control::session::Purpose;

use super::session;
use crate::failure::{ErrorId, Failure};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Arguments of `drift`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Read every file again, even if its size, times and inode are unchanged
    #[arg(long)]
    verify: bool,
}

/// Looks and tells.
pub(crate) async fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let opened = session::open("drift", flags, ui)?.with_policy(UnreachablePolicy::OneControlPlane);
    let observation = opened.observe_with(Purpose::Read, arguments.verify).await?;
    let report = look(&opened.session, &observation);
    ui.result(&report, || report.text())?;
    if report.is_empty() {
        return Ok(());
    }
    Err(
        Failure::named(ErrorId::Drift, "the cluster differs from cluster.yaml").hint(
            "kubewright plan shows what apply would change; kubewright apply changes it (docs/reference/drift.md)",
        ),
    )
}
