//! The product's contract in tests: what a file may say, and what each mistake is answered with.

mod mistakes;
mod whole;

use super::{Parsed, parse};
use std::fmt::Write as _;

/// A file that is right, for tests that change one thing in it.
const GOOD: &str = "\
apiVersion: kubewright/v1alpha1
kind: Cluster
metadata:
  name: prod
spec:
  kubernetes: 1.36.3
  network:
    podCidr: 10.244.0.0/16
    serviceCidr: 10.96.0.0/16
  nodes:
    - { name: cp-1, address: 192.0.2.11, roles: [control-plane] }
    - { name: cp-2, address: 192.0.2.12, roles: [control-plane] }
    - { name: cp-3, address: 192.0.2.13, roles: [control-plane] }
    - { name: w-1, address: 192.0.2.21, roles: [worker] }
";

/// Changes one thing in the good file; the test fails if it is not there to change.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

/// Adds lines under `spec`.
fn adding(lines: &str) -> String {
    with("  network:\n", &format!("{lines}\n  network:\n"))
}

fn good(text: &str) -> Parsed {
    parse(text, "cluster.yaml").unwrap_or_else(|errors| panic!("{errors}"))
}

/// Returns everything said about a file, as a user sees it.
fn said(text: &str) -> String {
    match parse(text, "cluster.yaml") {
        Ok(parsed) => {
            let mut all = String::new();
            for finding in parsed.warnings {
                let _ = writeln!(all, "{}", finding.render("cluster.yaml"));
            }
            all + "no errors"
        }
        Err(errors) => errors.to_string(),
    }
}
