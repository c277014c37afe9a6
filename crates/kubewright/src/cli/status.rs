//! `kubewright status`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use kubewright_control::observe::UnreachablePolicy;
use kubewright_control::session::Purpose;
use kubewright_control::status::{ClusterStatus, NodeStatus, look};
use kubewright_core::shown::sentence;

use super::session;
use crate::failure::{ErrorId, Failure};
use crate::settings::GlobalFlags;
use crate::ui::{Ui, table};

/// Arguments of `status`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Refresh every few seconds until interrupted
    #[arg(long)]
    watch: bool,
}

/// Time between two looks.
const PERIOD: Duration = Duration::from_secs(3);

/// Looks and tells.
pub(crate) async fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let opened = session::open("status", flags, ui)?.with_policy(UnreachablePolicy::OneControlPlane);
    loop {
        let observation = opened.observe(Purpose::Read).await?;
        let status = look(&opened.session, &observation).await;
        ui.result(&status, || text(&status))?;
        if !arguments.watch {
            if status.is_healthy() {
                return Ok(());
            }
            return Err(
                Failure::named(ErrorId::ClusterUnhealthy, "the cluster is unhealthy")
                    .hint(next_command(&status.nodes)),
            );
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

/// What to do about an unhealthy cluster. Without unreachable nodes `apply` goes on, but for what waits for them.
fn next_command(nodes: &[NodeStatus]) -> String {
    let unreachable: Vec<&NodeStatus> = nodes.iter().filter(|node| node.unreachable.is_some()).collect();
    let names: Vec<&str> = unreachable.iter().map(|node| node.name.as_str()).collect();
    let names = names.join(", ");
    if unreachable.is_empty() {
        "kubewright plan shows what differs from cluster.yaml, kubewright apply fixes it".to_owned()
    } else {
        format!(
            "bring back {names} (kubewright check shows more); kubewright apply goes on without what cannot be reached, and says \
             what waits for it"
        )
    }
}

fn text(status: &ClusterStatus) -> String {
    let rows: Vec<Vec<String>> = status
        .nodes
        .iter()
        .map(|node| {
            vec![
                node.name.clone(),
                node.roles.join(","),
                node.address.clone(),
                or_dash(node.kubelet_version.as_ref()),
                if node.ready {
                    "Ready".to_owned()
                } else {
                    node.reason.clone()
                },
                or_dash(node.api_server),
                or_dash(node.etcd),
                node.certificates
                    .first()
                    .map_or_else(|| "-".to_owned(), |first| days(first.days_left)),
                or_dash(node.differences),
            ]
        })
        .collect();
    let headings = [
        "NODE",
        "ROLES",
        "ADDRESS",
        "VERSION",
        "STATE",
        "API",
        "ETCD",
        "CERTIFICATES",
        "DIFFERENCES",
    ];
    let mut text = format!(
        "cluster {}, Kubernetes {}, {}\n",
        status.cluster, status.kubernetes, status.api
    );
    text.push_str(&table(&headings, &rows));
    for node in &status.nodes {
        if let Some(why) = &node.unreachable {
            let _ = writeln!(text, "{} is unreachable: {}", node.name, sentence(why));
        }
    }
    text.push_str(&etcd_line(status));
    for database in &status.etcd_databases {
        let _ = writeln!(text, "warning: {}: {}", database.message, database.remedy);
    }
    if let Some((node, certificate)) = status.next_to_end() {
        let _ = writeln!(
            text,
            "certificates: {} ({}): {} on {node}",
            expiry(certificate.days_left),
            certificate.not_after.split('T').next().unwrap_or_default(),
            certificate.path,
        );
    }
    if !status.unknown_nodes.is_empty() {
        let _ = writeln!(text, "not in cluster.yaml: {}", status.unknown_nodes.join(", "));
    }
    text
}

/// What is not known, or does not apply, is a dash.
fn or_dash(known: Option<impl ToString>) -> String {
    known.map_or_else(|| "-".to_owned(), |known| known.to_string())
}

/// How long until a certificate expires.
fn days(left: i64) -> String {
    match left {
        ..0 => "expired".to_owned(),
        0 => "today".to_owned(),
        1 => "1 day".to_owned(),
        more => format!("{more} days"),
    }
}

/// When the certificate that expires first does so.
fn expiry(days_left: i64) -> String {
    match days_left {
        ..0 => "expired".to_owned(),
        0 => "next expiry today".to_owned(),
        more => format!("next expiry in {}", days(more)),
    }
}

fn etcd_line(status: &ClusterStatus) -> String {
    if !status.etcd_clusters.is_empty() {
        let mut text = format!(
            "etcd: these are {} clusters, each with a database of its own (docs/reference/errors.md, two-etcd-clusters):\n",
            status.etcd_clusters.len()
        );
        for cluster in &status.etcd_clusters {
            let _ = writeln!(text, "  {cluster}");
        }
        return text;
    }
    let voting = status
        .etcd_members
        .iter()
        .filter(|member| member.is_voting)
        .count();
    let versions: BTreeSet<&str> = status
        .etcd_members
        .iter()
        .filter_map(|member| member.version.as_deref())
        .collect();
    let versions: Vec<&str> = versions.into_iter().collect();
    match status.etcd_members.len() {
        0 => "etcd: member list unavailable\n".to_owned(),
        all => format!(
            "etcd: {voting} of {all} members vote, version {}\n",
            versions.join(" and ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, role: &str, unreachable: bool) -> NodeStatus {
        NodeStatus {
            name: name.to_owned(),
            address: "192.0.2.1".to_owned(),
            roles: vec![role.to_owned()],
            kubelet_version: None,
            ready: !unreachable,
            reason: String::new(),
            api_server: None,
            etcd: None,
            certificates: Vec::new(),
            differences: None,
            unreachable: unreachable.then(|| "no answer".to_owned()),
        }
    }

    #[test]
    fn says_whom_to_bring_back_before_it_advises_an_apply() {
        let control_plane = |is_away| node("cp-1", "control-plane", is_away);
        assert!(next_command(&[control_plane(false)]).contains("kubewright apply fixes it"));
        let hint = next_command(&[node("w-1", "worker", true), control_plane(true)]);
        assert!(
            hint.starts_with("bring back w-1, cp-1 (kubewright check"),
            "{hint}"
        );
    }
}
