//! A span of time as people write it: `6h`, `1h30m`, `45s`.

use super::{ValueError, shorten, written_as_string};
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

/// A positive span of time in whole seconds, written in Go's way with the units `h`, `m` and `s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(Duration);

impl Interval {
    /// Makes an interval from whole hours.
    pub const fn from_hours(hours: u32) -> Self {
        Self(Duration::from_secs(hours as u64 * 3600))
    }

    /// Returns the span.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Interval {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = |problem: &str| {
            ValueError::new(
                format!("duration `{}` {problem}", shorten(text)),
                "write numbers with the units h, m and s, such as `6h` or `1h30m`",
            )
        };
        if text.is_empty() {
            return Err(error("is empty"));
        }
        let mut rest = text;
        let mut seconds = 0_u64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let Ok(number) = rest[..digits].parse::<u64>() else {
                return Err(error("is not a number with a unit"));
            };
            let Some(unit) = rest[digits..].chars().next() else {
                return Err(error("has no unit"));
            };
            let factor = match unit {
                'h' => 3600,
                'm' => 60,
                's' => 1,
                'd' => return Err(error("uses days, which are not a fixed unit here; write hours")),
                _ => return Err(error("has an unknown unit")),
            };
            seconds = number
                .checked_mul(factor)
                .and_then(|part| seconds.checked_add(part))
                .filter(|total| *total <= 10 * 365 * 24 * 3600)
                .ok_or_else(|| error("is longer than ten years"))?;
            rest = &rest[digits + unit.len_utf8()..];
        }
        if seconds == 0 {
            return Err(error("is zero"));
        }
        Ok(Self(Duration::from_secs(seconds)))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.as_secs();
        let mut text = String::new();
        for (amount, unit) in [(total / 3600, 'h'), (total / 60 % 60, 'm'), (total % 60, 's')] {
            if amount > 0 {
                let _ = write!(text, "{amount}{unit}");
            }
        }
        f.pad(&text)
    }
}

written_as_string!(Interval, "Interval", { "pattern": r"^(\d+[hms])+$", "examples": ["6h"] });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_same_way() {
        for text in ["6h", "1h30m", "45s", "100h", "2m5s"] {
            assert_eq!(text.parse::<Interval>().unwrap().to_string(), text);
        }
        assert_eq!("90m".parse::<Interval>().unwrap().to_string(), "1h30m");
    }

    #[test]
    fn an_unusable_duration_says_why() {
        let message = |text: &str| text.parse::<Interval>().unwrap_err().to_string();
        assert_eq!(message("6"), "duration `6` has no unit");
        assert_eq!(message("0s"), "duration `0s` is zero");
        assert_eq!(message("six"), "duration `six` is not a number with a unit");
        assert!(message("2d").contains("write hours"));
        assert!(message("99999999999999999h").contains("longer than ten years"));
        assert!(message("6ü").contains("unknown unit"));
    }
}
