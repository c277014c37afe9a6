//! Routes to the pods of other nodes and masquerading, as the kernel has them. They are looked at and set by `ip`, and by
//! `nft` or `iptables`.
//!
//! Anything can take them away: a restarted network service, a link that goes down, a flushed packet filter. They are set
//! by an apply and kept by a process of the node ([`crate::keep_routes`]), both by what is here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use kubewright_core::observed::Change;
use kubewright_core::resource::{Digest, PacketFilter, ROUTE_PROTOCOL, Routing};
use kubewright_core::wire::NodeError;
use serde_json::Value;

use crate::fault::{Doing as _, fault};
use crate::system::{Command, System, act, ask};

/// The table of nftables.
const TABLE: &str = "kubewright";
/// The chain of iptables.
const CHAIN: &str = "KUBEWRIGHT-MASQUERADE";

/// What is not as it should be.
#[derive(Debug, Default, PartialEq, Eq)]
struct Differences {
    /// Routes that are missing, or lead elsewhere.
    lacking: BTreeMap<String, IpAddr>,
    /// Ranges that kubewright's routes lead to and should not.
    foreign: BTreeSet<String>,
    /// Pods are not hidden from the world outside, or otherwise than they should.
    unmasked: bool,
}

impl Differences {
    fn find(system: &dyn System, wanted: &Routing) -> Result<Self, NodeError> {
        let present = routes(system, wanted)?;
        let lacking = wanted
            .routes
            .iter()
            .filter(|(range, via)| present.get(*range) != Some(*via));
        let foreign = present.keys().filter(|range| !wanted.routes.contains_key(*range));
        Ok(Self {
            lacking: lacking.map(|(range, via)| (range.clone(), *via)).collect(),
            foreign: foreign.cloned().collect(),
            unmasked: !masquerades(system, wanted)?,
        })
    }

    fn describe(&self, wanted: &Routing) -> String {
        let all = wanted.routes.len();
        let mut text = format!("{} of {all} routes", all - self.lacking.len());
        if !self.foreign.is_empty() {
            let _ = write!(text, ", {} too many", self.foreign.len());
        }
        text.push_str(if self.unmasked {
            ", no masquerading"
        } else {
            ", masquerading"
        });
        text
    }
}

/// How routes and masquerading differ from what is wanted.
///
/// # Errors
/// When the programs that tell cannot be run.
pub(crate) fn inspect(system: &dyn System, wanted: &Routing) -> Result<Option<Change>, NodeError> {
    let found = Differences::find(system, wanted)?;
    if found == Differences::default() {
        return Ok(None);
    }
    Ok(Some(Change::Value {
        before: found.describe(wanted),
        after: Differences::default().describe(wanted),
    }))
}

/// Sets what differs and removes what is too much; returns whether there was anything.
///
/// # Errors
/// When a route or rule cannot be set: the rest is.
pub(crate) fn change(system: &dyn System, wanted: &Routing) -> Result<bool, NodeError> {
    let found = Differences::find(system, wanted)?;
    let set = set_routes(system, wanted, &found);
    let hidden = if found.unmasked {
        masquerade(system, wanted)
    } else {
        Ok(())
    };
    set.and(hidden)?;
    Ok(found != Differences::default())
}

fn family(wanted: &Routing) -> &'static str {
    if wanted.is_ipv6() { "-6" } else { "-4" }
}

/// kubewright's routes: range to gateway.
fn routes(system: &dyn System, wanted: &Routing) -> Result<BTreeMap<String, IpAddr>, NodeError> {
    let arguments = [family(wanted), "-json", "route", "show", "proto", ROUTE_PROTOCOL];
    let output = ask(system, &Command::new("ip", &arguments))?;
    parse_routes(&output.stdout).ok_or_else(|| fault("look at routes", "ip did not answer with a list"))
}

/// Reads what `ip -json route show` printed; nothing at all is an empty list.
fn parse_routes(text: &str) -> Option<BTreeMap<String, IpAddr>> {
    if text.trim().is_empty() {
        return Some(BTreeMap::new());
    }
    let list: Vec<Value> = serde_json::from_str(text).ok()?;
    // One without a gateway leads nowhere of ours.
    let nowhere = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    let route = |route: &Value| {
        let range = route["dst"].as_str()?.to_owned();
        let gateway = route["gateway"].as_str().and_then(|gateway| gateway.parse().ok());
        Some((range, gateway.unwrap_or(nowhere)))
    };
    Some(list.iter().filter_map(route).collect())
}

/// All in one go: a node of a large cluster has a thousand.
fn set_routes(system: &dyn System, wanted: &Routing, found: &Differences) -> Result<(), NodeError> {
    let mut batch = String::new();
    for range in &found.foreign {
        let _ = writeln!(batch, "route del {range} proto {ROUTE_PROTOCOL}");
    }
    for (range, via) in &found.lacking {
        let _ = writeln!(batch, "route replace {range} via {via} proto {ROUTE_PROTOCOL}");
    }
    if batch.is_empty() {
        return Ok(());
    }
    // One that cannot be set yet keeps none of the others from being set.
    feed(
        system,
        &Command::new("ip", &[family(wanted), "-force", "-batch", "-"]),
        &batch,
    )
}

