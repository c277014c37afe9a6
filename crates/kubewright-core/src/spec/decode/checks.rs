//! Findings that a person has accepted.

use std::collections::BTreeMap;

use super::words::{keys, nearest};
use super::{Decoder, Fields};
use crate::check_kind::Kind;
use crate::spec::cluster::{Acceptance, Checks};
use crate::spec::report::{Target, item};
use crate::value::shorten;

const ENTRY: &str = "write `{ id: cgroup-controllers, reason: why that is right here }`";

pub(super) fn checks(d: &mut Decoder<'_>, spec: &Fields<'_>) -> Checks {
    let path = spec.path("checks");
    let fields = d.fields(spec.get("checks"), &path, keys(&path));
    let place = fields.path("accept");
    let example = format!("write a list; of each entry {ENTRY}");
    let mut accept = Vec::new();
    let mut first: BTreeMap<Kind, usize> = BTreeMap::new();
    for (index, tree) in d.items(&fields, "accept", &example).iter().enumerate() {
        let path = item(&place, index);
        let fields = d.fields(Some(tree), &path, keys("spec.checks.accept[]"));
        let id = d.required(&fields, "id", "the finding's id", ENTRY);
        let id = id.and_then(|tree| d.text(tree, &fields.path("id"), ENTRY));
        let id = id.and_then(|word| kind(d, word, &fields.path("id")));
        d.required(&fields, "reason", "the reason", ENTRY);
        let reason = d.optional_text(&fields, "reason", ENTRY);
        let (Some(id), Some(reason)) = (id, reason) else {
            continue;
        };
        if let Some(before) = first.insert(id, index) {
            let message = format!("`{}` is accepted twice", id.id());
            let hint = format!("keep one of `{}` and `{path}`", item(&place, before));
            let place = fields.path("id");
            d.report
                .error("duplicate-name", &place, Target::Value, message, hint);
            continue;
        }
        accept.push(Acceptance { id, reason });
    }
    Checks { accept }
}

/// The kind of finding of this id, if it may be accepted.
fn kind(d: &mut Decoder<'_>, word: &str, path: &str) -> Option<Kind> {
    let found = Kind::ALL.iter().copied().find(|kind| kind.id() == word);
    let (rule, message, hint) = if let Some(kind) = found {
        let Some(why) = kind.never_accepted() else {
            return Some(kind);
        };
        (
            "never-accepted",
            format!("`{word}` cannot be accepted: {why}"),
            format!("remove the entry; docs/reference/checks.md says how `{word}` is fixed"),
        )
    } else {
        let ids: Vec<&str> = Kind::ALL.iter().map(|kind| kind.id()).collect();
        let hint = match nearest(word, &ids) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "kubewright check shows the id of each finding in brackets; docs/reference/checks.md has all"
                    .to_owned()
            }
        };
        (
            "unknown-word",
            format!("`{}` is no finding of a check", shorten(word)),
            hint,
        )
    };
    d.report.error(rule, path, Target::Value, message, hint);
    d.report.mark_broken(path);
    None
}
