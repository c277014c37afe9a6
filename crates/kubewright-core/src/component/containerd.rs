//! containerd with runc, the images every node needs, and crictl to look inside.
//!
//! The pause image is pinned, so that cleaning up images never takes what no registry may give back. The network's
//! configuration is read from tmpfs when kubewright's own network writes it: one that outlived a reboot would let
//! pods start before their network is there, and wait fifteen seconds for the second try.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use super::description::everywhere;
use super::view::{BINARY_DIRECTORY, View, directory, public_file};
use super::{
    Component, Description, Process, Program, Readiness, Rival, Traces, UnitTrace, merge, network, to_toml,
    to_yaml,
};
use crate::catalogue::PROBE_IMAGE;
use crate::context::RenderError;
use crate::resource::{Access, Image, Resource, Stage};
use crate::spec::{ComponentName, Registry};

/// Where the kubelet and crictl reach containerd.
pub const SOCKET: &str = "unix:///run/containerd/containerd.sock";

const CONFIG_PATH: &str = "/etc/containerd/config.toml";
const REGISTRY_DIRECTORY: &str = "/etc/containerd/certs.d";

/// The component's name.
pub const NAME: &str = "containerd";

/// The container runtime, on every node.
pub const DESCRIPTION: Description = Description {
    title: "containerd, the container runtime",
    program: Program::Catalogue(NAME),
    binaries: &[NAME, "containerd-shim-runc-v2", "ctr", "runc", "crictl"],
    traces: Traces {
        directories: &["/var/lib/containerd", "/run/containerd"],
        ..Traces::NONE
    },
    rival: Some(Rival {
        unit: Some(UnitTrace::Running),
        ..Rival::new("another containerd", "and remove its package")
    }),
    on_restart: |_| Some("pods keep running, for a moment none can be started".to_owned()),
    ..Description::new(NAME, Stage::Runtime, everywhere)
};

/// The container runtime of a node.
///
/// # Errors
/// [`RenderError::Configuration`] when `extraConfig` has what TOML cannot hold.
pub fn component(view: &View) -> Result<Component, RenderError> {
    let mut component = Component::new(&DESCRIPTION);
    let config = configuration(view).map_err(|problem| RenderError::Configuration {
        node: view.name().to_owned(),
        component: ComponentName::Containerd,
        problem,
    })?;
    component.reads.push(Resource::Binary(view.binary(NAME)));
    component
        .reads
        .push(directory("/etc/containerd", Access::root(0o755)));
    component
        .reads
        .push(directory(REGISTRY_DIRECTORY, Access::root(0o755)));
    component.reads.push(public_file(CONFIG_PATH, config));
    for name in DESCRIPTION.other_binaries() {
        component.rereads.push(Resource::Binary(view.binary(name)));
    }
    component.rereads.extend(registries(view));
    let crictl = json!({"runtime-endpoint": SOCKET, "image-endpoint": SOCKET, "timeout": 10});
    component
        .rereads
        .push(public_file("/etc/crictl.yaml", to_yaml(&crictl)));

    let mut process = Process::new(&DESCRIPTION);
    process.arguments.set("config", CONFIG_PATH);
    process.environment = environment(view);
    process.leaves_the_cluster = true;
    process.systemd.readiness = Readiness::Notify { timeout_seconds: 120 };
    process.limits.oom_score_adjust = Some(-999);
    process.limits.parent_of_containers = true;
    component.process = Some(process);
    Ok(component)
}

/// Images the cluster's own pods need on this node.
pub fn images(view: &View) -> Vec<Resource> {
    let mut names = vec!["pause"];
    if view.runs_system_pods() {
        names.extend(["coredns", "metrics-server"]);
    }
    // A directory of artifacts may bring the smoke test's own image: nothing is pulled then.
    let probe = view
        .context
        .artifacts
        .image(PROBE_IMAGE, view.machine.platform)
        .map(|archive| Image {
            reference: PROBE_IMAGE.to_owned(),
            manifest: Some(archive.manifest),
            blob: Some(archive.blob),
        });
    names
        .into_iter()
        .filter_map(|name| view.image(name))
        .chain(probe)
        .map(Resource::Image)
        .collect()
}

/// The proxy that images are pulled through.
fn environment(view: &View) -> BTreeMap<String, String> {
    let proxy = &view.cluster.proxy;
    if proxy.is_none() {
        return BTreeMap::new();
    }
    let no_proxy = Some(view.cluster.no_proxy().join(","));
    [
        ("HTTP_PROXY", proxy.http.clone()),
        ("HTTPS_PROXY", proxy.https.clone()),
        ("NO_PROXY", no_proxy),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

/// What containerd reads at each pull: mirrors and authorities of registries.
fn registries(view: &View) -> Vec<Resource> {
    let mut resources = Vec::new();
    for (name, registry) in &view.cluster.registries {
        let path = format!("{REGISTRY_DIRECTORY}/{name}");
        resources.push(directory(&path, Access::root(0o755)));
        let authority = format!("{path}/ca.crt");
        if let Some(ca) = &registry.ca {
            resources.push(public_file(&authority, format!("{}\n", ca.trim_end())));
        }
        let hosts = registry_hosts(registry, &authority);
        resources.push(public_file(&format!("{path}/hosts.toml"), hosts));
    }
    resources
}

/// Written by hand: the order of mirrors has a meaning, which tables of TOML by name do not keep.
fn registry_hosts(registry: &Registry, authority: &str) -> String {
    let ca = match registry.ca {
        Some(_) => format!("ca = \"{authority}\"\n"),
        None => String::new(),
    };
    let unchecked = if registry.skip_verify {
        "skip_verify = true\n"
    } else {
        ""
    };
    let mut text = ca.clone();
    if registry.mirrors.is_empty() {
        text.push_str(unchecked);
    }
    for mirror in &registry.mirrors {
        let mirror = mirror.trim_end_matches('/');
        // A mirror below a path (a project of a proxying registry) is asked there, and nowhere below `/v2` of its own.
        let has_path = mirror
            .split_once("://")
            .is_some_and(|(_, rest)| rest.contains('/'));
        let path = if has_path { "override_path = true\n" } else { "" };
        let _ = write!(
            text,
            "\n[host.\"{mirror}\"]\ncapabilities = [\"pull\", \"resolve\"]\n{path}{ca}{unchecked}"
        );
    }
    text
}

fn configuration(view: &View) -> Result<String, String> {
    let pause = view
        .context
        .release
        .image("pause")
        .map_or(String::new(), |image| image.reference);
    let mut value = json!({
        "version": 3,
        "plugins": {
            "io.containerd.cri.v1.images": {
                "pinned_images": {"sandbox": pause},
                "registry": {"config_path": REGISTRY_DIRECTORY},
            },
            "io.containerd.cri.v1.runtime": {
                "cni": {
                    "bin_dirs": [network::PLUGIN_DIRECTORY],
                    "conf_dir": network::configuration_directory(view),
                },
                "containerd": {"runtimes": {"runc": {
                    "runtime_type": "io.containerd.runc.v2",
                    "options": {
                        "BinaryName": format!("{BINARY_DIRECTORY}/runc"),
                        "SystemdCgroup": true,
                    },
                }}},
            },
        },
    });
    if let Some(overrides) = view.overrides(ComponentName::Containerd) {
        merge(&mut value, &overrides.extra_config);
    }
    to_toml(&value)
}
