//! Who the API servers are: what the configuration says, what the API says, what was said before. Pure.
//!
//! The API lists only servers that are up (their leases expire after 15 s), so an address that vanishes from the list is
//! kept as a former member for a week, as a last resort: two control planes that were down for a minute must be found
//! again after the third has died. An empty list never makes the proxy forget.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// How many addresses of each sort are kept; more than any sensible cluster has.
const MAX_ADDRESSES: usize = 32;
/// How long a former member is kept, in seconds.
const FORMER_SECONDS: u64 = 7 * 24 * 3600;

/// How a backend came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Listed by the API, or there is no list to say otherwise.
    Member,
    /// The API does not list it; used as a last resort.
    Demoted,
}

/// What is remembered on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Remembered {
    /// What the API listed last.
    pub(super) listed: BTreeSet<SocketAddr>,
    /// What it listed before, with the time (seconds since 1970) at which it no longer did.
    #[serde(default)]
    pub(super) former: BTreeMap<SocketAddr, u64>,
}

/// The members as known now.
#[derive(Debug, Clone)]
pub(super) struct Members {
    configured: BTreeSet<SocketAddr>,
    local: Option<SocketAddr>,
    itself: SocketAddr,
    remembered: Remembered,
    is_confirmed: bool,
}

impl Members {
    /// Starts from the configuration and what an earlier run remembered; `itself` is never a member.
    pub(super) fn new(
        configured: impl IntoIterator<Item = SocketAddr>,
        local: Option<SocketAddr>,
        itself: SocketAddr,
        mut remembered: Remembered,
    ) -> Self {
        remembered.listed.remove(&itself);
        remembered.former.remove(&itself);
        Self {
            configured: configured.into_iter().collect(),
            local,
            itself,
            remembered,
            is_confirmed: false,
        }
    }

    /// Takes in a list from the API and says whether what must be remembered has changed.
    pub(super) fn learn(&mut self, mut list: BTreeSet<SocketAddr>, now_seconds: u64) -> bool {
        list.remove(&self.itself);
        while list.len() > MAX_ADDRESSES {
            list.pop_last();
        }
        if list.is_empty() {
            return false;
        }
        self.is_confirmed = true;
        let before = self.remembered.clone();
        let gone: Vec<_> = self.remembered.listed.difference(&list).copied().collect();
        self.remembered
            .former
            .extend(gone.into_iter().map(|address| (address, now_seconds)));
        self.remembered.former.retain(|address, since| {
            !list.contains(address) && now_seconds.saturating_sub(*since) < FORMER_SECONDS
        });
        while self.remembered.former.len() > MAX_ADDRESSES {
            let oldest = self
                .remembered
                .former
                .iter()
                .min_by_key(|(_, since)| **since)
                .map(|(address, _)| *address);
            oldest.map(|address| self.remembered.former.remove(&address));
        }
        self.remembered.listed = list;
        self.remembered != before
    }

    /// What to write to disk.
    pub(super) const fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    /// Everything to check and use, with its standing.
    pub(super) fn standings(&self) -> BTreeMap<SocketAddr, Standing> {
        let mut standings: BTreeMap<_, _> = self
            .remembered
            .former
            .keys()
            .map(|address| (*address, Standing::Demoted))
            .collect();
        // Until the API has been asked in this run, the file may be newer than the memory: both count.
        let configured = if self.is_confirmed {
            Standing::Demoted
        } else {
            Standing::Member
        };
        standings.extend(self.configured.iter().map(|address| (*address, configured)));
        standings.extend(
            self.remembered
                .listed
                .iter()
                .map(|address| (*address, Standing::Member)),
        );
        // The local server is a fact of this node, not of the list: it is ready before its lease is in the API.
        standings.extend(self.local.map(|address| (address, Standing::Member)));
        standings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 6443))
    }

    fn list(lasts: &[u8]) -> BTreeSet<SocketAddr> {
        lasts.iter().map(|last| address(*last)).collect()
    }

    fn members(configured: &[u8], remembered: Remembered) -> Members {
        Members::new(
            list(configured),
            None,
            SocketAddr::from(([127, 0, 0, 1], 7443)),
            remembered,
        )
    }

    #[test]
    fn starts_with_configured_and_remembered_alike() {
        let remembered = Remembered {
            listed: list(&[4]),
            former: BTreeMap::new(),
        };
        let standings = members(&[1, 2], remembered).standings();
        assert_eq!(standings.len(), 3);
        assert!(standings.values().all(|standing| *standing == Standing::Member));
    }

    #[test]
    fn demotes_configured_ones_the_api_no_longer_lists() {
        let mut members = members(&[1, 2], Remembered::default());
        assert!(members.learn(list(&[2, 3]), 0));
        let standings = members.standings();
        assert_eq!(standings[&address(1)], Standing::Demoted);
        assert_eq!(standings[&address(2)], Standing::Member);
        assert_eq!(standings[&address(3)], Standing::Member);
    }

    #[test]
    fn ignores_an_empty_list() {
        let mut members = members(&[1], Remembered::default());
        members.learn(list(&[2]), 0);
        assert!(!members.learn(BTreeSet::new(), 1));
        assert_eq!(members.standings()[&address(2)], Standing::Member);
    }

    #[test]
    fn says_nothing_changed_when_nothing_did() {
        let mut members = members(&[1], Remembered::default());
        assert!(members.learn(list(&[1, 2]), 0));
        assert!(!members.learn(list(&[1, 2]), 100));
    }

    #[test]
    fn keeps_former_members_for_a_week_as_last_resort() {
        let mut members = members(&[], Remembered::default());
        members.learn(list(&[1, 2, 3]), 0);
        members.learn(list(&[3]), 100);
        assert_eq!(members.standings()[&address(1)], Standing::Demoted);
        members.learn(list(&[2, 3]), 200);
        assert_eq!(members.standings()[&address(2)], Standing::Member);
        members.learn(list(&[2, 3]), 100 + FORMER_SECONDS);
        assert!(!members.standings().contains_key(&address(1)));
    }

    #[test]
    fn never_becomes_its_own_backend() {
        let itself = SocketAddr::from(([127, 0, 0, 1], 7443));
        let mut members = members(&[1], Remembered::default());
        members.learn([itself, address(1)].into(), 0);
        assert!(!members.standings().contains_key(&itself));
    }

    #[test]
    fn the_local_server_is_a_member_whatever_the_list_says() {
        let mut members = Members::new(
            list(&[1, 2]),
            Some(address(1)),
            SocketAddr::from(([127, 0, 0, 1], 7443)),
            Remembered::default(),
        );
        members.learn(list(&[2]), 0);
        assert_eq!(members.standings()[&address(1)], Standing::Member);
    }

    #[test]
    fn bounds_what_a_hostile_list_can_make_it_keep() {
        let mut members = members(&[], Remembered::default());
        let many = |from: u8| (from..from + 100).map(address).collect::<BTreeSet<_>>();
        members.learn(many(0), 0);
        members.learn(many(100), 1);
        members.learn(many(50), 2);
        assert!(members.standings().len() <= 2 * MAX_ADDRESSES);
    }
}
