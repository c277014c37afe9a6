//! How full etcd's database is. At its quota etcd raises an alarm and refuses every write: nothing in the cluster can change
//! any more. So it is told long before, with what makes room.
//!
//! The size of the file counts (etcd compares it with the quota), not the part of it that is in use: what is deleted leaves
//! free pages, and only a defragmentation makes the file smaller.

use std::fmt;

use crate::observed::Observed;
use crate::spec::{Cluster, ComponentName};

/// From here on it is told, percent of the quota.
const FILLING: u64 = 60;
/// From here on something has to be done soon.
const NEARLY_FULL: u64 = 80;
/// The quota unless cluster.yaml says another: the most that etcd recommends.
pub(super) const QUOTA: u64 = 8 << 30;
/// What etcd makes of a quota of 0.
const QUOTA_OF_ETCD: u64 = 2 << 30;
/// The argument that sets it.
pub(super) const QUOTA_ARGUMENT: &str = "quota-backend-bytes";

/// How full the database of a member is, when that has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filling {
    /// The member's control plane.
    pub node: String,
    /// The size of its file, bytes.
    pub bytes: u64,
    /// The part of the file that is in use, bytes; `None` when the member did not say.
    pub used_bytes: Option<u64>,
    /// The size at which etcd refuses writes, bytes.
    pub quota_bytes: u64,
}

impl Filling {
    /// Every database that fills so much of its quota that it has to be told, in the order of cluster.yaml.
    pub fn all(cluster: &Cluster, observed: &Observed) -> Vec<Self> {
        let Some(quota_bytes) = quota(cluster) else {
            return Vec::new();
        };
        let own = |name: &str| observed.etcd.as_ref()?.own.get(name)?.as_ref().ok();
        let filling = cluster.control_planes().filter_map(|node| {
            let name = node.name.as_str();
            let on_disk = observed
                .nodes
                .get(name)
                .map(|seen| seen.facts.etcd_database_bytes);
            let told = own(name);
            Some(Self {
                node: name.to_owned(),
                bytes: told
                    .map(|own| own.database_bytes)
                    .filter(|bytes| *bytes > 0)
                    .or(on_disk)?,
                used_bytes: told.map(|own| own.used_bytes).filter(|used| *used > 0),
                quota_bytes,
            })
        });
        filling.filter(|filling| filling.percent() >= FILLING).collect()
    }

    /// How much of the quota it fills, percent.
    pub const fn percent(&self) -> u64 {
        self.bytes.saturating_mul(100) / self.quota_bytes
    }

    /// Whether something has to be done soon.
    pub const fn is_nearly_full(&self) -> bool {
        self.percent() >= NEARLY_FULL
    }

    /// What makes room.
    pub fn remedy(&self) -> String {
        let defragment =
            "defragment one control plane after the other, the leader last: etcdctl defrag on it";
        let find = "find what fills it: etcdctl get / --prefix --keys-only on a control plane, counted by the second part of \
                    each key; delete what is not needed";
        let free = self.used_bytes.map(|used| self.bytes.saturating_sub(used));
        match free {
            // Most of it is free pages.
            Some(free) if free > self.bytes / 2 => defragment.to_owned(),
            _ => format!("{find}, then {defragment}"),
        }
    }
}

/// As in `etcd's database on cp-1 fills 61 % of its quota (4.9 of 8.0 GiB, 4.1 GiB in use)`.
impl fmt::Display for Filling {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, quota) = (gibibytes(self.bytes), gibibytes(self.quota_bytes));
        let percent = self.percent();
        let urgent = if self.is_nearly_full() {
            "; at 100 % it refuses every write"
        } else {
            ""
        };
        write!(
            out,
            "etcd's database on {} fills {percent} % of its quota ({bytes} of {quota} GiB",
            self.node
        )?;
        if let Some(used) = self.used_bytes {
            write!(out, ", {} GiB in use", gibibytes(used))?;
        }
        write!(out, "){urgent}")
    }
}

