//! What the code keeps in tables: errors, safety rules, probable causes, checks, drift.

use kubewright_core::errors::{Diagnosis, ErrorId, Kind};
use kubewright_core::{check, drift};

use super::Chapter;

pub(super) fn chapters() -> Vec<Chapter> {
    let lines = |text: String| text.lines().map(str::to_owned).collect();
    let (rules, errors): (Vec<ErrorId>, Vec<ErrorId>) = ErrorId::ALL
        .iter()
        .copied()
        .partition(|id| id.kind() == Kind::Refused);
    vec![
        Chapter {
            title: "Errors",
            lines: errors.into_iter().map(error).collect(),
        },
        Chapter {
            title: "Safety rules",
            lines: rules.into_iter().map(error).collect(),
        },
        Chapter {
            title: "Probable causes",
            lines: Diagnosis::ALL.iter().map(diagnosis).collect(),
        },
        Chapter {
            title: "Checks",
            lines: lines(check::reference()),
        },
        Chapter {
            title: "Drift",
            lines: lines(drift::reference()),
        },
    ]
}

fn error(id: ErrorId) -> String {
    format!("{}: {}\n    next: {}", id.as_str(), id.means(), id.remedy())
}

fn diagnosis(known: &Diagnosis) -> String {
    let signs: Vec<String> = known.signs().collect();
    format!(
        "{}\n    probably: {}\n    next: {}",
        signs.join(" | "),
        known.cause,
        known.next(Some("NODE"), Some("UNIT"))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_texts() {
        for chapter in chapters() {
            assert!(chapter.lines.len() > 5, "{}: {:?}", chapter.title, chapter.lines);
        }
    }
}
