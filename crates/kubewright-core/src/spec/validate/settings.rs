//! Versions on offer, and settings that are understood but not built yet.

use super::super::cluster::{
    Addon, ArtifactSource, Cluster, Cni, ControlPlaneMode, ManifestSource, Profile, Snapshots,
};
use super::super::report::{Report, Target, item};
use crate::catalogue;
use crate::value::{Version, shorten};
use std::collections::BTreeSet;

pub(super) fn check(cluster: &Cluster, report: &mut Report) {
    version(cluster.kubernetes, report);
    not_yet(cluster, report);
    snapshots(cluster, report);
    artifacts(cluster, report);
    addons(cluster, report);
    ssh(cluster, report);
}

fn version(version: Version, report: &mut Report) {
    const PATH: &str = "spec.kubernetes";
    if catalogue::release(&version).is_some() || !report.is_sound(PATH) {
        return;
    }
    let versions = catalogue::versions();
    let newest_of = |minor: &str| {
        versions
            .iter()
            .find(|v| format!("{}.{}", v.major, v.minor) == minor)
            .map(ToString::to_string)
    };
    let this_minor = format!("{}.{}", version.major, version.minor);
    let hint = if let Some(patch) = newest_of(&this_minor) {
        let newest = catalogue::newest();
        format!("the newest patch of {this_minor} here is {patch}, the newest version of all {newest}")
    } else {
        let minors: Vec<String> = catalogue::supported_minors()
            .iter()
            .filter_map(|minor| Some(format!("{minor} (newest {})", newest_of(minor)?)))
            .collect();
        format!("the supported minors are {}", minors.join(", "))
    };
    let message = format!("Kubernetes {version} is not in this kubewright's catalogue");
    report.error("unknown-version", PATH, Target::Value, message, hint);
}

fn not_yet(cluster: &Cluster, report: &mut Report) {
    let mut refuse = |path: &str, what: &str, instead: &str| {
        report.error(
            "not-yet",
            path,
            Target::Value,
            format!("{what} is not yet supported"),
            instead,
        );
    };
    let mode = cluster.control_plane.mode;
    if mode != ControlPlaneMode::Systemd {
        refuse(
            "spec.controlPlane.mode",
            &format!("control-plane mode `{mode}`"),
            "use `mode: systemd`, the default",
        );
    }
    let cni = cluster.network.cni;
    if matches!(cni, Cni::Calico | Cni::Cilium) {
        let instead = "use `flannel` or `bridge`, or `none` and install it yourself through `addons`";
        refuse("spec.network.cni", &format!("network plug-in `{cni}`"), instead);
    }
    if cluster.security.profile == Profile::Cis {
        refuse(
            "spec.security.profile",
            "security profile `cis`",
            "use `profile: default`",
        );
    }
    if let ArtifactSource::Bundle(_) = cluster.artifacts.source {
        let instead = "use `source: { directory: PATH }` with the files a bundle would have";
        refuse(
            "spec.artifacts.source.bundle",
            "artifact source `bundle`",
            instead,
        );
    }
}

fn snapshots(cluster: &Cluster, report: &mut Report) {
    const PATH: &str = "spec.etcd.snapshots";
    if !report.is_written(PATH) || !report.is_sound(PATH) {
        return;
    }
    let hint = "remove the key; until then nothing takes snapshots by itself";
    if cluster.etcd.snapshots == Snapshots::default() {
        report.warning(
            "not-yet",
            PATH,
            Target::Key,
            "periodic etcd snapshots are not yet taken",
            hint,
        );
    } else {
        report.error(
            "not-yet",
            PATH,
            Target::Key,
            "periodic etcd snapshots are not yet supported",
            hint,
        );
    }
}

fn artifacts(cluster: &Cluster, report: &mut Report) {
    const PATH: &str = "spec.artifacts.source.mirror";
    let ArtifactSource::Mirror(url) = &cluster.artifacts.source else {
        return;
    };
    match mirror_problem(url) {
        Some(problem) => report.error(
            "invalid-value",
            PATH,
            Target::Value,
            format!("mirror `{}` {problem}", shorten(url)),
            "write a URL, such as `https://mirror.example.org/kubernetes`",
        ),
        None if url.starts_with("http://") && !is_loopback(url) => report.warning(
            "plain-http",
            PATH,
            Target::Value,
            "the mirror is read without TLS",
            "downloads without a pinned digest are refused without TLS; use https",
        ),
        None => {}
    }
}

pub(super) fn is_loopback(url: &str) -> bool {
    let host = url.strip_prefix("http://").unwrap_or(url);
    ["127.", "localhost", "[::1]"]
        .iter()
        .any(|start| host.starts_with(start))
}

/// Returns why a text is no URL of a server, in words that follow the text.
pub(super) fn url_problem(url: &str) -> Option<&'static str> {
    let Some(rest) = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
    else {
        return Some("does not begin with `https://`");
    };
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() {
        return Some("has no host");
    }
    if host.contains('@') {
        return Some("has a user name or password in it, which would end up in logs");
    }
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Some("has a space in it");
    }
    url.contains(['"', '\'', '\\', '<', '>', '`'])
        .then_some("has a character in it that no URL has")
}

