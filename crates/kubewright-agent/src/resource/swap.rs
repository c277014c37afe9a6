//! Swap off: now through `swapoff`, after a reboot by commenting out its lines in `/etc/fstab`.

use kubewright_core::observed::Change;
use kubewright_core::wire::NodeError;

use crate::fault::{fault, hinted};
use crate::node::Node;
use crate::system::{Command, System, act};

/// The table of file systems mounted at boot.
pub(crate) const FSTAB: &str = "/etc/fstab";
const NOTE: &str = "# swap off for kubewright: ";

pub(super) fn inspect(node: &Node) -> Option<Change> {
    let areas = active(node);
    let listed = fstab(node).lines().any(is_swap);
    if areas.is_empty() && !listed {
        return None;
    }
    if !areas.is_empty() && node.system.path("/run/systemd/container").exists() {
        return Some(Change::Blocked {
            reason: format!(
                "swap is on ({}) and a container cannot turn it off",
                areas.join(", ")
            ),
        });
    }
    let before = if areas.is_empty() {
        "on after a reboot".to_owned()
    } else {
        areas.join(", ")
    };
    Some(Change::Value {
        before,
        after: "off".to_owned(),
    })
}

pub(super) fn change(node: &mut Node) -> Result<(), NodeError> {
    let text = fstab(node);
    if text.lines().any(is_swap)
        && let Ok(seen) = node.look_for_file(FSTAB)?
    {
        let lines: Vec<_> = text
            .lines()
            .map(|line| {
                if is_swap(line) {
                    format!("{NOTE}{line}")
                } else {
                    line.to_owned()
                }
            })
            .collect();
        let content = format!("{}\n", lines.join("\n"));
        node.tree.write(FSTAB, content.as_bytes(), seen.owner)?;
    }
    if !active(node).is_empty() {
        act(node.system.as_ref(), &Command::new("swapoff", &["--all"]))?;
    }
    let left = active(node);
    if left.is_empty() {
        return Ok(());
    }
    let error = fault("turn swap off", format!("still on: {}", left.join(", ")));
    Err(hinted(
        error,
        "turn it off by hand (`systemctl list-units --type=swap`), then run the same command again",
    ))
}

/// The areas in use, from `/proc/swaps`.
pub(crate) fn areas(text: &str) -> Vec<String> {
    text.lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

fn active(node: &Node) -> Vec<String> {
    areas(&node.system.text("/proc/swaps").unwrap_or_default())
}

fn fstab(node: &Node) -> String {
    let bytes = node.tree.read(FSTAB, 1 << 20).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a line of the table turns swap on at boot.
pub(crate) fn is_listed(system: &dyn System) -> bool {
    let text = system.text(FSTAB).unwrap_or_default();
    text.lines().any(is_swap)
}

fn is_swap(line: &str) -> bool {
    !line.trim_start().starts_with('#') && line.split_whitespace().nth(2) == Some("swap")
}
