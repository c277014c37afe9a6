//! The file as a whole and the parts of `spec` that are plain settings.

use super::checks::checks;
use super::components::decode_components;
use super::nodes::decode_nodes;
use super::outside;
use super::words::keys;
use super::{Decoder, Fields};
use crate::catalogue;
use crate::spec::cluster::{
    Addon, ArtifactSource, Artifacts, Audit, Cluster, Cni, ControlPlane, ControlPlaneMode, Encryption, Etcd,
    ManifestSource, Network, PodSecurity, Profile, ProxyMode, Rollout, Security, Snapshots, Ssh,
};
use crate::spec::report::{Target, item};
use crate::spec::yaml::{Tree, Value};
use crate::spec::{API_VERSION, KIND};
use crate::value::ClusterName;

/// Decodes a whole file. `None` when the cluster's name is missing, so that there is nothing to hold the rest.
pub(in crate::spec) fn decode_file(d: &mut Decoder<'_>, tree: &Tree) -> Option<Cluster> {
    let top = d.fields(Some(tree), "", keys(""));
    if !matches!(tree.value, Value::Map(_)) {
        return None;
    }
    constant(d, &top, "apiVersion", API_VERSION);
    constant(d, &top, "kind", KIND);
    let metadata = d.required(
        &top,
        "metadata",
        "`metadata` with the cluster's name",
        "add `metadata: { name: prod }`",
    );
    let metadata = d.fields(metadata, "metadata", keys("metadata"));
    let name_example = "add a name, such as `name: prod`";
    let name = if d.report.is_sound("metadata") {
        d.required(&metadata, "name", "the cluster's name", name_example)
    } else {
        None
    };
    let name = name.and_then(|tree| d.value(tree, "metadata.name", name_example));
    let spec = d.required(
        &top,
        "spec",
        "`spec`, the cluster itself,",
        "add `spec:` with at least `nodes`",
    );
    let is_there = spec.is_some();
    let spec = d.fields(spec, "spec", keys("spec"));
    let cluster = Cluster {
        name: name.or_else(|| "cluster".parse::<ClusterName>().ok())?,
        kubernetes: d.value_or(
            &spec,
            "kubernetes",
            "write a version, such as `1.36.3`",
            catalogue::newest(),
        ),
        control_plane: control_plane(d, &spec),
        etcd: etcd(d, &spec),
        network: network(d, &spec),
        security: security(d, &spec),
        artifacts: artifacts(d, &spec),
        proxy: outside::proxy(d, &spec),
        registries: outside::registries(d, &spec),
        dns: outside::dns(d, &spec),
        oidc: outside::oidc(d, &spec),
        ssh: ssh(d, &spec),
        rollout: rollout(d, &spec),
        checks: checks(d, &spec),
        components: decode_components(d, &spec),
        addons: addons(d, &spec),
        nodes: if is_there {
            decode_nodes(d, &spec)
        } else {
            Vec::new()
        },
    };
    Some(cluster)
}

fn constant(d: &mut Decoder<'_>, top: &Fields<'_>, key: &str, only: &str) {
    let example = format!("write `{key}: {only}`");
    let Some(tree) = d.required(top, key, &format!("`{key}`"), &example) else {
        return;
    };
    let Some(text) = d.text(tree, key, &example) else {
        return;
    };
    if text != only {
        let message = format!(
            "`{key}: {}` is not known to this kubewright",
            crate::value::shorten(text)
        );
        d.report
            .error("unknown-word", key, Target::Value, message, example);
    }
}

fn control_plane(d: &mut Decoder<'_>, spec: &Fields<'_>) -> ControlPlane {
    let path = spec.path("controlPlane");
    let fields = d.fields(spec.get("controlPlane"), &path, keys(&path));
    let example = "write a list of names and addresses, such as `[api.example.org, 192.0.2.10]`";
    let extra_sans = d
        .items(&fields, "extraSans", example)
        .iter()
        .enumerate()
        .filter_map(|(index, tree)| d.value(tree, &item(&fields.path("extraSans"), index), example))
        .collect();
    ControlPlane {
        mode: d.word_or(
            &fields,
            "mode",
            ControlPlaneMode::WORDS,
            ControlPlaneMode::from_word,
            ControlPlaneMode::default(),
        ),
        endpoint: fields.get("endpoint").and_then(|tree| {
            d.value(
                tree,
                &fields.path("endpoint"),
                "write `host:port`, such as `api.example.org:6443`, or remove the key",
            )
        }),
        extra_sans,
    }
}

