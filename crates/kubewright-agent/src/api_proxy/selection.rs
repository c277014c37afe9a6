//! Which backend a new connection goes to, and in what order the others follow. Pure.
//!
//! The local API server first while it is ready, then ready ones by fewest connections, with a start that differs from
//! node to node. When the ready ones refuse, the others are tried in order of hope; a hung one, which would take the connection
//! and hold it, only when nothing is known to be ready. A backend with a foreign certificate is never tried.

use std::net::SocketAddr;

use super::verdict::{Failure, Health};

/// What selection looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// What checks say.
    pub(super) health: Health,
    /// Runs on this node.
    pub(super) is_local: bool,
    /// No longer listed by the API.
    pub(super) is_demoted: bool,
    /// Connections through it now.
    pub(super) connections: usize,
}

impl Candidate {
    /// The class of hope, best first; `None` for one that must not be used.
    fn class(&self, any_is_ready: bool) -> Option<u8> {
        let demoted = u8::from(self.is_demoted);
        match self.health {
            Health::Ready if self.is_local => Some(0),
            Health::Ready => Some(1 + demoted),
            Health::Unknown => Some(3 + demoted),
            Health::Down(Failure::Status(_) | Failure::Refused | Failure::Broken) => Some(5 + demoted),
            Health::Down(Failure::TimedOut) if any_is_ready => None,
            Health::Down(Failure::TimedOut) => Some(7 + demoted),
            Health::Down(Failure::Untrusted) => None,
        }
    }
}

/// Puts the candidates in the order in which to try them; `seed` is the node's own.
pub(super) fn order(candidates: &[Candidate], seed: u64) -> Vec<SocketAddr> {
    let any_is_ready = candidates
        .iter()
        .any(|candidate| candidate.health == Health::Ready);
    let mut ranked: Vec<_> = candidates
        .iter()
        .filter_map(|candidate| {
            let class = candidate.class(any_is_ready)?;
            Some((
                class,
                candidate.connections,
                mix(seed, candidate.address),
                candidate.address,
            ))
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, _, _, address)| address).collect()
}

/// A number for this node and this backend (FNV-1a), so that equally good ones are tried in another order on each node.
fn mix(seed: u64, address: SocketAddr) -> u64 {
    let ip = match address {
        SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped(),
        SocketAddr::V6(v6) => *v6.ip(),
    };
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in seed
        .to_le_bytes()
        .into_iter()
        .chain(ip.octets())
        .chain(address.port().to_le_bytes())
    {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // The low bytes of FNV-1a depend little on the last input bytes; fold the high half in.
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 6443))
    }

    fn candidate(last: u8, health: Health) -> Candidate {
        Candidate {
            address: address(last),
            health,
            is_local: false,
            is_demoted: false,
            connections: 0,
        }
    }

    #[test]
    fn prefers_the_local_server_when_ready_however_busy() {
        let mut local = candidate(1, Health::Ready);
        local.is_local = true;
        local.connections = 100;
        assert_eq!(order(&[candidate(2, Health::Ready), local], 7)[0], address(1));
    }

    #[test]
    fn leaves_the_local_server_when_it_is_down() {
        let mut local = candidate(1, Health::Down(Failure::Status(500)));
        local.is_local = true;
        assert_eq!(
            order(&[local, candidate(2, Health::Ready)], 7),
            [address(2), address(1)]
        );
    }

    #[test]
    fn takes_the_one_with_fewest_connections() {
        let mut busy = candidate(1, Health::Ready);
        busy.connections = 3;
        for seed in 0..32 {
            assert_eq!(
                order(&[busy, candidate(2, Health::Ready)], seed),
                [address(2), address(1)]
            );
        }
    }

    #[test]
    fn nodes_start_at_different_backends() {
        let candidates: Vec<_> = (1..=3).map(|last| candidate(last, Health::Ready)).collect();
        let mut firsts = [0_u32; 4];
        for seed in 0..300_u64 {
            let first = order(&candidates, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))[0];
            let last = (1..=3).find(|last| address(*last) == first).unwrap();
            firsts[usize::from(last)] += 1;
        }
        assert!(
            firsts[1..].iter().all(|count| (60..=140).contains(count)),
            "{firsts:?}"
        );
    }

    #[test]
    fn the_same_node_keeps_its_order() {
        let candidates: Vec<_> = (1..=3).map(|last| candidate(last, Health::Ready)).collect();
        let reversed: Vec<_> = candidates.iter().rev().copied().collect();
        assert_eq!(order(&candidates, 42), order(&reversed, 42));
    }

    #[test]
    fn uses_demoted_ones_only_after_members_of_the_same_health() {
        let mut demoted = candidate(1, Health::Ready);
        demoted.is_demoted = true;
        let mut member = candidate(2, Health::Ready);
        member.connections = 50;
        let down = candidate(3, Health::Down(Failure::Refused));
        assert_eq!(
            order(&[down, demoted, member], 1),
            [address(2), address(1), address(3)]
        );
    }

    #[test]
    fn never_uses_a_foreign_certificate_even_alone() {
        assert!(order(&[candidate(1, Health::Down(Failure::Untrusted))], 1).is_empty());
    }

    #[test]
    fn tries_a_hung_one_last_and_only_when_nothing_is_ready() {
        let hung = candidate(1, Health::Down(Failure::TimedOut));
        let refused = candidate(2, Health::Down(Failure::Refused));
        assert_eq!(order(&[hung, refused], 1), [address(2), address(1)]);
        assert_eq!(order(&[hung, candidate(3, Health::Ready)], 1), [address(3)]);
    }

    #[test]
    fn hopes_for_the_unknown_before_the_down() {
        let down = candidate(1, Health::Down(Failure::Refused));
        assert_eq!(
            order(&[down, candidate(2, Health::Unknown)], 1),
            [address(2), address(1)]
        );
    }
}
