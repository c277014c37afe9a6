//! What a user adds to components, and free values as JSON.

use super::words::{self, keys};
use super::{Decoder, Fields};
use crate::spec::cluster::{ComponentName, ComponentOverrides, ExtraVolume};
use crate::spec::report::{Target, child, item};
use crate::spec::yaml::{Tree, Value};
use crate::value::shorten;
use serde_json::{Map, Number, Value as Json};
use std::collections::BTreeMap;

/// Programs of the cluster that cannot be adjusted: name, what to do.
const OTHER_PROGRAMS: &[(&str, &str)] = &[
    ("coredns", "remove it"),
    ("flannel", "remove it"),
    ("flanneld", "remove it"),
    ("metrics-server", "remove it"),
    (
        "runc",
        "adjust it through containerd: `containerd: { extraConfig: … }`",
    ),
];

/// Decodes `spec.components`.
pub(super) fn decode_components(
    d: &mut Decoder<'_>,
    spec: &Fields<'_>,
) -> BTreeMap<ComponentName, ComponentOverrides> {
    let path = spec.path("components");
    let mut components = BTreeMap::new();
    let Some(tree) = spec.get("components") else {
        return components;
    };
    let example = "write a map by component, such as `kube-apiserver: { extraArgs: { event-ttl: 2h } }`";
    for (key, value) in d.free_entries(tree, &path, example) {
        let place = child(&path, key);
        if let Some(component) = ComponentName::from_word(key) {
            components.insert(component, overrides(d, value, &place));
            continue;
        }
        if let Some((_, hint)) = OTHER_PROGRAMS.iter().find(|(program, _)| *program == key) {
            let message = format!("adjusting {key} is not yet supported");
            d.report.error("not-yet", &place, Target::Key, message, *hint);
            continue;
        }
        let without_prefix = || {
            ComponentName::WORDS
                .iter()
                .find(|word| word.strip_prefix("kube-") == Some(key))
        };
        let hint = match words::nearest(key, ComponentName::WORDS).or_else(|| without_prefix().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the components are {}", words::list(ComponentName::WORDS)),
        };
        let message = format!("unknown component `{}` in `{path}`", shorten(key));
        d.report.error("unknown-key", &place, Target::Key, message, hint);
    }
    components
}

fn overrides(d: &mut Decoder<'_>, tree: &Tree, path: &str) -> ComponentOverrides {
    let fields = d.fields(Some(tree), path, keys("spec.components.*"));
    let mut extra_args = BTreeMap::new();
    if let Some(tree) = fields.get("extraArgs") {
        let path = fields.path("extraArgs");
        for (key, value) in d.free_entries(tree, &path, "write a map, such as `{ event-ttl: 2h }`") {
            let place = child(&path, key);
            if matches!(value.value, Value::List(_)) {
                let message = format!(
                    "`{}` has a list of values, which is not yet supported",
                    shorten(key)
                );
                d.report.error(
                    "wrong-type",
                    &place,
                    Target::Value,
                    message,
                    "join them with commas: `a,b`",
                );
            } else if let Some(text) = d.text(value, &place, "write a value, or `true` for a switch") {
                extra_args.insert(key.to_owned(), text.to_owned());
            }
        }
    }
    let extra_config = match fields.get("extraConfig") {
        Some(tree) if !tree.is_null() => {
            let path = fields.path("extraConfig");
            match json(d, tree, &path) {
                Some(Json::Object(map)) => map,
                Some(_) => {
                    d.wrong_type(
                        tree,
                        &path,
                        "a map",
                        "write it as the component's own configuration file has it",
                    );
                    Map::new()
                }
                None => Map::new(),
            }
        }
        _ => Map::new(),
    };
    let extra_volumes = d
        .items(
            &fields,
            "extraVolumes",
            "write a list of `{ name, hostPath, mountPath, readOnly }`",
        )
        .iter()
        .enumerate()
        .filter_map(|(index, tree)| volume(d, tree, &item(&fields.path("extraVolumes"), index)))
        .collect();
    ComponentOverrides {
        extra_args,
        extra_config,
        extra_volumes,
    }
}

fn volume(d: &mut Decoder<'_>, tree: &Tree, path: &str) -> Option<ExtraVolume> {
    let fields = d.fields(Some(tree), path, keys("spec.components.*.extraVolumes[]"));
    let mut text = |key: &str, what: &str| {
        d.required(
            &fields,
            key,
            what,
            "write `{ name, hostPath, mountPath, readOnly }`",
        )
        .and_then(|tree| d.text(tree, &fields.path(key), "write text"))
        .map(str::to_owned)
    };
    let name = text("name", "the volume's name");
    let host_path = text("hostPath", "the path on the node");
    let mount_path = text("mountPath", "the path in the pod");
    let read_only = fields
        .get("readOnly")
        .and_then(|tree| d.boolean(tree, &fields.path("readOnly")));
    Some(ExtraVolume {
        name: name?,
        host_path: host_path?,
        mount_path: mount_path?,
        read_only: read_only == Some(true),
    })
}

/// Reads a free value by YAML's core rules. Words that older YAML takes for booleans are refused, because the
/// component may be one of those readers.
fn json(d: &mut Decoder<'_>, tree: &Tree, path: &str) -> Option<Json> {
    match &tree.value {
        Value::List(items) => {
            let items: Vec<Json> = items
                .iter()
                .enumerate()
                .filter_map(|(index, tree)| json(d, tree, &item(path, index)))
                .collect();
            Some(Json::Array(items))
        }
        Value::Map(_) => {
            let mut map = Map::new();
            for (key, value) in d.free_entries(tree, path, "") {
                if let Some(value) = json(d, value, &child(path, key)) {
                    map.insert(key.to_owned(), value);
                }
            }
            Some(Json::Object(map))
        }
        Value::Scalar {
            text,
            is_plain: false,
        } => Some(Json::String(text.clone())),
        Value::Scalar { .. } if tree.is_null() => Some(Json::Null),
        Value::Scalar { text, is_plain: true } => plain(d, text, path),
    }
}

fn plain(d: &mut Decoder<'_>, text: &str, path: &str) -> Option<Json> {
    match text {
        "true" | "True" | "TRUE" => return Some(Json::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Json::Bool(false)),
        _ => {}
    }
    if ["yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(text))
    {
        let message = format!("`{text}` is text to some YAML readers and a boolean to others");
        d.report.error(
            "invalid-value",
            path,
            Target::Value,
            message,
            "write `true` or `false`, or put it in quotes",
        );
        return None;
    }
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
        && text.ends_with(|c: char| c.is_ascii_digit() || c == '.');
    if is_number {
        let digits = text.strip_prefix('+').unwrap_or(text);
        if let Ok(number) = digits.parse::<i64>() {
            return Some(Json::from(number));
        }
        if let Ok(number) = digits.parse::<u64>() {
            return Some(Json::from(number));
        }
        if let Some(number) = digits.parse::<f64>().ok().and_then(Number::from_f64) {
            return Some(Json::Number(number));
        }
    }
    Some(Json::String(text.to_owned()))
}
