//! Whether each node is a machine of its own: two addresses of one machine, and clones that were not made generic.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::network::is_pod_interface;
use super::text::shown;
use super::{Found, Kind, Look, Subject};

/// UUIDs of firmware that was not given one, without dashes; others are known by their monotony.
const PLACEHOLDERS: [&str; 4] = [
    // An example that firmware authors copied.
    "123456781234567890abcddeefaabbcc",
    "12345678123412341234123456789abc",
    "0123456789abcdef0123456789abcdef",
    // Dell's, where the service tag is missing.
    "4c4c454400002010802080c04f202020",
];

pub(super) fn judge(look: &Look, found: &mut Found) {
    let all: Vec<&Subject> = look.subjects.iter().collect();
    // Two addresses of one machine are reported once.
    let machines = sharing(&all, |subject| Some(subject.facts.machine_id.as_str()));
    machine_ids(&machines, found);
    let single: Vec<&Subject> = all
        .into_iter()
        .filter(|subject| !machines.contains_key(subject.facts.machine_id.as_str()))
        .collect();
    hostnames(&single, found);
    addresses(&single, found);
    hardware(&single, found);
    product_uuids(&single, found);
}

/// Nodes by a value, where more than one has the same.
fn sharing<'a, K: Ord + AsRef<str>>(
    subjects: &[&'a Subject<'a>],
    value: impl Fn(&'a Subject<'a>) -> Option<K>,
) -> BTreeMap<K, Vec<&'a Subject<'a>>> {
    let mut by_value: BTreeMap<K, Vec<&Subject>> = BTreeMap::new();
    for subject in subjects {
        if let Some(value) = value(subject) {
            by_value.entry(value).or_default().push(subject);
        }
    }
    by_value.retain(|value, subjects| !value.as_ref().is_empty() && subjects.len() > 1);
    by_value
}

fn others(subjects: &[&Subject], but: &Subject) -> String {
    let names: Vec<&str> = subjects
        .iter()
        .map(|other| other.name())
        .filter(|name| *name != but.name())
        .collect();
    super::text::names(&names)
}

fn machine_ids(machines: &BTreeMap<&str, Vec<&Subject>>, found: &mut Found) {
    for (id, subjects) in machines {
        for subject in subjects {
            found.error(
                Kind::DuplicateMachineId,
                subject.name(),
                format!(
                    "has the same machine id {} as {}",
                    shown(id),
                    others(subjects, subject)
                ),
                "correct the addresses if this is one machine; on a clone: rm -f /etc/machine-id \
                 /var/lib/dbus/machine-id && systemd-machine-id-setup && reboot",
            );
        }
    }
}

fn hostnames(single: &[&Subject], found: &mut Found) {
    for (name, subjects) in sharing(single, |subject| Some(subject.facts.hostname.as_str())) {
        for subject in &subjects {
            found.error(
                Kind::DuplicateHostname,
                subject.name(),
                format!(
                    "has the same host name {} as {}",
                    shown(name),
                    others(&subjects, subject)
                ),
                format!("hostnamectl set-hostname {}", subject.name()),
            );
        }
    }
}

/// An address that cluster.yaml gives to one node and another one has, too: the one that answers first gets the packets.
fn addresses(single: &[&Subject], found: &mut Found) {
    for subject in single {
        let interfaces = subject.facts.addresses.iter();
        for (interface, addresses) in interfaces.filter(|(name, _)| !is_pod_interface(name)) {
            let taken = single
                .iter()
                .filter(|other| other.name() != subject.name() && addresses.contains(&other.node.address));
            for other in taken {
                found.error(
                    Kind::DuplicateAddress,
                    subject.name(),
                    format!(
                        "{} has {}, which is the address of {}",
                        shown(interface),
                        other.node.address,
                        other.name()
                    ),
                    format!(
                        "give {} an address of its own, or correct the address of {} in cluster.yaml",
                        subject.name(),
                        other.name()
                    ),
                );
            }
        }
    }
}

