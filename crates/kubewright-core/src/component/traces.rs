//! What a component leaves on a node besides what it was given, and how another one of its kind is recognised.

/// What a component leaves behind by itself; a reset removes all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traces {
    /// Directories whose content is the cluster's, whoever wrote it.
    pub directories: &'static [&'static str],
    /// Network interfaces.
    pub links: &'static [&'static str],
    /// Tables of nftables.
    pub tables: &'static [&'static str],
    /// Chains of iptables, by the beginnings of their names.
    pub chains: &'static [&'static str],
}

impl Traces {
    /// Nothing.
    pub const NONE: Self = Self {
        directories: &[],
        links: &[],
        tables: &[],
        chains: &[],
    };
}

/// Another installation of the same component, which would get in the way of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rival {
    /// What it is called, as in `another kubelet`.
    pub of: &'static str,
    /// What takes it away, once its unit is stopped.
    pub remedy: &'static str,
    /// What tells of its unit, which is called as ours.
    pub unit: Option<UnitTrace>,
    /// Paths it leaves. Ours would go on with what is in them.
    pub paths: &'static [&'static str],
    /// Its network interfaces, by the beginnings of their names.
    pub links: &'static [&'static str],
    /// Its chains in the packet filter, by the beginnings of their names.
    pub chains: &'static [&'static str],
}

impl Rival {
    /// A rival nothing is known to tell of.
    pub const fn new(of: &'static str, remedy: &'static str) -> Self {
        Self {
            of,
            remedy,
            unit: None,
            paths: &[],
            links: &[],
            chains: &[],
        }
    }
}

/// What tells of a unit that is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitTrace {
    /// Its file, where ours goes.
    File,
    /// That it runs; packages leave their files where nobody wants them.
    Running,
}
