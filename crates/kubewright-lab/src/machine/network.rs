//! The lab's bridge and the machines' cables.
//!
//! The computer forwards nothing for them: machines reach each other and this computer, nothing else.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::lab::lock::LabLock;
use crate::lab::{LabName, Subnet};
use crate::tool;

/// Makes a lab's bridge, marked with the lab's name so that it can be found without any file.
///
/// The lock goes along with each call, so that nothing can appear after a killed lab program's lab was cleaned up.
pub(crate) fn create_bridge(lab: &LabName, subnet: Subnet, lock: &LabLock) -> Result<()> {
    let bridge = subnet.bridge();
    let ip = |arguments: &[&str]| lock.run("ip", arguments);
    ip(&[
        "link",
        "add",
        "name",
        &bridge,
        "type",
        "bridge",
        "stp_state",
        "0",
        "forward_delay",
        "0",
    ])?;
    ip(&["link", "set", "dev", &bridge, "alias", &mark(lab)])?;
    ip(&["address", "add", &subnet.gateway_cidr(), "dev", &bridge])?;
    ip(&["link", "set", "dev", &bridge, "up"])?;
    Ok(())
}

/// The bridges that carry the lab's mark, and the one of its subnet when a crash left it without any.
pub(crate) fn bridges_of(lab: &LabName, subnet: Option<Subnet>) -> Vec<String> {
    let Ok(interfaces) = fs::read_dir("/sys/class/net") else {
        return Vec::new();
    };
    let own = subnet.map(Subnet::bridge);
    let mut found: Vec<String> = interfaces
        .flatten()
        .filter_map(|interface| {
            let name = interface.file_name().to_string_lossy().into_owned();
            let alias = fs::read_to_string(interface.path().join("ifalias")).unwrap_or_default();
            let is_unmarked_own = alias.trim().is_empty() && own.as_ref() == Some(&name);
            (alias.trim() == mark(lab) || is_unmarked_own).then_some(name)
        })
        .collect();
    found.sort();
    found
}

/// The interfaces plugged into a bridge or left over from machines that were.
pub(crate) fn cables_of(bridge: &str) -> Vec<String> {
    let prefix = format!("vb-{bridge}-");
    let Ok(interfaces) = fs::read_dir("/sys/class/net") else {
        return Vec::new();
    };
    let names = interfaces
        .flatten()
        .map(|interface| interface.file_name().to_string_lossy().into_owned());
    let mut found: Vec<String> = names.filter(|name| name.starts_with(&prefix)).collect();
    found.sort();
    found
}

/// Unplugs a cable without either end noticing: the carrier stays up, packets go nowhere.
pub(crate) fn cut(interface: &str) -> Result<()> {
    tool::run("ip", ["link", "set", "dev", interface, "nomaster"]).map(drop)
}

/// Plugs a cable in again.
pub(crate) fn heal(interface: &str, bridge: &str) -> Result<()> {
    tool::run("ip", ["link", "set", "dev", interface, "master", bridge]).map(drop)
}

/// Removes an interface; none is fine.
pub(crate) fn delete(interface: &str) -> Result<()> {
    if !exists(interface) {
        return Ok(());
    }
    match tool::run("ip", ["link", "delete", "dev", interface]) {
        // It may vanish by itself meanwhile, with its machine.
        Err(_) if !exists(interface) => Ok(()),
        result => result.map(drop),
    }
}

/// Whether there is such an interface.
pub(crate) fn exists(interface: &str) -> bool {
    Path::new("/sys/class/net").join(interface).exists()
}

/// The bridge an interface is plugged into.
pub(crate) fn master_of(interface: &str) -> Option<String> {
    let link = fs::read_link(Path::new("/sys/class/net").join(interface).join("master")).ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}

fn mark(lab: &LabName) -> String {
    format!("kubewright-lab:{lab}")
}