/// With one decimal, rounded down.
fn gibibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 30;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The size at which etcd refuses writes; `None` when cluster.yaml turns that off.
fn quota(cluster: &Cluster) -> Option<u64> {
    let overrides = cluster.components.get(&ComponentName::Etcd);
    let argument = overrides.and_then(|overrides| overrides.extra_args.get(QUOTA_ARGUMENT));
    match argument.map(|text| text.parse::<i64>()) {
        None => Some(QUOTA),
        Some(Ok(0)) => Some(QUOTA_OF_ETCD),
        Some(Ok(bytes)) => u64::try_from(bytes).ok(),
        // etcd refuses it by itself.
        Some(Err(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{EtcdStatus, ObservedEtcd, ObservedNode};
    use crate::spec::parse;

    fn cluster(more: &str) -> Cluster {
        let text = format!(
            "apiVersion: kubewright/v1alpha1\nkind: Cluster\nmetadata: {{ name: prod }}\nspec:\n{more}  nodes:\n    \
             - {{ name: cp-1, address: 192.0.2.1, roles: [control-plane] }}\n"
        );
        parse(&text, "cluster.yaml").unwrap().spec
    }

    /// A control plane whose database has so many bytes on disk, and what its member says of that.
    fn seen(on_disk: u64, told: Option<(u64, u64)>) -> Observed {
        let mut node = ObservedNode::default();
        node.facts.etcd_database_bytes = on_disk;
        let status = told.map(|(database_bytes, used_bytes)| EtcdStatus {
            database_bytes,
            used_bytes,
            ..EtcdStatus::default()
        });
        let status = status.ok_or_else(|| "no answer".to_owned());
        Observed {
            nodes: [("cp-1".to_owned(), node)].into(),
            etcd: Some(ObservedEtcd {
                own: [("cp-1".to_owned(), status)].into(),
                ..ObservedEtcd::default()
            }),
            ..Observed::default()
        }
    }

    fn told(cluster: &Cluster, observed: &Observed) -> Vec<String> {
        Filling::all(cluster, observed)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn is_told_from_sixty_percent_on_and_urgently_from_eighty() {
        let plain = cluster("");
        let percent = |percent: u64| QUOTA / 100 * percent + QUOTA / 200;
        assert_eq!(told(&plain, &seen(percent(59), None)), [""; 0]);
        let filling = "etcd's database on cp-1 fills 60 % of its quota (4.8 of 8.0 GiB)";
        assert_eq!(told(&plain, &seen(percent(60), None)), [filling]);
        let full = "etcd's database on cp-1 fills 80 % of its quota (6.4 of 8.0 GiB, 6.0 GiB in use); at 100 % it refuses \
                    every write";
        assert_eq!(told(&plain, &seen(0, Some((percent(80), 6 << 30)))), [full]);
        assert_eq!(told(&plain, &seen(0, None)), [""; 0]);
    }

    #[test]
    fn the_quota_is_what_the_file_says() {
        let with = |bytes: &str| {
            cluster(&format!(
                "  components: {{ etcd: {{ extraArgs: {{ quota-backend-bytes: \"{bytes}\" }} }} }}\n"
            ))
        };
        let observed = seen(3 << 29, None);
        assert!(told(&with("2147483648"), &observed)[0].contains("fills 75 % of its quota (1.5 of 2.0 GiB)"));
        assert!(told(&with("0"), &observed)[0].contains("fills 75 %"));
        assert_eq!(told(&with("-1"), &observed), [""; 0]);
    }

    #[test]
    fn free_pages_are_given_back_by_defragmenting_and_objects_by_deleting_them() {
        let plain = cluster("");
        let remedy = |used| Filling::all(&plain, &seen(0, Some((7 << 30, used))))[0].remedy();
        assert!(remedy(1 << 30).starts_with("defragment one control plane"));
        assert!(remedy(6 << 30).starts_with("find what fills it"));
        // A member of before 3.4 does not say.
        assert!(remedy(0).starts_with("find what fills it"));
    }
}
