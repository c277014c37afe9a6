//! Programs of the operating system that a component runs, itself or by the commands of its unit.

use crate::spec::{Cluster, ProxyMode};

/// A program of the operating system, and when it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name; it is searched in the system's directories.
    pub program: &'static str,
    /// When it is run.
    pub when: When,
}

/// When a program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// On every node that has the component.
    Always,
    /// Where the rules for services, and with them the network's own, are nftables'.
    Nftables,
    /// Where they are iptables'.
    Iptables,
}

impl Call {
    /// A program that is run on every node that has the component.
    pub const fn always(program: &'static str) -> Self {
        Self {
            program,
            when: When::Always,
        }
    }

    /// A program that is run where rules are nftables'.
    pub const fn for_nftables(program: &'static str) -> Self {
        Self {
            program,
            when: When::Nftables,
        }
    }

    /// A program that is run where rules are iptables'.
    pub const fn for_iptables(program: &'static str) -> Self {
        Self {
            program,
            when: When::Iptables,
        }
    }

    /// Whether a cluster's nodes run it.
    pub fn is_for(self, cluster: &Cluster) -> bool {
        match self.when {
            When::Always => true,
            When::Nftables => cluster.network.proxy != ProxyMode::Iptables,
            When::Iptables => cluster.network.proxy == ProxyMode::Iptables,
        }
    }
}
