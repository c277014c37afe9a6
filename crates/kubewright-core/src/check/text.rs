//! Words and figures of findings.

use crate::shown::LONGEST;
pub(super) use crate::shown::{count, sentence, shown};

/// More nodes than this are counted after the first ones.
const NAMED_NODES: usize = 6;

/// Whether text from a node is a plain name or path, which means nothing to a shell.
pub(crate) fn is_plain(text: &str) -> bool {
    let fits = |character: char| character.is_ascii_alphanumeric() || "@:_./-".contains(character);
    !text.is_empty() && text.len() <= LONGEST && !text.starts_with('-') && text.chars().all(fits)
}

/// Text from a node as a word of a command shown for copying, or a placeholder if it could mean something else.
pub(crate) fn word<'a>(text: &'a str, placeholder: &'a str) -> &'a str {
    if is_plain(text) { text } else { placeholder }
}

/// `a, b, c`.
pub(crate) fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// `a, b, c` or, when they are many, `a, b, c, d, e, f and 14 more`.
pub(crate) fn names(items: &[&str]) -> String {
    let (first, rest) = items.split_at(items.len().min(NAMED_NODES));
    let first = list(first);
    match rest {
        [] => first,
        [one] => format!("{first}, {one}"),
        rest => format!("{first} and {} more", rest.len()),
    }
}

/// Bytes in the largest unit that leaves a number above one: `512 MiB`, `3.2 GiB`. Rounded down, so that a figure
/// below a limit never reads as the limit.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    for (unit, size) in UNITS {
        if number >= size {
            let whole = number / size;
            let tenth = (number % size) / (size / 10);
            return if whole >= 100 || tenth == 0 {
                format!("{whole} {unit}")
            } else {
                format!("{whole}.{} {unit}", tenth.min(9))
            };
        }
    }
    format!("{number} bytes")
}

/// A length of time as people say it: `0.35 s`, `10 min 2 s`, `3 h 10 min`, `2 days`.
pub(crate) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        small => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0..10 => format!("{}.{:02} s", seconds, milliseconds % 1000 / 10),
        10..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..172_800 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => format!("{} days", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_only_plain_names_into_commands() {
        assert!(is_plain("snap.nginx@1.service"));
        for hostile in ["", "-rf", "a;b", "a b", "$(x)", "a\nb", "a'b", "a\\b"] {
            assert!(!is_plain(hostile), "{hostile}");
        }
    }

    #[test]
    fn says_figures_like_people() {
        let said = [0, 1023, 512 << 20, (1 << 30) * 17 / 10, 3 << 40].map(bytes);
        assert_eq!(said, ["0 bytes", "1023 bytes", "512 MiB", "1.7 GiB", "3 TiB"]);
        let said = [250, 1600, 61_000, 600_000, 11_400_000, 1_000_000_000].map(duration);
        assert_eq!(
            said,
            ["0.25 s", "1.60 s", "1 min 1 s", "10 min", "3 h 10 min", "11 days"]
        );
    }

    #[test]
    fn names_a_few_nodes_and_counts_the_rest() {
        assert_eq!(names(&["a", "b"]), "a, b");
        assert_eq!(names(&["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e, f, g");
        assert_eq!(
            names(&["a", "b", "c", "d", "e", "f", "g", "h"]),
            "a, b, c, d, e, f and 2 more"
        );
    }
}
