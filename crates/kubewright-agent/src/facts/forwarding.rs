//! How the node forwards packets: its routes, chains that drop what is forwarded, and strict checks of the way back.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use kubewright_core::observed::{ForwardDrop, Route};
use serde_json::Value;

use crate::system::{Command, System};

/// How long a program may take to tell.
const PATIENCE: Duration = Duration::from_secs(5);
/// More is not kept of what a table accepts.
const ACCEPTED: usize = 256;

/// The IPv4 routes other than default ones, and the interface of the default route with the least metric.
pub(super) fn routes(system: &dyn System) -> (Vec<Route>, Option<String>) {
    let text = system.text("/proc/net/route").unwrap_or_default();
    let mut routes = Vec::new();
    let mut default: Option<(u32, String)> = None;
    // Interface, destination, gateway, flags (bit 0: up), two counters, metric, mask; numbers as the processor has them.
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| {
            fields
                .get(at)
                .and_then(|field| u32::from_str_radix(field, 16).ok())
        };
        let metric = fields
            .get(6)
            .and_then(|metric| metric.parse().ok())
            .unwrap_or_default();
        let (Some(to), Some(flags), Some(mask)) = (number(1), number(3), number(7)) else {
            continue;
        };
        let interface = fields[0].to_owned();
        if flags & 1 == 0 {
            continue;
        }
        if mask == 0 {
            if default.as_ref().is_none_or(|(least, _)| metric < *least) {
                default = Some((metric, interface));
            }
            continue;
        }
        let address = Ipv4Addr::from(to.to_ne_bytes());
        let to = format!("{address}/{}", mask.count_ones());
        routes.push(Route { to, interface });
    }
    (routes, default.map(|(_, interface)| interface))
}

/// Interfaces whose packets are dropped when the way back to their sender leads elsewhere (`rp_filter` is 1).
pub(super) fn strict(system: &dyn System) -> Vec<String> {
    let directory = "/proc/sys/net/ipv4/conf";
    let value = |name: &str| -> u32 {
        let text = system.text(&format!("{directory}/{name}/rp_filter"));
        text.and_then(|text| text.trim().parse().ok()).unwrap_or_default()
    };
    let all = value("all");
    let entries = std::fs::read_dir(system.path(directory)).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // The larger of both counts (ip-sysctl).
    let mut strict: Vec<String> = names
        .filter(|name| !matches!(name.as_str(), "all" | "default" | "lo"))
        .filter(|name| value(name).max(all) == 1)
        .collect();
    strict.sort();
    strict
}

/// Chains of the packet filter that drop forwarded packets. Both kinds of tables are asked for only where they are in use
/// already: asking loads them.
pub(super) fn drops(system: &dyn System) -> Vec<ForwardDrop> {
    let mut found = Vec::new();
    if system.path("/sys/module/nf_tables").exists() || !system.path("/proc/modules").exists() {
        let chains = nft(system, &["list", "chains"]);
        for entry in &chains {
            let chain = &entry["chain"];
            let word = |key: &str| chain[key].as_str().unwrap_or_default();
            if word("hook") == "forward" && word("policy") == "drop" {
                let (family, table, name) = (word("family"), word("table"), word("name"));
                let rules = nft(system, &["list", "table", family, table]);
                found.push(ForwardDrop {
                    chain: format!("{family} {table} {name}"),
                    accepts: accepted(&rules, name),
                });
            }
        }
    }
    let tables = system.text("/proc/net/ip_tables_names").unwrap_or_default();
    if tables.lines().any(|table| table == "filter") {
        let command = Command::new("iptables-legacy-save", &["-t", "filter"]).within(PATIENCE);
        let rules = system.run(&command).unwrap_or_default().stdout;
        if rules.lines().any(|line| line.starts_with(":FORWARD DROP")) {
            found.push(ForwardDrop {
                chain: "iptables-legacy FORWARD".to_owned(),
                accepts: accepted_by_lines(&rules),
            });
        }
    }
    found
}

fn nft(system: &dyn System, words: &[&str]) -> Vec<Value> {
    let arguments = [&["--json"], words].concat();
    let output = system.run(&Command::new("nft", &arguments).within(PATIENCE));
    let listing: Value = serde_json::from_str(&output.unwrap_or_default().stdout).unwrap_or_default();
    listing["nftables"].as_array().cloned().unwrap_or_default()
}

/// What rules of a table accept, and what its sets hold.
fn accepted(table: &[Value], base: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    for entry in table {
        for element in entry["set"]["elem"].as_array().into_iter().flatten() {
            found.extend(place(element));
        }
        let rule = &entry["rule"];
        let expressions = rule["expr"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !expressions.iter().any(|one| one.get("accept").is_some()) {
            continue;
        }
        let matches: Vec<&Value> = expressions
            .iter()
            .filter(|one| one.get("match").is_some() || one.get("xt").is_some())
            .collect();
        if matches.is_empty() && rule["chain"] == base {
            found.insert("*".to_owned());
        }
        found.extend(matches.iter().filter_map(|one| place(&one["match"]["right"])));
    }
    found.into_iter().take(ACCEPTED).collect()
}

/// A range, an address or an interface, as nft writes it.
fn place(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    let (address, length) = (
        value["prefix"]["addr"].as_str()?,
        value["prefix"]["len"].as_u64()?,
    );
    Some(format!("{address}/{length}"))
}

/// The same of lines as iptables-save writes them.
fn accepted_by_lines(rules: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    for line in rules.lines().filter(|line| line.ends_with("-j ACCEPT")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["-A", "FORWARD", "-j", "ACCEPT"] {
            found.insert("*".to_owned());
        }
        let named = words
            .windows(2)
            .filter(|pair| ["-s", "-d", "-i", "-o"].contains(&pair[0]));
        found.extend(named.map(|pair| pair[1].to_owned()));
    }
    found.into_iter().take(ACCEPTED).collect()
}
