//! Limits of the kubelet's `evictionHard`: a percentage of the file system, or a quantity.

use serde_json::Value;

/// Suffixes of quantities; the empty one fits last.
const SUFFIXES: [(&str, u64); 9] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("", 1),
];

/// How much has to stay free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// A share of the size, in percent.
    Percent(f64),
    /// Bytes.
    Bytes(u64),
}

impl Limit {
    /// Bytes that have to stay free on a file system of this size.
    pub(super) fn of(self, total: u64) -> u64 {
        match self {
            Self::Percent(percent) => (total as f64 * percent / 100.0) as u64,
            Self::Bytes(bytes) => bytes,
        }
    }

    /// The limit as it is written: `10%`, or bytes.
    pub(super) fn text(self) -> String {
        match self {
            Self::Percent(percent) => format!("{percent} %"),
            Self::Bytes(bytes) => super::text::bytes(bytes),
        }
    }

    /// Reads what stands in the kubelet's configuration; `None` for what the kubelet will refuse.
    pub(super) fn parse(value: &Value) -> Option<Self> {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.trim().parse().ok()?;
            return (0.0..=100.0).contains(&percent).then_some(Self::Percent(percent));
        }
        let (number, size) = SUFFIXES
            .iter()
            .find_map(|(suffix, size)| Some((text.strip_suffix(suffix)?, *size)))?;
        let number: f64 = number.parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some(Self::Bytes((number * size as f64) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::Limit;
    use serde_json::json;

    #[test]
    fn reads_percentages_and_quantities() {
        assert_eq!(Limit::parse(&json!("10%")), Some(Limit::Percent(10.0)));
        assert_eq!(Limit::parse(&json!("0%")), Some(Limit::Percent(0.0)));
        assert_eq!(Limit::parse(&json!("1.5Gi")), Some(Limit::Bytes(3 << 29)));
        assert_eq!(Limit::parse(&json!(100)), Some(Limit::Bytes(100)));
        assert_eq!(Limit::parse(&json!("2G")), Some(Limit::Bytes(2_000_000_000)));
        for odd in [
            json!("ten"),
            json!("-1%"),
            json!("NaN"),
            json!(null),
            json!("1Xi"),
        ] {
            assert_eq!(Limit::parse(&odd), None, "{odd}");
        }
        assert_eq!(Limit::Percent(10.0).of(1000), 100);
    }
}
