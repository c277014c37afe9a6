//! A number of nodes, or a part of all of them: `3`, `10%`.

use std::fmt;
use std::str::FromStr;

use super::{ValueError, shorten, written_as_string};

/// How many of some nodes: a number, or a percentage of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeCount {
    /// So many.
    Number(u32),
    /// So many of a hundred.
    Percent(u32),
}

impl NodeCount {
    /// How many of `all` nodes: rounded down, at least one.
    pub fn of(self, all: usize) -> usize {
        let count = match self {
            Self::Number(number) => number as usize,
            Self::Percent(percent) => all * percent as usize / 100,
        };
        count.max(1)
    }
}

impl FromStr for NodeCount {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = |problem: &str| {
            ValueError::new(
                format!("`{}` {problem}", shorten(text)),
                "write a number of nodes, such as `2`, or a percentage, such as `10%`",
            )
        };
        let (digits, percent) = text
            .strip_suffix('%')
            .map_or((text, false), |digits| (digits, true));
        let is_plain = !digits.is_empty() && digits.chars().all(|letter| letter.is_ascii_digit());
        let number: Option<u32> = digits.parse().ok().filter(|_| is_plain);
        match (number, percent) {
            (None, _) => Err(error("is no number of nodes")),
            (Some(0), _) => Err(error("is none: no node could ever be changed")),
            (Some(number), true) if number > 100 => Err(error("is more than all nodes")),
            (Some(number), true) => Ok(Self::Percent(number)),
            (Some(number), false) => Ok(Self::Number(number)),
        }
    }
}

impl fmt::Display for NodeCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

written_as_string!(NodeCount, "NodeCount", {
    "type": ["string", "integer"],
    "minimum": 1,
    "pattern": r"^[1-9]\d*%?$",
    "examples": ["10%", 2]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_few_nodes_is_one() {
        let count = |text: &str, all| text.parse::<NodeCount>().unwrap().of(all);
        assert_eq!(count("10%", 23), 2);
        assert_eq!(count("10%", 5), 1);
        assert_eq!(count("100%", 5), 5);
        assert_eq!(count("3", 100), 3);
    }

    #[test]
    fn an_unusable_number_says_why() {
        let message = |text: &str| text.parse::<NodeCount>().unwrap_err().to_string();
        assert_eq!(message("0"), "`0` is none: no node could ever be changed");
        assert_eq!(message("101%"), "`101%` is more than all nodes");
        for text in ["", "%", "ten", "+1", "1.5", "-1"] {
            assert!(message(text).contains("is no number of nodes"), "{text}");
        }
    }
}
