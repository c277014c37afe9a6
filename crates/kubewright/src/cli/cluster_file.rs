//! Reading cluster.yaml: the text, all its mistakes at once, or the cluster.

use std::path::{Path, PathBuf};

use kubewright_core::spec::{self, Cluster};

use crate::failure::{ErrorId, Failure};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// A cluster file that was read and found right.
pub(crate) struct ClusterFile {
    /// What it says.
    pub(crate) cluster: Cluster,
    /// Where it is; relative paths in it start from its directory.
    pub(crate) path: PathBuf,
}

impl ClusterFile {
    /// The directory the file is in.
    pub(crate) fn directory(&self) -> PathBuf {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
    }
}

/// Reads and checks the file; warnings are said, mistakes are a failure that shows each of them.
pub(crate) fn read(flags: &GlobalFlags, ui: &Ui) -> Result<ClusterFile, Failure> {
    let path = flags.file.clone();
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let failure = Failure::named(ErrorId::FileUnreadable, format!("read {}", path.display()))
            .because(error.to_string());
        if error.kind() == std::io::ErrorKind::NotFound {
            failure.hint(
                "name the file with --file, or write one: kubewright init --control-plane ADDR,ADDR,ADDR",
            )
        } else {
            failure
        }
    })?;
    let name = path.display().to_string();
    match spec::parse(&text, &name) {
        Ok(parsed) => {
            for warning in &parsed.warnings {
                ui.say(&warning.render(&name));
            }
            Ok(ClusterFile {
                cluster: parsed.spec,
                path,
            })
        }
        Err(errors) => {
            let text = errors
                .findings
                .iter()
                .map(|finding| finding.render(&name))
                .collect();
            let count = kubewright_core::plan::text::count(errors.error_count(), "error");
            Err(
                Failure::named(ErrorId::FileInvalid, format!("{name} has {count}"))
                    .findings(text, &errors.findings)
                    .hint(
                        "fix what is shown above; kubewright schema prints every key and its allowed values",
                    ),
            )
        }
    }
}
