//! What the network of a cluster leaves in the kernel: links, packet filter rules, routes.
//!
//! Each is only a leftover: that one of them cannot be removed (a program is not installed, another process was faster) does not
//! keep a reset from ending. A reboot clears all of them.

use kubewright_core::component;
use kubewright_core::resource::ROUTE_PROTOCOL;
use serde_json::Value;

use crate::system::{Command, System};

/// Links of network plug-ins and service proxies that are no component of ours.
const LINKS: [&str; 3] = ["kube-bridge", "kube-ipvs0", "kube-dummy-if"];

/// Removes what is there.
pub(super) fn clean(system: &dyn System) {
    let links = component::ALL.iter().flat_map(|component| component.traces.links);
    for link in links.chain(&LINKS) {
        if system.path(&format!("/sys/class/net/{link}")).exists() {
            attempt(system, &Command::new("ip", &["link", "delete", link]));
        }
    }
    for family in ["-4", "-6"] {
        attempt(
            system,
            &Command::new("ip", &[family, "route", "flush", "proto", ROUTE_PROTOCOL]),
        );
    }
    let tables = attempt(system, &Command::new("nft", &["--json", "list", "tables"])).unwrap_or_default();
    for (family, name) in our_tables(&tables) {
        attempt(system, &Command::new("nft", &["delete", "table", &family, &name]));
    }
    for program in ["iptables", "ip6tables"] {
        let Some(rules) = attempt(system, &Command::new(&format!("{program}-save"), &[""; 0])) else {
            continue;
        };
        if let Some(kept) = without_ours(&rules)
            && system.effect(&format!("{program}-restore")).is_ok()
        {
            let command = Command::new(&format!("{program}-restore"), &[""; 0]);
            let _ = system.feed(&command, &mut kept.as_bytes());
        }
    }
}

/// Runs a program; what it said when it succeeded.
fn attempt(system: &dyn System, command: &Command) -> Option<String> {
    system.effect(&command.line()).ok()?;
    let output = system.run(command).ok()?;
    output.success.then_some(output.stdout)
}

fn our_tables(json: &str) -> Vec<(String, String)> {
    let listing: Value = serde_json::from_str(json).unwrap_or_default();
    let tables = listing["nftables"].as_array().into_iter().flatten();
    tables
        .filter_map(|entry| {
            let table = &entry["table"];
            let (family, name) = (table["family"].as_str()?, table["name"].as_str()?);
            component::ALL
                .iter()
                .any(|component| component.traces.tables.contains(&name))
                .then(|| (family.to_owned(), name.to_owned()))
        })
        .collect()
}

/// A dump of `iptables-save` without our chains, their rules and the jumps to them; nothing when there are none.
fn without_ours(rules: &str) -> Option<String> {
    let chains = || {
        component::ALL
            .iter()
            .flat_map(|component| component.traces.chains)
    };
    let is_ours = |line: &str| {
        let named = line.strip_prefix(':').or_else(|| line.strip_prefix("-A "));
        let jumped = line
            .split_once(" -j ")
            .or_else(|| line.split_once(" -g "))
            .map(|(_, target)| target);
        [named, jumped]
            .into_iter()
            .flatten()
            .any(|name| chains().any(|chain| name.starts_with(chain)))
    };
    rules.lines().any(is_ours).then(|| {
        let kept = rules.lines().filter(|line| !is_ours(line));
        kept.fold(String::new(), |text, line| text + line + "\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_our_chains_and_the_jumps_to_them_only() {
        let rules = "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n:DOCKER - [0:0]\n\
            -A PREROUTING -m comment --comment \"x\" -j KUBE-SERVICES\n-A PREROUTING -j DOCKER\n\
            -A KUBE-SERVICES -d 10.0.0.1/32 -j ACCEPT\n-A POSTROUTING -s 10.244.0.0/24 -j CNI-abc\nCOMMIT\n";
        let kept = "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n-A PREROUTING -j DOCKER\nCOMMIT\n";
        assert_eq!(without_ours(rules).as_deref(), Some(kept));
        assert_eq!(without_ours(kept), None);
    }

    #[test]
    fn picks_our_tables_from_the_list() {
        let json = r#"{"nftables": [{"metainfo": {}}, {"table": {"family": "ip", "name": "kube-proxy", "handle": 1}},
            {"table": {"family": "inet", "name": "filter", "handle": 2}}]}"#;
        assert_eq!(our_tables(json), [("ip".to_owned(), "kube-proxy".to_owned())]);
    }
}
