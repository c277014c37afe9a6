//! The node-local proxy: its process is killed and comes back.

use std::time::Instant;

use super::{Checked, Scene, eventually};

/// Kills the proxy of a worker (of a control plane, if there is no worker) and waits until the API answers through it.
pub(super) async fn comes_back(scene: &Scene<'_>) -> Checked {
    let node = scene
        .one_of_each()
        .pop()
        .map(|node| node.name.as_str())
        .ok_or("the cluster has no node")?;
    let on_node = |error: String| format!("{node}: {error}");
    eventually(|| scene.access.proxy_answers(node))
        .await
        .map_err(on_node)?;
    scene.access.kill_proxy(node).await.map_err(on_node)?;
    let killed = Instant::now();
    eventually(|| scene.access.proxy_answers(node))
        .await
        .map_err(on_node)?;
    Ok(format!(
        "killed on {node}, answers again after {:.1} s",
        killed.elapsed().as_secs_f64()
    ))
}