fn etcd(d: &mut Decoder<'_>, spec: &Fields<'_>) -> Etcd {
    let path = spec.path("etcd");
    let fields = d.fields(spec.get("etcd"), &path, keys(&path));
    let path = fields.path("snapshots");
    let fields = d.fields(fields.get("snapshots"), &path, keys(&path));
    let default = Snapshots::default();
    let keep = fields
        .get("keep")
        .and_then(|tree| d.number(tree, &fields.path("keep"), 1, 1000));
    Etcd {
        snapshots: Snapshots {
            every: d.value_or(&fields, "every", "write a duration, such as `6h`", default.every),
            keep: keep.unwrap_or(default.keep),
        },
    }
}

fn rollout(d: &mut Decoder<'_>, spec: &Fields<'_>) -> Rollout {
    let path = spec.path("rollout");
    let fields = d.fields(spec.get("rollout"), &path, keys(&path));
    let default = Rollout::default();
    let canary = fields
        .get("canary")
        .and_then(|tree| d.number(tree, &fields.path("canary"), 0, 1000));
    Rollout {
        canary: canary.unwrap_or(default.canary),
        max_unavailable: d.value_or(
            &fields,
            "maxUnavailable",
            "write a number of nodes, such as `2`, or a percentage, such as `10%`",
            default.max_unavailable,
        ),
    }
}

fn network(d: &mut Decoder<'_>, spec: &Fields<'_>) -> Network {
    let path = spec.path("network");
    let fields = d.fields(spec.get("network"), &path, keys(&path));
    let default = Network::default();
    let range = "write an address range, such as `10.244.0.0/16`";
    Network {
        pod_cidr: d.value_or(&fields, "podCidr", range, default.pod_cidr),
        service_cidr: d.value_or(&fields, "serviceCidr", range, default.service_cidr),
        domain: d.value_or(
            &fields,
            "domain",
            "write a domain, such as `cluster.local`",
            default.domain,
        ),
        cni: d.word_or(&fields, "cni", Cni::WORDS, Cni::from_word, default.cni),
        proxy: d.word_or(
            &fields,
            "proxy",
            ProxyMode::WORDS,
            ProxyMode::from_word,
            default.proxy,
        ),
        // IPv6 needs at least 1280 (RFC 8200), and less than that leaves too little inside VXLAN.
        mtu: fields
            .get("mtu")
            .and_then(|tree| d.number(tree, &fields.path("mtu"), 1280, 9216)),
    }
}

fn security(d: &mut Decoder<'_>, spec: &Fields<'_>) -> Security {
    let path = spec.path("security");
    let fields = d.fields(spec.get("security"), &path, keys(&path));
    let default = Security::default();
    Security {
        encryption: d.word_or(
            &fields,
            "encryption",
            Encryption::WORDS,
            Encryption::from_word,
            default.encryption,
        ),
        audit: d.word_or(&fields, "audit", Audit::WORDS, Audit::from_word, default.audit),
        pod_security: d.word_or(
            &fields,
            "podSecurity",
            PodSecurity::WORDS,
            PodSecurity::from_word,
            default.pod_security,
        ),
        profile: d.word_or(
            &fields,
            "profile",
            Profile::WORDS,
            Profile::from_word,
            default.profile,
        ),
    }
}

