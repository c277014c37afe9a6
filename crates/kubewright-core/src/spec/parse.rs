//! From the text of a cluster.yaml to a checked cluster, or to everything that is wrong with it.

use super::finding::{Finding, Parsed, Place, Severity, SpecErrors};
use super::report::{Report, sort_and_quote};
use super::{API_VERSION, decode, validate, yaml};

/// Reads a cluster.yaml. `file_name` is only used to say where things are.
///
/// # Errors
/// Returns everything that was found, errors and warnings, if there is at least one error. A text that is not YAML
/// is one error, because nothing after it can be relied on.
pub fn parse(text: &str, file_name: &str) -> Result<Parsed, SpecErrors> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let failed = |findings| {
        Err(SpecErrors {
            file_name: file_name.to_owned(),
            findings,
        })
    };
    let tree = match yaml::read(text) {
        Ok(Some(tree)) => tree,
        Ok(None) => return failed(vec![empty_file()]),
        Err(error) => {
            let finding = Finding {
                severity: Severity::Error,
                rule: "invalid-yaml",
                path: String::new(),
                place: error.span.map(|s| Place {
                    line: s.line,
                    column: s.column,
                    length: s.length,
                }),
                message: error.problem,
                hint: error.hint,
                snippet: None,
            };
            return failed(sort_and_quote(vec![finding], text));
        }
    };
    let mut report = Report::new(&tree);
    let cluster = decode::decode(&tree, &mut report);
    if let Some(cluster) = &cluster {
        validate::validate(cluster, &mut report);
    }
    let has_errors = report.has_errors();
    let findings = report.finish(text);
    match cluster {
        Some(spec) if !has_errors => Ok(Parsed {
            spec,
            warnings: findings,
        }),
        _ => failed(findings),
    }
}

fn empty_file() -> Finding {
    Finding {
        severity: Severity::Error,
        rule: "empty-file",
        path: String::new(),
        place: None,
        message: "there is nothing in it".to_owned(),
        hint: format!(
            "a cluster file begins with `apiVersion: {API_VERSION}`; `kubewright init` writes one from addresses"
        ),
        snippet: None,
    }
}
