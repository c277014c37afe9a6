//! Plans in files: written whole or not at all, for their owner's eyes only.

use std::io::Write as _;
use std::path::Path;

use kubewright_core::plan::{SavedPlan, UnreadablePlan};

use crate::failure::{ErrorId, Failure};

/// A plan of a thousand nodes is far below this.
const LARGEST_BYTES: u64 = 256 << 20;

/// Writes a plan beside its final place, then moves it there.
pub(crate) fn write(path: &Path, saved: &SavedPlan) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::named(
            ErrorId::PlanUnreadable,
            format!("write the plan to {}", path.display()),
        )
        .because(error.to_string())
        .hint("choose a file in a directory that you may write to: kubewright plan --out FILE")
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    // The file is made with mode 0600.
    let mut file = tempfile::Builder::new()
        .prefix(".kubewright-plan-")
        .tempfile_in(directory)
        .map_err(failed)?;
    file.write_all(saved.to_text().as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    std::fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed)
}

/// Reads a plan.
pub(crate) fn read(path: &Path) -> Result<SavedPlan, Failure> {
    let reading = || {
        Failure::named(
            ErrorId::PlanUnreadable,
            format!("read the plan in {}", path.display()),
        )
    };
    let size = std::fs::metadata(path).map(|metadata| metadata.len());
    let text = size.and_then(|size| {
        if size > LARGEST_BYTES {
            return Err(std::io::Error::other("it is too large for a plan"));
        }
        std::fs::read_to_string(path)
    });
    let text = text.map_err(|error| {
        reading()
            .because(error.to_string())
            .hint("create one: kubewright plan --out FILE")
    })?;
    SavedPlan::from_text(&text).map_err(|error| {
        let hint = match &error {
            UnreadablePlan::OtherSchema { by, .. } => {
                format!("apply it with kubewright {by}, or create it again: kubewright plan --out FILE")
            }
            UnreadablePlan::Foreign { .. } | UnreadablePlan::Damaged { .. } => {
                "create it again: kubewright plan --out FILE".to_owned()
            }
        };
        reading().because(error.to_string()).hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use kubewright_core::plan::{MadeFrom, Making, Operation, Plan, SavedPlan};

    use super::{read, write};

    fn plan() -> SavedPlan {
        let plan = Plan {
            left_out: std::collections::BTreeMap::new(),
            deferred: Vec::new(),
            notes: Vec::new(),
            operation: Operation::Apply,
            steps: Vec::new(),
        };
        let making = Making {
            kubewright: "0.1.0",
            cluster: "test",
            cluster_id: None,
            at: "2026-03-14T15:09:26Z".to_owned(),
            by: "ada@workstation",
            only: &[],
        };
        SavedPlan::new(plan, MadeFrom::default(), making)
    }

    #[test]
    fn a_plan_is_read_back_and_nobody_else_may_read_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("plan.json");
        std::fs::write(&path, "an older plan").unwrap();
        write(&path, &plan()).unwrap();
        assert_eq!(read(&path).unwrap(), plan());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_plan_or_no_whole_one_is_told_apart() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("plan.json");
        let text = plan().to_text();
        let mut said = String::new();
        for content in [
            "nodes: []\n".to_owned(),
            "{}".to_owned(),
            text.replace("SavedPlan", "Plan"),
            text.replace("\"schema\": 1", "\"schema\": 9"),
            text[..text.len() / 2].to_owned(),
            text.replace("\"type\": \"apply\"", "\"type\": \"reset\""),
        ] {
            std::fs::write(&path, content).unwrap();
            let rendered = read(&path).unwrap_err().render();
            said.push_str(&rendered.replace(&home.path().display().to_string(), "HOME"));
        }
        insta::assert_snapshot!(said, @r"
        error: read the plan in HOME/plan.json [plan-unreadable]
          because: it is not a plan of kubewright: expected ident at line 1 column 2
          hint: create it again: kubewright plan --out FILE
        error: read the plan in HOME/plan.json [plan-unreadable]
          because: it is not a plan of kubewright: it does not say what it is
          hint: create it again: kubewright plan --out FILE
        error: read the plan in HOME/plan.json [plan-unreadable]
          because: it is not a plan of kubewright: it is what plan -o json prints; plan --out writes one that can be applied
          hint: create it again: kubewright plan --out FILE
        error: read the plan in HOME/plan.json [plan-unreadable]
          because: it has form 9 (written by kubewright 0.1.0), this kubewright reads form 1
          hint: apply it with kubewright 0.1.0, or create it again: kubewright plan --out FILE
        error: read the plan in HOME/plan.json [plan-unreadable]
          because: it is damaged: EOF while parsing an object at line 13 column 1
          hint: create it again: kubewright plan --out FILE
        error: read the plan in HOME/plan.json [plan-unreadable]
          because: it is damaged: its digest does not fit its content
          hint: create it again: kubewright plan --out FILE
        ");
    }
}