/// Equal hardware addresses on one network. On different ones, as hypervisors give them by default, they do no harm.
fn hardware(single: &[&Subject], found: &mut Found) {
    let mac = |subject: &Subject<'_>| {
        let (_, link) = own_link(subject)?;
        let mac = link.mac.to_ascii_lowercase();
        (mac.chars().any(|letter| !"0:".contains(letter))).then_some(mac)
    };
    for (mac, subjects) in sharing(single, mac) {
        for subject in &subjects {
            let near: Vec<&Subject> = subjects
                .iter()
                .copied()
                .filter(|other| other.name() != subject.name() && are_on_one_network(subject, other))
                .collect();
            if near.is_empty() {
                continue;
            }
            let interface = own_link(subject).map_or("INTERFACE", |(name, _)| name);
            found.error(
                Kind::DuplicateMac,
                subject.name(),
                format!(
                    "{} has the same MAC address {} as {} on the same network: they receive each other's packets",
                    shown(interface),
                    shown(&mac),
                    others(&near, subject)
                ),
                "give the clone's network card another MAC address in the hypervisor, and reboot the clone",
            );
        }
    }
}

/// The interface with the node's address.
fn own_link<'a>(subject: &Subject<'a>) -> Option<(&'a str, &'a crate::observed::Link)> {
    let has = |link: &crate::observed::Link| link.prefixes.contains_key(&subject.node.address);
    let links = subject.facts.links.iter();
    links
        .map(|(name, link)| (name.as_str(), link))
        .find(|(_, link)| has(link))
}

fn are_on_one_network(one: &Subject, other: &Subject) -> bool {
    let length = |subject: &Subject<'_>| {
        let (_, link) = own_link(subject)?;
        link.prefixes.get(&subject.node.address).copied()
    };
    let (Some(length), Some(_)) = (length(one), length(other)) else {
        return false;
    };
    network(one.node.address, length) == network(other.node.address, length)
}

/// The network part of an address; IPv4 and IPv6 ones are never equal.
fn network(address: IpAddr, length: u8) -> (bool, u128) {
    let (is_four, bits, size) = match address {
        IpAddr::V4(four) => (true, u128::from(four.to_bits()), 32),
        IpAddr::V6(six) => (false, six.to_bits(), 128),
    };
    let host = size - u32::from(length).min(size);
    (is_four, bits.checked_shr(host).unwrap_or(0))
}

fn product_uuids(single: &[&Subject], found: &mut Found) {
    for (uuid, subjects) in sharing(single, |subject| uuid(&subject.facts.product_uuid)) {
        for subject in &subjects {
            found.warning(
                Kind::DuplicateProductUuid,
                subject.name(),
                format!(
                    "has the same SMBIOS product UUID ({}) as {}; some CSI drivers and cloud controllers identify machines by it",
                    shown(&uuid),
                    others(&subjects, subject)
                ),
                "give the clone its own UUID in the hypervisor (such as `uuid` in libvirt or `uuid.bios` in VMware), and boot \
                 it again",
            );
        }
    }
}

/// A number that is one: not what firmware says when it has none.
fn uuid(text: &str) -> Option<String> {
    let digits: String = text
        .chars()
        .filter(|character| *character != '-')
        .map(|character| character.to_ascii_lowercase())
        .collect();
    let is_number = digits.len() == 32 && digits.chars().all(|digit| digit.is_ascii_hexdigit());
    let is_known = PLACEHOLDERS.iter().any(|placeholder| digits == *placeholder);
    // `00000000-…`, `ffffffff-…`, `03000200-0400-0500-0006-000700080009`: a number drawn by lot has each digit about twice.
    let is_monotonous = "0123456789abcdef"
        .chars()
        .any(|digit| digits.chars().filter(|other| *other == digit).count() > 12);
    (is_number && !is_known && !is_monotonous).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_placeholder_for_a_number() {
        for placeholder in [
            "",
            "Not Settable",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
            "03000200-0400-0500-0006-000700080009",
            "00020003-0004-0005-0006-000700080009",
            "12345678-1234-5678-90ab-cddeefaabbcc",
            "4c4c4544-0000-2010-8020-80c04f202020",
            "00000000-0000-0000-0000-ac1f6b0a1b2c",
        ] {
            assert_eq!(uuid(placeholder), None, "{placeholder}");
        }
        let number = "4C4C4544-0051-3610-8052-B4C04F4E4D32";
        assert_eq!(uuid(number), Some(number.to_lowercase()));
    }

    #[test]
    fn knows_the_network_of_an_address() {
        let of = |address: &str, length| network(address.parse().unwrap(), length);
        assert_eq!(of("192.0.2.11", 24), of("192.0.2.200", 24));
        assert_ne!(of("192.0.2.11", 25), of("192.0.2.200", 25));
        assert_eq!(of("192.0.2.11", 0), of("198.51.100.1", 0));
        assert_eq!(of("2001:db8::1", 200), of("2001:db8::1", 128));
        assert_ne!(of("2001:db8::1", 0), of("192.0.2.11", 0));
    }
}
