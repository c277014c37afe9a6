//! What kubewright put on machines and into the cluster, taken down so that a bare script can put it there again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::scenario::Stage;
use crate::tool;

/// Kinds of objects kubewright may have made.
const KINDS: &str = "clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,configmaps,services,deployments,\
                     apiservices,poddisruptionbudgets,priorityclasses";

/// Programs that a control plane needs before anything else can start.
const FIRST: &[&str] = &[
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
];

/// Takes down all nodes' trees, the images and the objects, into a directory.
///
/// Per node: `NODE.first.tar.zst` with all small files and the control plane's programs, `NODE.rest.tar.zst` with the
/// other programs, `NODE.images`, the images to import, `NODE.before`, a script to be run first; for all: `objects.json` and a
/// `kubeconfig` to apply them with.
pub(super) fn take(stage: &Stage, components: &Path, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    let addresses = stage.addresses()?;
    let members: Vec<String> = addresses
        .iter()
        .filter(|(name, _)| name.starts_with("cp-"))
        .map(|(name, address)| format!("{name}=https://{address}:2380"))
        .collect();
    let images = images(components, directory)?;
    Stage::on_each(&stage.machines()?, |machine| {
        let ledger = stage.script(machine, "cat /var/lib/kubewright/state.json")?;
        let ledger: Value = serde_json::from_str(&ledger).context("read the ledger")?;
        let owned = ledger["owned"].as_object().context("the ledger owns nothing")?;
        let (mut first, mut rest, mut users, mut imports) = (vec![], vec![], vec![], vec![]);
        for (id, value) in owned {
            let (kind, what) = id.split_once(':').unwrap_or((id, ""));
            match kind {
                "user" => users.push(what.to_owned()),
                "image" => imports.push(
                    images
                        .get(what)
                        .with_context(|| format!("no file has image {what}"))?
                        .clone(),
                ),
                "unit" => first.push(format!("etc/systemd/system/{what}")),
                "binary" if !FIRST.iter().any(|name| what.ends_with(&format!("/{name}"))) => {
                    rest.push(what[1..].to_owned());
                }
                "directory" | "file" | "symlink" | "secret" | "certificate" | "binary" => {
                    first.push(what[1..].to_owned());
                }
                _ => {}
            }
            let also = value["also"].as_array().map(Vec::as_slice).unwrap_or_default();
            first.extend(
                also.iter()
                    .filter_map(|path| Some(path.as_str()?[1..].to_owned())),
            );
        }
        // What is on tmpfs is made by the units, but for what began etcd: that is gone by now.
        first.retain(|path| !path.starts_with("run/"));
        for (name, paths) in [("first", &first), ("rest", &rest)] {
            pack(
                stage,
                machine,
                paths,
                &directory.join(format!("{machine}.{name}.tar.zst")),
            )?;
        }
        let mut before = String::from("set -eu\n");
        for user in &users {
            let entry = stage.script(machine, &format!("getent passwd {user}"))?;
            let home = entry.split(':').nth(5).context("an account has no home")?;
            let _ = writeln!(
                before,
                "useradd --system --no-create-home --home-dir {home} --shell /usr/sbin/nologin {user}\n\
                 install --directory --mode=700 --owner={user} --group={user} {home}"
            );
        }
        if machine.starts_with("cp-") {
            let _ = writeln!(
                before,
                "printf '%s\\n' ETCD_INITIAL_CLUSTER_STATE=new ETCD_INITIAL_CLUSTER={} \
                 ETCD_INITIAL_CLUSTER_TOKEN=floor >/run/kubewright-etcd-begin.env",
                members.join(",")
            );
        }
        fs::write(directory.join(format!("{machine}.before")), before)?;
        fs::write(
            directory.join(format!("{machine}.images")),
            imports.join("\n") + "\n",
        )?;
        Ok(())
    })?;
    fs::write(directory.join("kubeconfig"), identity(stage)?).context("write the floor's kubeconfig")?;
    let objects = objects(stage)?;
    fs::write(directory.join("objects.json"), serde_json::to_vec(&objects)?).context("write objects.json")
}

