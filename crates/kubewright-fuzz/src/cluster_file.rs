//! cluster.yaml: read, judged, and planned for blank machines.

use std::collections::BTreeMap;

use kubewright_core::check::{Measured, findings};
use kubewright_core::observed::Observed;
use kubewright_core::plan::{Plan, plan_apply, text};
use kubewright_core::resource::Resource;
use kubewright_core::spec::{Cluster, parse};
use kubewright_core::{catalogue, offline};

use crate::shown::assert_harmless;

/// Bytes of text one finding may be.
const FINDING_BYTES: usize = 8 << 10;
/// Bytes of plan a file of the fuzzer's size may become.
const PLAN_BYTES: usize = 4 << 20;

pub(crate) fn run(input: &[u8]) {
    // A file that is not UTF-8 is refused before it is parsed.
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match parse(text, "cluster.yaml") {
        Err(errors) => {
            assert!(errors.error_count() > 0, "refused without an error");
            for finding in &errors.findings {
                assert_harmless(&finding.render("cluster.yaml"), FINDING_BYTES);
            }
        }
        Ok(parsed) => {
            for warning in &parsed.warnings {
                assert_harmless(&warning.render("cluster.yaml"), FINDING_BYTES);
            }
            plan(&parsed.spec);
        }
    }
}

fn plan(cluster: &Cluster) {
    let _ = findings(cluster, &Observed::default(), &Measured::default());
    let release =
        catalogue::release(&cluster.kubernetes).expect("a version that was accepted is in the catalogue");
    let Ok(blank) = offline::blank(cluster, &release, Vec::new()) else {
        return;
    };
    for state in blank.desired.states.values() {
        for staged in &state.resources {
            assert_path(&staged.resource);
        }
    }
    let states = &blank.desired.states;
    let Ok(plan) = plan_apply(cluster, states, &blank.desired.object_names(), &blank.observed) else {
        return;
    };
    assert_harmless(&text::render(&plan, states, &BTreeMap::new()), PLAN_BYTES);
    let json = serde_json::to_string(&plan).expect("a plan is JSON");
    assert_eq!(serde_json::from_str::<Plan>(&json).expect("and back"), plan);
}

/// What a file of ours says never decides where on a node something is written.
fn assert_path(resource: &Resource) {
    let path = match resource {
        Resource::Directory(directory) => &directory.path,
        Resource::File(file) => &file.path,
        Resource::Symlink(link) => &link.path,
        Resource::Binary(binary) => &binary.path,
        _ => return,
    };
    let is_plain = path.starts_with('/') && !path.split('/').any(|part| part == "..");
    assert!(is_plain, "{path:?} leads elsewhere");
}
