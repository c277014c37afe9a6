//! Additions to components: nothing that kubewright owns, nothing that cannot have an effect.

use super::super::cluster::{
    Cluster, ComponentName, ComponentOverrides, ControlPlaneMode, NODE_POD_PREFIX, ProxyMode,
};
use super::super::report::{Report, Target, child};
use super::owned::{OWNED_ARGUMENTS, OWNED_CONFIG, Owned};
use crate::value::shorten;
use serde_json::{Map, Value};

pub(super) fn check(cluster: &Cluster, report: &mut Report) {
    for (component, overrides) in &cluster.components {
        let path = format!("spec.components.{component}");
        if *component == ComponentName::KubeProxy && cluster.network.proxy == ProxyMode::None {
            let message = "kube-proxy is adjusted but not installed";
            report.error(
                "no-effect",
                &path,
                Target::Key,
                message,
                "remove this, or choose another `spec.network.proxy`",
            );
        }
        check_arguments(*component, overrides, &child(&path, "extraArgs"), report);
        check_config(*component, overrides, &child(&path, "extraConfig"), report);
        if *component == ComponentName::Kubelet {
            check_most_pods(overrides, &child(&path, "extraConfig.maxPods"), report);
        }
        let place = child(&path, "extraVolumes");
        if !overrides.extra_volumes.is_empty() && cluster.control_plane.mode == ControlPlaneMode::Systemd {
            let message = format!(
                "{component} is a systemd unit, which needs no volumes: it sees the node's own files"
            );
            report.error("no-effect", &place, Target::Key, message, "remove `extraVolumes`");
        }
    }
}

fn check_arguments(
    component: ComponentName,
    overrides: &ComponentOverrides,
    path: &str,
    report: &mut Report,
) {
    if component == ComponentName::Containerd && !overrides.extra_args.is_empty() {
        let message = "containerd takes no arguments from the file";
        report.error(
            "no-effect",
            path,
            Target::Key,
            message,
            "write its settings under `extraConfig`",
        );
        return;
    }
    for (argument, value) in &overrides.extra_args {
        let place = child(path, argument);
        let shown = shorten(argument);
        let plain = argument.trim_start_matches('-').replace('_', "-");
        if let Some(owned) = find_owned(component, &plain) {
            let message = format!(
                "{component} argument `{}` belongs to kubewright: {}",
                shorten(&plain),
                owned.why
            );
            report.error("owned-argument", &place, Target::Key, message, owned.hint());
        } else if *argument != plain {
            let what = if argument.starts_with('-') {
                "dashes in front"
            } else {
                "an underscore"
            };
            let message = format!("argument `{shown}` has {what}");
            report.error(
                "invalid-value",
                &place,
                Target::Key,
                message,
                format!("write `{}`", shorten(&plain)),
            );
        } else if plain.is_empty()
            || !plain
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
        {
            let message = format!("`{shown}` is not the name of an argument");
            let hint =
                "write the name without dashes in front and the value after the colon: `event-ttl: 2h`";
            report.error("invalid-value", &place, Target::Key, message, hint);
        }
        if value.contains(char::is_control) {
            let message = format!("the value of argument `{shown}` has a line break or a control character");
            report.error(
                "invalid-value",
                &place,
                Target::Value,
                message,
                "write it on one line",
            );
        }
        check_admission(component, &plain, value, &place, report);
    }
}

fn find_owned(component: ComponentName, argument: &str) -> Option<&'static Owned> {
    let table = OWNED_ARGUMENTS.iter().find(|(name, _)| *name == component)?.1;
    table.iter().find(|owned| match owned.name.strip_suffix('*') {
        Some(start) => argument.starts_with(start),
        None => owned.name == argument,
    })
}

/// A list of admission plug-ins replaces kubewright's, so it must not lose the one that confines kubelets.
fn check_admission(component: ComponentName, argument: &str, value: &str, path: &str, report: &mut Report) {
    const CONFINING: &str = "NodeRestriction";
    if component != ComponentName::KubeApiserver {
        return;
    }
    let has_it = value.split(',').any(|plugin| plugin.trim() == CONFINING);
    let message = match argument {
        "enable-admission-plugins" if !has_it => {
            format!("the list has no `{CONFINING}`, which confines each kubelet to its own node")
        }
        "disable-admission-plugins" if has_it => {
            format!("`{CONFINING}` must stay on: it confines each kubelet to its own node")
        }
        _ => return,
    };
    let hint = if argument.starts_with("enable") {
        "add `NodeRestriction` to the list"
    } else {
        "remove it from the list"
    };
    report.error("owned-argument", path, Target::Value, message, hint);
}

/// A node's range is not only pods': the first address names it, the next is the bridge's, the last is broadcast.
fn check_most_pods(overrides: &ComponentOverrides, path: &str, report: &mut Report) {
    const MOST: u64 = (1 << (32 - NODE_POD_PREFIX)) - 3;
    let asked = overrides.extra_config.get("maxPods").and_then(Value::as_u64);
    if let Some(asked) = asked.filter(|asked| *asked > MOST) {
        let message = format!("a node's /{NODE_POD_PREFIX} has addresses for {MOST} pods, not for {asked}");
        let hint = format!("use at most {MOST}; more pods need more nodes");
        report.error("range-too-small", path, Target::Value, message, hint);
    }
}

fn check_config(component: ComponentName, overrides: &ComponentOverrides, path: &str, report: &mut Report) {
    if overrides.extra_config.is_empty() {
        return;
    }
    if !component.has_config_file() {
        let message = format!("{component} has no configuration file to merge `extraConfig` into");
        report.error("no-effect", path, Target::Key, message, "use `extraArgs`");
        return;
    }
    let Some((_, table)) = OWNED_CONFIG.iter().find(|(name, _)| *name == component) else {
        return;
    };
    for owned in *table {
        let keys: Vec<&str> = owned.name.split('.').collect();
        if let Some(found) = replaced(&overrides.extra_config, &keys) {
            let place = child(path, &found.join("."));
            let message = format!(
                "{component} setting `{}` belongs to kubewright: {}",
                owned.name, owned.why
            );
            report.error("owned-argument", &place, Target::Key, message, owned.hint());
        }
    }
}

/// Returns the keys down to where a setting would be replaced: at the setting, or above it by something not a map.
fn replaced<'k>(map: &Map<String, Value>, keys: &'k [&'k str]) -> Option<&'k [&'k str]> {
    let mut map = map;
    for (depth, key) in keys.iter().enumerate() {
        match map.get(*key)? {
            Value::Object(inner) if depth + 1 < keys.len() => map = inner,
            _ => return Some(&keys[..=depth]),
        }
    }
    None
}
