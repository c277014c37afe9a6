//! The commands operators are told to look at units and to stop them.

use super::unit_name;

/// Programs that have units started and stopped, and read what they said: kubewright's agent runs them on every node.
pub const PROGRAMS: [&str; 2] = ["journalctl", "systemctl"];

/// Returns what shows why components run or do not, as in `journalctl -u etcd -u kube-apiserver`.
pub fn log_command(components: &[&str]) -> String {
    components
        .iter()
        .fold("journalctl".to_owned(), |command, component| {
            format!("{command} -u {component}")
        })
}

/// Returns what shows which units are being started or stopped.
pub const fn jobs_command() -> &'static str {
    "systemctl list-jobs"
}

/// Returns what stops a component of somebody else's for good.
pub fn stop_command(component: &str) -> String {
    disable_command(&unit_name(component))
}

/// Returns what stops a unit for good.
pub fn disable_command(unit: &str) -> String {
    format!("systemctl disable --now {unit}")
}

/// Returns what keeps units from ever starting.
pub fn mask_command(units: &[&str]) -> String {
    format!("systemctl mask --now {}", units.join(" "))
}
