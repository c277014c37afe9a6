//! `kubewright schema`.

use kubewright_core::spec;

use crate::failure::{Failure, Kind};
use crate::ui::Ui;

/// Prints the JSON schema of cluster.yaml.
pub(crate) fn run(ui: &Ui) -> Result<(), Failure> {
    let schema = serde_json::to_string_pretty(&spec::schema())
        .map_err(|error| Failure::new(Kind::Bug, format!("write the schema: {error}")))?;
    ui.data(&schema);
    Ok(())
}
