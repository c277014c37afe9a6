//! The subnet of a lab: 10.83.K.0/24 with the smallest K that neither a lab nor this computer uses.
//!
//! K also numbers the bridge and prefixes machine names, so a lab that has its own K shares nothing with another.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The last byte of the first machine's address; below it are the bridge and room for a load balancer.
const FIRST_MACHINE: u8 = 11;

/// The most machines one lab can have.
pub(crate) const MACHINE_LIMIT: usize = 200;

/// The number K of a lab's subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Subnet(u8);

/// An IPv4 network as the kernel's routing table lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) network: Ipv4Addr,
    pub(crate) prefix_length: u8,
}

impl Subnet {
    /// The smallest subnet that is in no other lab's hands and that no route of this computer already points into.
    ///
    /// Routes wider than the subnet do not matter: the bridge's own, longer prefix wins over them.
    pub(crate) fn allocate(used: &BTreeSet<Self>, routes: &[Route]) -> Option<Self> {
        Self::all().find(|subnet| !used.contains(subnet) && !routes.iter().any(|r| subnet.collides(*r)))
    }

    /// All subnets a lab can have.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (1..=254).map(Self)
    }

    /// The name of the bridge, which also prefixes the machines' names towards systemd-nspawn.
    pub(crate) fn bridge(self) -> String {
        format!("kwl{}", self.0)
    }

    /// The address of the bridge with its prefix length.
    pub(crate) fn gateway_cidr(self) -> String {
        format!("{}/24", self.gateway())
    }

    /// The address of the bridge, which is the machines' default gateway.
    pub(crate) fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 83, self.0, 1)
    }

    /// The address of a machine by its position in the lab, from zero.
    pub(crate) fn machine(self, position: usize) -> Option<Ipv4Addr> {
        if position >= MACHINE_LIMIT {
            return None;
        }
        let last = FIRST_MACHINE.checked_add(u8::try_from(position).ok()?)?;
        Some(Ipv4Addr::new(10, 83, self.0, last))
    }

    fn collides(self, route: Route) -> bool {
        let [a, b, c, _] = route.network.octets();
        route.prefix_length >= 24 && (a, b, c) == (10, 83, self.0)
    }
}

impl Route {
    /// Reads the `dst` of a route: an address, a network with a prefix length, or `default` (which is none).
    pub(crate) fn parse(destination: &str) -> Option<Self> {
        let (network, prefix_length) = destination.split_once('/').unwrap_or((destination, "32"));
        Some(Self {
            network: network.parse().ok()?,
            prefix_length: prefix_length.parse().ok()?,
        })
    }
}

/// Asks the kernel for all IPv4 routes of this computer.
pub(crate) fn routes() -> Result<Vec<Route>> {
    #[derive(Deserialize)]
    struct Line {
        dst: String,
    }
    let text = crate::tool::run("ip", ["-json", "-4", "route", "show", "table", "all"])?;
    let lines: Vec<Line> =
        serde_json::from_str(text.trim()).context("read the output of `ip -json route`")?;
    Ok(lines.iter().filter_map(|line| Route::parse(&line.dst)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> Route {
        Route::parse(text).unwrap()
    }

    #[test]
    fn first_lab_gets_the_first_subnet() {
        assert_eq!(Subnet::allocate(&BTreeSet::new(), &[]), Some(Subnet(1)));
    }

    #[test]
    fn labs_side_by_side_get_different_subnets_and_gaps_are_filled() {
        let used = BTreeSet::from([Subnet(1), Subnet(3)]);
        assert_eq!(Subnet::allocate(&used, &[]), Some(Subnet(2)));
    }

    #[test]
    fn subnets_this_computer_already_uses_are_left_alone() {
        let routes = [
            route("10.83.1.0/24"),
            route("10.83.2.7"),
            route("10.0.0.0/8"),
            route("192.0.2.0/24"),
        ];
        assert_eq!(Subnet::allocate(&BTreeSet::new(), &routes), Some(Subnet(3)));
    }

    #[test]
    fn no_free_subnet_is_not_an_invented_one() {
        let used: BTreeSet<Subnet> = (1..=254).map(Subnet).collect();
        assert_eq!(Subnet::allocate(&used, &[]), None);
    }

    #[test]
    fn default_routes_are_no_network() {
        assert_eq!(Route::parse("default"), None);
    }

    #[test]
    fn names_and_addresses_come_from_the_number() {
        let subnet = Subnet(7);
        assert_eq!(subnet.bridge(), "kwl7");
        assert_eq!(subnet.gateway_cidr(), "10.83.7.1/24");
        assert_eq!(subnet.machine(0), Some(Ipv4Addr::new(10, 83, 7, 11)));
        assert_eq!(subnet.machine(199), Some(Ipv4Addr::new(10, 83, 7, 210)));
        assert_eq!(subnet.machine(200), None);
    }

    #[test]
    fn interface_names_fit_into_fifteen_characters() {
        let longest = format!("vb-{}-{}", Subnet(254).bridge(), MACHINE_LIMIT);
        assert!(longest.len() <= 15, "{longest}");
    }
}
