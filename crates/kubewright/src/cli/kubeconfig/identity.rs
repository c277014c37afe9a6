//! Whom a kubeconfig is for, for how long, and what that takes.
//!
//! A client certificate cannot be revoked. A role that a binding grants can be taken away from a group all the same; what
//! Kubernetes itself grants to names that begin with `system:` cannot. Those take `--break-glass`, and end soon.

use std::time::Duration;

use kubewright_core::manifest::ADMIN_GROUP;

use crate::failure::{Failure, Kind};

/// How long a kubeconfig is valid unless something else is asked for.
const LIFETIME: Duration = Duration::from_secs(90 * DAY);
/// The same for `--break-glass`, where it is also the most.
const BREAK_GLASS_LIFETIME: Duration = Duration::from_secs(DAY);
const DAY: u64 = 86_400;
/// How names begin that are Kubernetes' own.
const RESERVED: &str = "system:";

/// Whom a kubeconfig is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) user: String,
    pub(super) groups: Vec<String>,
    pub(super) lifetime: Duration,
    /// Its rights cannot be taken away: it is recorded in the operation log.
    pub(super) is_irrevocable: bool,
}

impl Identity {
    /// Decides what is issued.
    ///
    /// # Errors
    /// A name of Kubernetes' own without `--break-glass`, or for longer than a day.
    pub(super) fn of(
        user: Option<&str>,
        groups: &[String],
        ttl: Option<Duration>,
        break_glass: bool,
    ) -> Result<Self, Failure> {
        let groups = match groups {
            [] => vec![ADMIN_GROUP.to_owned()],
            groups => groups.to_vec(),
        };
        let user = user.unwrap_or("admin").to_owned();
        let reserved = groups
            .iter()
            .chain([&user])
            .find(|name| name.starts_with(RESERVED));
        if let Some(reserved) = reserved
            && !break_glass
        {
            return Err(Failure::new(
                Kind::User,
                format!("{reserved:?} has rights that no binding can remove before the kubeconfig expires"),
            )
            .hint("use a group of your own and bind a role to it; in an emergency: --break-glass, 24 h at most, recorded in the operation log"));
        }
        let (usual, most) = if break_glass {
            (BREAK_GLASS_LIFETIME, BREAK_GLASS_LIFETIME)
        } else {
            (LIFETIME, Duration::MAX)
        };
        let lifetime = ttl.unwrap_or(usual);
        if lifetime > most {
            return Err(Failure::new(Kind::User, "--break-glass is for 24 h at most")
                .hint("leave out --ttl, or choose between 1m and 24h"));
        }
        Ok(Self {
            user,
            groups,
            lifetime,
            is_irrevocable: break_glass,
        })
    }

    /// What the operation log says.
    pub(super) fn title(&self) -> String {
        format!(
            "issue a kubeconfig for {} in {}, valid for {} min",
            self.user,
            self.groups.join(", "),
            self.lifetime.as_secs() / 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn of(user: &str, group: &str, ttl: Option<Duration>, break_glass: bool) -> Result<Identity, Failure> {
        Identity::of(Some(user), &[group.to_owned()], ttl, break_glass)
    }

    #[test]
    fn a_person_of_a_group_of_ones_own_needs_no_more_than_a_name() {
        let ada = of("ada", "developers", None, false).unwrap();
        assert_eq!((ada.lifetime, ada.is_irrevocable), (90 * 24 * HOUR, false));
        let admin = Identity::of(None, &[], Some(HOUR), false).unwrap();
        assert_eq!((admin.user.as_str(), admin.lifetime), ("admin", HOUR));
        assert_eq!(admin.groups, [ADMIN_GROUP]);
    }

    #[test]
    fn names_of_kubernetes_own_take_break_glass() {
        for (user, group) in [
            ("ada", "system:masters"),
            ("ada", "system:nodes"),
            ("system:kube-controller-manager", "developers"),
        ] {
            let refused = of(user, group, Some(HOUR), false).unwrap_err();
            let text = format!("{refused:?}");
            assert!(text.contains("--break-glass"), "{text}");
            let issued = of(user, group, None, true).unwrap();
            assert_eq!((issued.lifetime, issued.is_irrevocable), (24 * HOUR, true));
        }
    }

    #[test]
    fn break_glass_is_for_a_day_at_most() {
        assert!(of("ada", "system:masters", Some(25 * HOUR), true).is_err());
        let issued = of("ada", "system:masters", Some(2 * HOUR), true).unwrap();
        assert_eq!(
            issued.title(),
            "issue a kubeconfig for ada in system:masters, valid for 120 min"
        );
    }
}
