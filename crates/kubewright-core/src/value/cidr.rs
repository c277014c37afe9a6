//! Address ranges in CIDR notation, for IPv4 and IPv6.
//!
//! Small on purpose: what a cluster's ranges need (contains, overlaps, the n-th address, the n-th subnet), with
//! nothing that could round or truncate silently.

use super::{ValueError, shorten, written_as_string};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address range such as `10.244.0.0/16`. Bits after the prefix are always zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Makes a range; `None` when the prefix is longer than the address or the address has bits after the prefix.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let candidate = Self { address, prefix };
        (prefix <= candidate.width() && candidate.network_number() == to_number(address)).then_some(candidate)
    }

    /// Returns the first address of the range.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the number of fixed bits.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Returns whether this is an IPv4 range.
    pub const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Returns whether the address lies in this range. An address of the other family never does.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4()
            && mask(to_number(address), self.width(), self.prefix) == self.network_number()
    }

    /// Returns whether any address lies in both ranges.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// Returns the n-th address, 0 being the range's own; `None` when the range is smaller than that.
    pub fn nth(&self, index: u128) -> Option<IpAddr> {
        let host_bits = u32::from(self.width() - self.prefix);
        if host_bits < 128 && index >= 1_u128 << host_bits {
            return None;
        }
        Some(self.to_address(self.network_number() + index))
    }

    /// Returns the n-th subnet of the given prefix length; `None` when there is none.
    pub fn subnet(&self, prefix: u8, index: u128) -> Option<Self> {
        if prefix < self.prefix || prefix > self.width() {
            return None;
        }
        let bits = u32::from(prefix - self.prefix);
        if bits < 128 && index >= 1_u128 << bits {
            return None;
        }
        let shift = u32::from(self.width() - prefix);
        let offset = if shift >= 128 { 0 } else { index << shift };
        Some(Self {
            address: self.to_address(self.network_number() + offset),
            prefix,
        })
    }

    /// Returns how many subnets of the given prefix length fit, at most `u128::MAX`.
    pub fn subnet_count(&self, prefix: u8) -> u128 {
        match prefix.checked_sub(self.prefix) {
            None => 0,
            Some(bits) => 1_u128.checked_shl(u32::from(bits)).unwrap_or(u128::MAX),
        }
    }

    /// Returns how many addresses the range holds, at most `u128::MAX`.
    pub fn address_count(&self) -> u128 {
        self.subnet_count(self.width())
    }

    const fn width(&self) -> u8 {
        if self.is_ipv4() { 32 } else { 128 }
    }

    fn network_number(&self) -> u128 {
        mask(to_number(self.address), self.width(), self.prefix)
    }

    fn to_address(self, number: u128) -> IpAddr {
        if self.is_ipv4() {
            IpAddr::V4(Ipv4Addr::from_bits(number as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(number))
        }
    }
}

fn to_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Clears the bits after the prefix of a number `width` bits wide.
fn mask(number: u128, width: u8, prefix: u8) -> u128 {
    let host_bits = u32::from(width.saturating_sub(prefix));
    if host_bits >= 128 {
        0
    } else {
        (number >> host_bits) << host_bits
    }
}

impl FromStr for Cidr {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        const HINT: &str = "write an address and a prefix length, such as `10.244.0.0/16`";
        let shown = shorten(text);
        let Some((address, prefix)) = text.split_once('/') else {
            return Err(ValueError::new(format!("`{shown}` has no prefix length"), HINT));
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Err(ValueError::new(
                format!("`{shown}` does not begin with an address"),
                HINT,
            ));
        };
        let width: u8 = if address.is_ipv4() { 32 } else { 128 };
        let is_plain = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let Some(prefix) = is_plain
            .then(|| prefix.parse::<u8>().ok())
            .flatten()
            .filter(|p| *p <= width)
        else {
            return Err(ValueError::new(
                format!("`{shown}` has a prefix length that is not a number from 0 to {width}"),
                HINT,
            ));
        };
        let range = Self { address, prefix };
        let network = range.to_address(range.network_number());
        if network != address {
            return Err(ValueError::new(
                format!("`{shown}` is an address inside a range, not a range"),
                format!("write `{network}/{prefix}` if you mean the range it lies in"),
            ));
        }
        Ok(range)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.prefix))
    }
}

written_as_string!(Cidr, "Cidr", { "pattern": r"^[0-9a-fA-F.:]+/\d{1,3}$" });

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn counts_addresses_and_subnets() {
        let pods = cidr("10.244.0.0/16");
        assert_eq!(pods.nth(0).unwrap().to_string(), "10.244.0.0");
        assert_eq!(pods.nth(257).unwrap().to_string(), "10.244.1.1");
        assert_eq!(pods.nth(65536), None);
        assert_eq!(pods.subnet(24, 3).unwrap().to_string(), "10.244.3.0/24");
        assert_eq!(pods.subnet(24, 256), None);
        assert_eq!(pods.subnet_count(24), 256);
        assert_eq!(cidr("10.0.0.0/25").subnet_count(24), 0);
        assert_eq!(
            cidr("fd00::/48").subnet(64, 2).unwrap().to_string(),
            "fd00:0:0:2::/64"
        );
        assert_eq!(
            cidr("::/0").nth(u128::MAX).unwrap().to_string(),
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        );
        assert_eq!(cidr("0.0.0.0/0").nth(1 << 32), None);
        assert_eq!(cidr("::/0").subnet(0, 0), Some(cidr("::/0")));
    }

    #[test]
    fn knows_what_it_contains_and_overlaps() {
        assert!(cidr("10.96.0.0/16").contains("10.96.0.10".parse().unwrap()));
        assert!(!cidr("10.96.0.0/16").contains("10.97.0.1".parse().unwrap()));
        assert!(!cidr("0.0.0.0/0").contains("::1".parse().unwrap()));
        assert!(cidr("10.0.0.0/8").overlaps(&cidr("10.96.0.0/16")));
        assert!(cidr("10.96.0.0/16").overlaps(&cidr("10.0.0.0/8")));
        assert!(!cidr("10.96.0.0/16").overlaps(&cidr("10.244.0.0/16")));
    }

    #[test]
    fn an_unusable_range_says_why_and_offers_the_right_one() {
        let error = |text: &str| text.parse::<Cidr>().unwrap_err();
        assert_eq!(
            error("10.244.0.0").to_string(),
            "`10.244.0.0` has no prefix length"
        );
        assert_eq!(
            error("10.244.0.0/33").to_string(),
            "`10.244.0.0/33` has a prefix length that is not a number from 0 to 32"
        );
        assert_eq!(
            error("pods/16").to_string(),
            "`pods/16` does not begin with an address"
        );
        assert_eq!(
            error("10.244.3.1/16").hint,
            "write `10.244.0.0/16` if you mean the range it lies in"
        );
        assert!("10.244.0.0/+6".parse::<Cidr>().is_err());
    }

    proptest! {
        #[test]
        fn every_subnet_lies_in_its_range_and_overlaps_no_other(base in any::<u32>(), prefix in 8_u8..24, a in 0_u128..200, b in 0_u128..200) {
            let network = IpAddr::V4(Ipv4Addr::from_bits(mask(u128::from(base), 32, prefix) as u32));
            let range = Cidr::new(network, prefix).unwrap();
            if let (Some(first), Some(second)) = (range.subnet(24, a), range.subnet(24, b)) {
                prop_assert!(range.contains(first.address()));
                prop_assert_eq!(first.overlaps(&second), a == b);
            }
            prop_assert_eq!(range.to_string().parse::<Cidr>().unwrap(), range);
        }
    }
}