/// What is wrong with the URL of a mirror, to which paths are added.
fn mirror_problem(url: &str) -> Option<&'static str> {
    let has_query = url.contains(['?', '#']);
    url_problem(url).or(has_query.then_some("has a query or fragment; only a directory can be a mirror"))
}

/// The add-ons that every cluster has.
const BUILT_IN: [&str; 2] = ["coredns", "metrics-server"];

fn addons(cluster: &Cluster, report: &mut Report) {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for (index, addon) in cluster.addons.iter().enumerate() {
        let path = item("spec.addons", index);
        let name = match addon {
            Addon::Catalogue(name) if BUILT_IN.contains(&name.as_str()) => {
                let message = format!("add-on `{name}` is in every cluster; the entry has no effect");
                report.warning("no-effect", &path, Target::Value, message, "remove it");
                name.as_str()
            }
            Addon::Catalogue(name) => {
                let message = format!("add-on `{}` is not yet in the catalogue", shorten(name));
                let hint = "install it from its manifests: `{ name: NAME, manifests: [file or directory] }`";
                report.error("not-yet", &path, Target::Value, message, hint);
                name.as_str()
            }
            Addon::Manifests { name, manifests } => {
                check_manifests(&path, name.as_str(), manifests, report);
                name.as_str()
            }
        };
        if !names.insert(name) {
            let message = format!("add-on `{}` is listed twice", shorten(name));
            report.error(
                "duplicate-name",
                &path,
                Target::Value,
                message,
                "keep one of them, or rename one",
            );
        }
    }
}

fn check_manifests(path: &str, name: &str, manifests: &[ManifestSource], report: &mut Report) {
    let list = format!("{path}.manifests");
    if manifests.is_empty() && report.is_sound(&list) && report.is_written(&list) {
        let message = format!("add-on `{name}` has no manifests");
        report.error(
            "empty-value",
            &list,
            Target::Key,
            message,
            "list at least one file or directory",
        );
    }
    for (index, manifest) in manifests.iter().enumerate() {
        let place = item(&list, index);
        let problem = match manifest.url() {
            Some(url) if !url.starts_with("https://") && !is_loopback(url) => {
                Some("is read without TLS, so an attacker could change what runs in your cluster")
            }
            Some(url) => url_problem(url),
            None if manifest.0.trim().is_empty() => Some("is empty"),
            None if manifest.0.contains("://") => Some("is neither a path nor an https URL"),
            None => None,
        };
        if let Some(problem) = problem {
            let message = format!("manifest `{}` {problem}", shorten(&manifest.0));
            report.error(
                "invalid-value",
                &place,
                Target::Value,
                message,
                "write a path; download the file beside cluster.yaml",
            );
        }
    }
}

fn ssh(cluster: &Cluster, report: &mut Report) {
    let ssh = &cluster.ssh;
    let words = [("user", &ssh.user), ("jump", &ssh.jump)];
    for (key, word) in words
        .into_iter()
        .filter_map(|(key, word)| Some((key, word.as_ref()?)))
    {
        check_ssh_word(&format!("spec.ssh.{key}"), key, word, report);
    }
    let paths = [
        ("identityFile", &ssh.identity_file),
        ("knownHosts", &ssh.known_hosts),
    ];
    for (key, path) in paths
        .into_iter()
        .filter_map(|(key, path)| Some((key, path.as_ref()?)))
    {
        if path.starts_with('-') || path.contains(char::is_control) {
            let message = format!("`{key}` is not a path: `{}`", shorten(path));
            report.error(
                "invalid-value",
                &format!("spec.ssh.{key}"),
                Target::Value,
                message,
                "write a path",
            );
        }
    }
    if ssh.identity_file.as_deref().is_some_and(|path| {
        std::path::Path::new(path)
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("pub"))
    }) {
        let hint = "name the private key, without `.pub`";
        let message = "`identityFile` names a public key";
        report.error(
            "invalid-value",
            "spec.ssh.identityFile",
            Target::Value,
            message,
            hint,
        );
    }
}

/// Checks a word that becomes an argument of `ssh`: it must not look like an option or hold several words.
pub(super) fn check_ssh_word(path: &str, key: &str, word: &str, report: &mut Report) {
    let is_odd = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '`' | '$' | ';' | '|' | '&')
    };
    if word.starts_with('-') || word.contains(is_odd) {
        let message = format!(
            "`{key}` is not a {} for ssh: `{}`",
            if key == "jump" { "host" } else { "user name" },
            shorten(word)
        );
        let hint = if key == "jump" {
            "write `[user@]host[:port]`"
        } else {
            "write a user name, such as `root`"
        };
        report.error("invalid-value", path, Target::Value, message, hint);
    }
}
