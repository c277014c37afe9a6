//! A released version of a component: three numbers, no suffix.

use super::{ValueError, shorten, written_as_string};
use std::fmt;
use std::str::FromStr;

/// A version such as `1.36.3`: major, minor, patch. Ordered as one expects; written without a `v`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

impl Version {
    /// Makes a version from its three numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Returns whether both versions are patches of the same minor release.
    pub const fn is_same_minor(self, other: Self) -> bool {
        self.major == other.major && self.minor == other.minor
    }

    /// Returns the version as upstream tags write it: `v1.36.3`.
    pub fn tag(self) -> String {
        format!("v{self}")
    }
}

impl FromStr for Version {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = |problem: &str| {
            ValueError::new(
                format!("version `{}` {problem}", shorten(text)),
                "write all three numbers, such as `1.36.3`",
            )
        };
        let numbers = text.strip_prefix('v').unwrap_or(text);
        let parts: Vec<&str> = numbers.split('.').collect();
        let [major, minor, patch] = parts[..] else {
            return Err(error(if parts.len() == 2 {
                "has no patch number"
            } else {
                "is not three numbers with dots between"
            }));
        };
        let number = |part: &str| {
            let is_plain = !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_digit())
                && (part == "0" || !part.starts_with('0'));
            is_plain.then(|| part.parse().ok()).flatten()
        };
        match (number(major), number(minor), number(patch)) {
            (Some(major), Some(minor), Some(patch)) => Ok(Self { major, minor, patch }),
            (Some(_), Some(_), None) if patch.contains(['-', '+']) => {
                Err(error("is not a release: it has a suffix"))
            }
            _ => Err(error("is not three numbers with dots between")),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}.{}", self.major, self.minor, self.patch))
    }
}

written_as_string!(Version, "Version", { "pattern": r"^v?\d+\.\d+\.\d+$" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_by_number_not_by_text() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("1.34.11") > version("1.34.9"));
        assert_eq!(version("v1.36.3"), Version::new(1, 36, 3));
        assert_eq!(Version::new(1, 36, 3).tag(), "v1.36.3");
    }

    #[test]
    fn an_unusable_version_says_why() {
        let message = |text: &str| text.parse::<Version>().unwrap_err().to_string();
        assert_eq!(message("1.36"), "version `1.36` has no patch number");
        assert_eq!(
            message("1.36.0-rc.1"),
            "version `1.36.0-rc.1` is not three numbers with dots between"
        );
        assert_eq!(
            message("1.36.0-rc1"),
            "version `1.36.0-rc1` is not a release: it has a suffix"
        );
        assert_eq!(
            message("latest"),
            "version `latest` is not three numbers with dots between"
        );
        assert_eq!(
            message("1.36.03"),
            "version `1.36.03` is not three numbers with dots between"
        );
    }
}
