//! `kubewright smoke`.

use std::sync::Arc;
use std::time::Duration;

use kubewright_control::observe::UnreachablePolicy;
use kubewright_control::session::Purpose;
use kubewright_control::smoke::{self, Nodes, ProbeImage, SmokeEvent, SmokeNode, SmokeOptions};
use kubewright_core::catalogue::PROBE_IMAGE;
use kubewright_core::plan::text::count;
use kubewright_core::spec::ArtifactSource;

use super::session;
use crate::failure::{ErrorId, Failure};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Arguments of `smoke`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The image of the test pods: agnhost, or an image with the commands of the lab's probe
    #[arg(long, value_name = "REFERENCE")]
    image: Option<String>,
    /// Seconds to wait for the test pods to run, including the image pull
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    timeout: u64,
}

/// Runs the checks and tells of each.
pub(crate) async fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let opened = session::open("smoke", flags, ui)?.with_policy(UnreachablePolicy::OneControlPlane);
    let look = opened.first_look(Purpose::Read).await?;
    let client = look
        .api
        .client()
        .await
        .map_err(|error| session::failure(&error))?;
    let cluster = &opened.file.cluster;
    session::tell_absent(&look.observed, ui);
    let options = SmokeOptions {
        nodes: cluster
            .nodes
            .iter()
            .filter(|node| look.nodes.contains_key(node.name.as_str()))
            .map(|node| SmokeNode {
                name: node.name.to_string(),
                address: node.address,
                is_control_plane: node.is_control_plane(),
            })
            .collect(),
        images: images(arguments, &cluster.artifacts.source),
        domain: cluster.network.domain.to_string(),
        encryption_prefix: Some(format!("k8s:enc:{}:v1:", cluster.security.encryption)),
        pods_limit: Duration::from_secs(arguments.timeout),
    };
    let access = Nodes::new(cluster, look.nodes.clone(), Arc::clone(&look.authorities));
    let tell = |event: SmokeEvent<'_>| {
        if let SmokeEvent::Finished(check) = event {
            let word = if check.ok { "ok  " } else { "FAIL" };
            ui.say(&format!(
                "{word} {:5.1} s  {}: {}",
                check.seconds, check.name, check.detail
            ));
        }
    };
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    let results = smoke::run(&client, &options, &access, &tell, stop).await;
    let failed = results.iter().filter(|check| !check.ok).count();
    ui.result(&results, || {
        format!(
            "{} of {} passed",
            results.len() - failed,
            count(results.len(), "check")
        )
    })?;
    if failed > 0 || results.is_empty() {
        return Err(opened.with_log(
            Failure::named(
                ErrorId::SmokeFailed,
                format!("{} failed", count(failed, "smoke test")),
            )
            .hint("kubewright status shows the nodes; kubectl get events -A shows the cluster's events"),
        ));
    }
    Ok(())
}

/// The image asked for; or the probe a directory of artifacts brings, or upstream's own test image.
fn images(arguments: &Arguments, source: &ArtifactSource) -> Vec<ProbeImage> {
    match (&arguments.image, source) {
        (Some(reference), _) => vec![ProbeImage::of(reference)],
        (None, ArtifactSource::Directory(_)) => vec![ProbeImage::of(PROBE_IMAGE), ProbeImage::upstream()],
        (None, _) => vec![ProbeImage::upstream()],
    }
}
