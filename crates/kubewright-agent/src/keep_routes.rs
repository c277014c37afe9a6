//! Keeps the routes and the masquerading of the network `bridge`, as a process of the node.
//!
//! A restart of the network service, a link that goes down and up and a flushed packet filter take them away without
//! telling. So it looks every few seconds, and sets what is missing. It reads its file anew at each look: a node that comes
//! or goes restarts nothing.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use kubewright_core::resource::Routing;
use kubewright_core::wire::NodeError;

use crate::fault::{Doing as _, fault};
use crate::notify::Notifier;
use crate::resource::routing;
use crate::system::System;

/// Between two looks: what is gone is back within 10 s, also on a machine that is busy.
const INTERVAL: Duration = Duration::from_secs(3);

/// Looks and repairs until the process is ended. It tells systemd that it is up once everything is in place.
pub fn keep(system: &dyn System, file: &Path) -> ! {
    let notifier = Notifier::from_environment();
    let mut keeper = Keeper::default();
    loop {
        let said = keeper.look(system, file);
        if let Some(line) = said {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        if keeper.is_up && !keeper.has_told {
            notifier.send("READY=1");
            keeper.has_told = true;
        }
        system.pause(INTERVAL);
    }
}

#[derive(Default)]
struct Keeper {
    is_up: bool,
    has_told: bool,
    /// What the last look said, if it failed: the same is not said again.
    complaint: Option<String>,
}

impl Keeper {
    /// One look; returns what is to be said of it.
    fn look(&mut self, system: &dyn System, file: &Path) -> Option<String> {
        match repair(system, file) {
            Ok(repaired) => {
                self.complaint = None;
                let was_up = std::mem::replace(&mut self.is_up, true);
                match (was_up, repaired) {
                    (false, _) => Some("routes and masquerading are in place".to_owned()),
                    (true, true) => Some("routes or masquerading were gone, and are back".to_owned()),
                    (true, false) => None,
                }
            }
            Err(error) => {
                let complaint = error.to_string();
                let is_new = self.complaint.as_ref() != Some(&complaint);
                self.complaint = Some(complaint.clone());
                is_new.then_some(complaint)
            }
        }
    }
}

fn repair(system: &dyn System, file: &Path) -> Result<bool, NodeError> {
    let path = file.to_string_lossy();
    let doing = || format!("read {path}");
    let text = system
        .text(&path)
        .ok_or_else(|| fault(doing(), "it cannot be read"))?;
    let wanted: Routing = serde_json::from_str(&text).doing(doing)?;
    routing::change(system, &wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestSystem;

    const FILE: &str = "/etc/kubewright/bridge/routing.json";

    #[test]
    fn says_what_it_repairs_once_and_what_it_cannot_once() {
        let system = TestSystem::new();
        let file = Path::new(FILE);
        let mut keeper = Keeper::default();
        let complaint = keeper.look(system.as_ref(), file).unwrap();
        assert!(complaint.contains(FILE), "{complaint}");
        assert_eq!(keeper.look(system.as_ref(), file), None);
        assert!(!keeper.is_up);

        let wanted = routing::example();
        system.put(FILE, &serde_json::to_string(&wanted).unwrap());
        let said = keeper.look(system.as_ref(), file).unwrap();
        assert_eq!(said, "routes and masquerading are in place");
        assert_eq!(keeper.look(system.as_ref(), file), None);

        // A link went down and up, or somebody flushed the packet filter.
        for forget in [TestSystem::forget_routes, TestSystem::forget_rules] {
            forget(&system);
            let said = keeper.look(system.as_ref(), file).unwrap();
            assert_eq!(said, "routes or masquerading were gone, and are back");
            assert_eq!(keeper.look(system.as_ref(), file), None);
        }

        // A node comes: the file says so, and nothing is restarted.
        let mut more = wanted;
        more.routes
            .insert("10.244.9.0/24".to_owned(), "192.0.2.9".parse().unwrap());
        system.put(FILE, &serde_json::to_string(&more).unwrap());
        assert!(keeper.look(system.as_ref(), file).is_some());
        assert_eq!(system.simulated().routes, more.routes);
    }
}