fn artifacts(d: &mut Decoder<'_>, spec: &Fields<'_>) -> Artifacts {
    const EXAMPLE: &str =
        "write `source: upstream`, `source: { mirror: URL }` or `source: { directory: PATH }`";
    let path = spec.path("artifacts");
    let fields = d.fields(spec.get("artifacts"), &path, keys(&path));
    let path = fields.path("source");
    let source = match fields.get("source") {
        None => ArtifactSource::default(),
        Some(Tree {
            value: Value::Scalar { text, .. },
            ..
        }) if text == "upstream" => ArtifactSource::Upstream,
        Some(
            tree @ Tree {
                value: Value::Map(_), ..
            },
        ) => {
            let source = d.fields(Some(tree), &path, keys(&path));
            let mut found = Vec::new();
            if let Some(url) = d.optional_text(&source, "mirror", "write the mirror's URL") {
                found.push(ArtifactSource::Mirror(url));
            }
            if let Some(directory) = d.optional_text(&source, "directory", "write the directory's path") {
                found.push(ArtifactSource::Directory(directory));
            }
            if let Some(file) = d.optional_text(&source, "bundle", "write the bundle's path") {
                found.push(ArtifactSource::Bundle(file));
            }
            let is_clear = found.len() == 1;
            if !is_clear && d.report.is_sound(&path) {
                d.report.error(
                    "invalid-value",
                    &path,
                    Target::Key,
                    format!("`{path}` must name exactly one source, not {}", found.len()),
                    EXAMPLE,
                );
            }
            found.pop().unwrap_or_default()
        }
        Some(tree) => {
            let word = match &tree.value {
                Value::Scalar { text, .. } => text.as_str(),
                _ => "",
            };
            match word.split(':').next().map(str::trim) {
                Some(kind) if keys(&path).contains(&kind) => d.report.error(
                    "wrong-type",
                    &path,
                    Target::Value,
                    format!("`{kind}` needs to say which one"),
                    format!("write `source: {{ {kind}: … }}`"),
                ),
                _ => d.wrong_type(tree, &path, "`upstream` or a map with one key", EXAMPLE),
            }
            d.report.mark_broken(&path);
            ArtifactSource::default()
        }
    };
    Artifacts { source }
}

fn ssh(d: &mut Decoder<'_>, spec: &Fields<'_>) -> Ssh {
    let path = spec.path("ssh");
    let fields = d.fields(spec.get("ssh"), &path, keys(&path));
    Ssh {
        user: d.optional_text(&fields, "user", "write a user name, such as `root`"),
        port: fields
            .get("port")
            .and_then(|tree| port(d, tree, &fields.path("port"))),
        identity_file: d.optional_text(
            &fields,
            "identityFile",
            "write a path, such as `~/.ssh/id_ed25519`",
        ),
        known_hosts: d.optional_text(&fields, "knownHosts", "write a path, such as `./known_hosts`"),
        jump: d.optional_text(&fields, "jump", "write `[user@]host[:port]`"),
        sudo: fields
            .get("sudo")
            .and_then(|tree| d.boolean(tree, &fields.path("sudo"))),
    }
}

/// Decodes a port number.
pub(super) fn port(d: &mut Decoder<'_>, tree: &Tree, path: &str) -> Option<u16> {
    d.number(tree, path, 1, 65535)
        .and_then(|number| u16::try_from(number).ok())
}

fn addons(d: &mut Decoder<'_>, spec: &Fields<'_>) -> Vec<Addon> {
    const EXAMPLE: &str =
        "write a list of names, or of `{ name: NAME, manifests: [file, directory or URL] }`";
    let mut addons = Vec::new();
    for (index, tree) in d.items(spec, "addons", EXAMPLE).iter().enumerate() {
        let path = item(&spec.path("addons"), index);
        match &tree.value {
            Value::Scalar { text, .. } if !tree.is_null() => addons.push(Addon::Catalogue(text.clone())),
            Value::Map(_) => {
                let fields = d.fields(Some(tree), &path, keys("spec.addons[]"));
                let name = d.required(&fields, "name", "the add-on's name", "add `name: NAME`");
                let name = name.and_then(|tree| d.value(tree, &fields.path("name"), "write a name"));
                let example = "add `manifests: [file, directory or URL]`";
                d.required(&fields, "manifests", "the list of manifests", example);
                let path = fields.path("manifests");
                let manifests: Vec<ManifestSource> = d
                    .items(&fields, "manifests", example)
                    .iter()
                    .enumerate()
                    .filter_map(|(index, tree)| d.text(tree, &item(&path, index), example))
                    .map(|text| ManifestSource(text.to_owned()))
                    .collect();
                if let Some(name) = name {
                    addons.push(Addon::Manifests { name, manifests });
                }
            }
            _ => d.wrong_type(tree, &path, "a name or a map", EXAMPLE),
        }
    }
    addons
}