/// Files by the image they hold, compressed like the trees.
fn images(components: &Path, directory: &Path) -> Result<BTreeMap<String, String>> {
    let path = components.join("manifest.json");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let manifest: Value = serde_json::from_str(&text)?;
    let mut images = BTreeMap::new();
    for artifact in manifest["artifacts"].as_array().into_iter().flatten() {
        let (Some(file), Some(reference)) = (artifact["file"].as_str(), artifact["reference"].as_str())
        else {
            continue;
        };
        let name = format!("{}.zst", file.replace('/', "-"));
        let status = Command::new("zstd")
            .args(["-q", "-3", "-f", "-o"])
            .arg(directory.join(&name))
            .arg(components.join(file))
            .status()
            .context("start zstd")?;
        ensure!(status.success(), "compress {file}: {status}");
        images.insert(reference.to_owned(), name);
    }
    Ok(images)
}

/// A kubeconfig that may do everything before any binding exists, like the one kubewright has in memory only.
fn identity(stage: &Stage) -> Result<Vec<u8>> {
    const ISSUE: &str = "
cd \"$(mktemp -d)\"
openssl ecparam -name prime256v1 -genkey -noout -out key
openssl req -new -key key -subj /O=system:masters/CN=floor -out request
openssl x509 -req -in request -CA /etc/kubernetes/pki/ca.crt -CAkey /etc/kubernetes/pki/ca.key -days 1 -out certificate 2>/dev/null
base64 --wrap=0 certificate; echo
base64 --wrap=0 key; echo
base64 --wrap=0 /etc/kubernetes/pki/ca.crt; echo
rm -r \"$PWD\"
";
    let text = stage.script("cp-1", ISSUE)?;
    let [certificate, key, authority] = text.lines().collect::<Vec<_>>()[..] else {
        anyhow::bail!("no identity was issued: {text}");
    };
    Ok(serde_json::to_vec(&json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "floor",
        "clusters": [{"name": "floor", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": authority}}],
        "users": [{"name": "floor", "user": {"client-certificate-data": certificate, "client-key-data": key}}],
        "contexts": [{"name": "floor", "context": {"cluster": "floor", "user": "floor"}}],
    }))?)
}

/// Packs files of a machine, here.
fn pack(stage: &Stage, machine: &str, paths: &[String], file: &Path) -> Result<()> {
    let mut tar = stage.lab_command(&[
        "exec",
        "--nsenter",
        machine,
        "--",
        "tar",
        "--create",
        "--directory=/",
        "--no-recursion",
        "--files-from=-",
    ]);
    let mut tar = tar
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start tar")?;
    let list: BTreeSet<&String> = paths.iter().collect();
    let list = list.into_iter().cloned().collect::<Vec<_>>().join("\n") + "\n";
    let mut stdin = tar.stdin.take().context("tar has no input")?;
    std::io::Write::write_all(&mut stdin, list.as_bytes())?;
    drop(stdin);
    let packed = Command::new("zstd")
        .args(["-q", "-3", "-f", "-o"])
        .arg(file)
        .stdin(tar.stdout.take().context("tar has no output")?)
        .status()
        .context("start zstd")?;
    let told = tar.wait()?;
    ensure!(
        packed.success() && told.success(),
        "pack files of {machine}: {told}, {packed}"
    );
    Ok(())
}

/// The nodes and what kubewright applied, as they can be applied to an empty cluster.
fn objects(stage: &Stage) -> Result<Value> {
    let all = stage.kubectl(&["get", KINDS, "--all-namespaces", "--show-managed-fields"])?;
    let nodes = stage.kubectl(&["get", "nodes"])?;
    let mut items = Vec::new();
    for node in nodes["items"].as_array().into_iter().flatten() {
        items.push(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": node["metadata"]["name"], "labels": node["metadata"]["labels"]},
            "spec": {"podCIDR": node["spec"]["podCIDR"], "podCIDRs": node["spec"]["podCIDRs"], "taints": node["spec"]["taints"]},
        }));
    }
    let count = items.len();
    for object in all["items"].as_array().into_iter().flatten() {
        if !is_ours(object) {
            continue;
        }
        let mut object = object.clone();
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
        }
        if let Some(metadata) = object["metadata"].as_object_mut() {
            for field in [
                "managedFields",
                "uid",
                "resourceVersion",
                "creationTimestamp",
                "generation",
            ] {
                metadata.remove(field);
            }
        }
        items.push(object);
    }
    ensure!(
        items.len() > count + 10,
        "only {} objects of kubewright's were found",
        items.len() - count
    );
    Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}))
}

fn is_ours(object: &Value) -> bool {
    let fields = object["metadata"]["managedFields"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    fields.iter().any(|field| {
        field["manager"]
            .as_str()
            .is_some_and(|manager| manager.starts_with("kubewright"))
    })
}

/// Programs of this computer that packing needs.
pub(super) fn require() -> Result<()> {
    tool::require(&["zstd", "tar"])
}