fn feed(system: &dyn System, command: &Command, input: &str) -> Result<(), NodeError> {
    system.effect(&command.line()).doing(|| command.line())?;
    let output = system
        .feed(command, &mut input.as_bytes())
        .doing(|| format!("run {}", command.line()))?;
    output.ok(command).map(drop)
}

fn masquerades(system: &dyn System, wanted: &Routing) -> Result<bool, NodeError> {
    match wanted.filter {
        PacketFilter::Nftables => {
            let arguments = ["--json", "list", "table", nft_family(wanted), TABLE];
            let command = Command::new("nft", &arguments);
            let output = system.run(&command).doing(|| format!("run {}", command.line()))?;
            Ok(output.success && has_rule(&output.stdout, &mark(wanted)))
        }
        PacketFilter::Iptables => {
            let command = iptables(wanted, &["-S", CHAIN]);
            let output = system.run(&command).doing(|| format!("run {}", command.line()))?;
            if !output.success || !output.stdout.lines().eq(chain(wanted)) {
                return Ok(false);
            }
            let jump = iptables(wanted, &["-C", "POSTROUTING", "-s", &wanted.pods, "-j", CHAIN]);
            let output = system.run(&jump).doing(|| format!("run {}", jump.line()))?;
            Ok(output.success)
        }
    }
}

fn masquerade(system: &dyn System, wanted: &Routing) -> Result<(), NodeError> {
    match wanted.filter {
        PacketFilter::Nftables => feed(system, &Command::new("nft", &["-f", "-"]), &rules(wanted)),
        PacketFilter::Iptables => {
            // Fails where the chain is there.
            let _ = act(system, &iptables(wanted, &["-N", CHAIN]));
            act(system, &iptables(wanted, &["-F", CHAIN]))?;
            for line in chain(wanted).skip(1) {
                let words: Vec<&str> = line.split(' ').collect();
                act(system, &iptables(wanted, &words))?;
            }
            let jump = ["POSTROUTING", "-s", &wanted.pods, "-j", CHAIN];
            let is_there = [&["-C"], jump.as_slice()].concat();
            let output = system.run(&iptables(wanted, &is_there));
            if !output.is_ok_and(|output| output.success) {
                act(system, &iptables(wanted, &[&["-A"], jump.as_slice()].concat()))?;
            }
            Ok(())
        }
    }
}

fn nft_family(wanted: &Routing) -> &'static str {
    if wanted.is_ipv6() { "ip6" } else { "ip" }
}

/// The one rule, without its mark.
fn rule(wanted: &Routing) -> String {
    let family = nft_family(wanted);
    format!(
        "{family} saddr {} {family} daddr != {{ {} }} masquerade fully-random",
        wanted.pods,
        wanted.inside.join(", ")
    )
}

/// What tells our rule from another one, or an older one: nft prints rules otherwise than it reads them.
fn mark(wanted: &Routing) -> String {
    format!("kubewright {}", Digest::of(rule(wanted).as_bytes()).short())
}

fn rules(wanted: &Routing) -> String {
    let family = nft_family(wanted);
    format!(
        "table {family} {TABLE}\n\
         delete table {family} {TABLE}\n\
         table {family} {TABLE} {{\n\
         \tchain postrouting {{\n\
         \t\ttype nat hook postrouting priority srcnat; policy accept;\n\
         \t\t{} comment \"{}\"\n\
         \t}}\n\
         }}\n",
        rule(wanted),
        mark(wanted),
    )
}

/// Whether what `nft --json list table` printed is one chain after routing with our rule in it, and nothing else.
fn has_rule(text: &str, mark: &str) -> bool {
    let listing: Value = serde_json::from_str(text).unwrap_or_default();
    let entries = listing["nftables"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let of = |kind: &'static str| {
        entries
            .iter()
            .map(move |entry| &entry[kind])
            .filter(|it| !it.is_null())
    };
    let mut chains = of("chain");
    let mut rules = of("rule");
    let (Some(chain), None, Some(rule), None) = (chains.next(), chains.next(), rules.next(), rules.next())
    else {
        return false;
    };
    let hides = rule["expr"].as_array().into_iter().flatten();
    chain["type"] == "nat"
        && chain["hook"] == "postrouting"
        && rule["comment"] == mark
        && hides
            .into_iter()
            .any(|expression| !expression["masquerade"].is_null())
}

fn iptables(wanted: &Routing, words: &[&str]) -> Command {
    let program = if wanted.is_ipv6() { "ip6tables" } else { "iptables" };
    Command::new(program, &[&["-w", "-t", "nat"], words].concat())
}

/// The chain as `iptables -S` prints it.
fn chain(wanted: &Routing) -> impl Iterator<Item = String> {
    let whole = if wanted.is_ipv6() { 128 } else { 32 };
    let inside = wanted.inside.iter().map(move |place| {
        let length = if place.contains('/') {
            String::new()
        } else {
            format!("/{whole}")
        };
        format!("-A {CHAIN} -d {place}{length} -j RETURN")
    });
    std::iter::once(format!("-N {CHAIN}"))
        .chain(inside)
        .chain([format!("-A {CHAIN} -j MASQUERADE --random-fully")])
}

#[cfg(test)]
#[path = "routing_tests.rs"]
mod tests;

#[cfg(test)]
pub(crate) use tests::example;
