//! Which difference, when it is repaired, restarts or stops which process.

use super::component_of;
use crate::observed::{Change, Difference, UnitAction};
use crate::resource::ResourceKind;

/// What repairing a difference does to a process that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance<'a> {
    /// No process notices by itself.
    None,
    /// The unit's process is restarted.
    Restarts(&'a str),
    /// The unit's process is stopped for good.
    Stops(&'a str),
}

impl<'a> Disturbance<'a> {
    /// Returns the component whose process is disturbed.
    pub fn component(self) -> Option<&'a str> {
        match self {
            Self::None => None,
            Self::Restarts(unit) | Self::Stops(unit) => component_of(unit),
        }
    }
}

/// Returns what repairing a difference does to a process that runs.
///
/// A unit names what it reads among its inputs: where one of these changes, its own difference says that it restarts.
/// So no other kind of resource disturbs anything.
pub fn disturbance(difference: &Difference) -> Disturbance<'_> {
    let unit = difference.resource.what();
    match (difference.resource.resource_kind(), &difference.change) {
        (Some(ResourceKind::Unit), Change::Unit { action, .. }) => match action {
            UnitAction::Restart => Disturbance::Restarts(unit),
            UnitAction::Start | UnitAction::None => Disturbance::None,
        },
        (Some(ResourceKind::Unit), Change::Orphaned) => Disturbance::Stops(unit),
        (
            Some(ResourceKind::Unit),
            Change::Missing
            | Change::Content { .. }
            | Change::Access { .. }
            | Change::Value { .. }
            | Change::Certificate { .. }
            | Change::Blocked { .. },
        )
        | (
            None
            | Some(
                ResourceKind::User
                | ResourceKind::Directory
                | ResourceKind::File
                | ResourceKind::Symlink
                | ResourceKind::SharedSecret
                | ResourceKind::Certificate
                | ResourceKind::Sysctl
                | ResourceKind::KernelModule
                | ResourceKind::SwapOff
                | ResourceKind::Binary
                | ResourceKind::Image
                | ResourceKind::Routing,
            ),
            _,
        ) => Disturbance::None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Disturbance, disturbance};
    use crate::observed::{Change, Difference, UnitAction};
    use crate::resource::{ResourceId, ResourceKind};

    fn of(kind: ResourceKind, change: Change) -> Difference {
        Difference {
            resource: ResourceId::new(kind.word(), "it"),
            change,
        }
    }

    fn unit(action: UnitAction) -> Change {
        Change::Unit {
            before: None,
            enable: true,
            action,
            found: Vec::new(),
        }
    }

    #[test]
    fn only_a_units_own_difference_disturbs_its_process() {
        let restarts = of(ResourceKind::Unit, unit(UnitAction::Restart));
        assert_eq!(disturbance(&restarts), Disturbance::Restarts("it"));
        let stops = of(ResourceKind::Unit, Change::Orphaned);
        assert_eq!(disturbance(&stops), Disturbance::Stops("it"));
        for change in [unit(UnitAction::Start), unit(UnitAction::None), Change::Missing] {
            assert_eq!(disturbance(&of(ResourceKind::Unit, change)), Disturbance::None);
        }
        for kind in ResourceKind::ALL
            .into_iter()
            .filter(|kind| *kind != ResourceKind::Unit)
        {
            for change in [
                Change::Missing,
                Change::Orphaned,
                Change::Content { before: None },
            ] {
                assert_eq!(disturbance(&of(kind, change)), Disturbance::None, "{kind:?}");
            }
        }
    }
}
