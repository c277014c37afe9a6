//! How the node's own etcd member and API server are, as they say themselves.
//!
//! Asked only where they are installed, over the node's loopback. One that does not say that it can serve is starting
//! when its unit is, or was until a moment ago: an API server tells systemd that it is up seconds before it is ready.
//! One that ends again and again is down, whatever its unit is at this moment: waiting for it is in vain.

use std::time::{Duration, Instant};

use kubewright_core::carrier::unit_name;
use kubewright_core::component::{Probe, apiserver, etcd};
use kubewright_core::observed::Health;

use crate::resource::unit;
use crate::system::{Command, System, ask};
use crate::tree::{Look, Tree};
use crate::wait::{self, Trust};

/// How long an answer may take at first, and once more where nothing came: a busy server of a slow machine is not down.
const ANSWERS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];
/// A process younger than this may still be on its way.
const YOUTH: Duration = Duration::from_secs(60);
/// How long systemd may take to tell.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the etcd member is.
pub(super) fn etcd(system: &dyn System, tree: &Tree) -> Health {
    health(system, tree, etcd::NAME, etcd::PROBE)
}

/// How the API server is.
pub(super) fn api_server(system: &dyn System, tree: &Tree) -> Health {
    health(system, tree, apiserver::NAME, apiserver::PROBE)
}

fn health(system: &dyn System, tree: &Tree, component: &str, probe: Probe) -> Health {
    let unit = &unit_name(component);
    if !matches!(tree.look(&unit::path(unit)), Ok(Look::There(_))) {
        return Health::Down;
    }
    let trust = probe.ca_file().map(|ca_file| Trust {
        ca_file,
        server_name: probe.server_name,
    });
    for limit in ANSWERS {
        let asked = Instant::now();
        if wait::status(system, &probe.url(), trust, limit) == Ok(200) {
            return Health::Ready;
        }
        if asked.elapsed() < limit {
            break;
        }
    }
    let status = unit::statuses(system, &[unit])
        .ok()
        .and_then(|mut all| all.remove(unit))
        .unwrap_or_default();
    match status.active.as_str() {
        _ if status.is_crash_looping() => Health::Down,
        "activating" | "reloading" => Health::Starting,
        "active" if is_young(system, unit) => Health::Starting,
        _ => Health::Down,
    }
}

/// Whether the unit became active a moment ago.
fn is_young(system: &dyn System, unit: &str) -> bool {
    let arguments = ["show", "--property=ActiveEnterTimestampMonotonic", "--", unit];
    let answer = ask(system, &Command::new("systemctl", &arguments).within(PATIENCE)).unwrap_or_default();
    let since = answer
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("ActiveEnterTimestampMonotonic="))
        .and_then(|microseconds| microseconds.trim().parse().ok())
        .map(Duration::from_micros);
    since.is_some_and(|since| system.uptime().saturating_sub(since) < YOUTH)
}
