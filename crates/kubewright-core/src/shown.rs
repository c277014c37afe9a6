//! What makes text that comes from elsewhere harmless to whoever reads it.
//!
//! A node, an API server or a damaged file may say anything. Before it is shown, what would move a cursor, change a
//! colour, begin a line of its own or turn the direction of text is escaped, and what is too long is cut.

use std::fmt::Write as _;

use similar::TextDiff;

/// Longest name or value that is repeated, in characters.
pub const LONGEST: usize = 100;
/// Longest sentence that somebody else worded, in characters.
pub const LONGEST_SENTENCE: usize = 500;
/// Longest text of a few lines, in characters.
pub const LONGEST_PARAGRAPH: usize = 2000;
/// Longest line of a text that is shown line by line, in characters.
const LONGEST_LINE: usize = 2000;

/// Makes a name or a value harmless: one line of at most [`LONGEST`] characters.
pub fn shown(text: &str) -> String {
    cut(text.trim(), LONGEST)
}

/// The same for whole sentences, paths and other text of one line: at most [`LONGEST_SENTENCE`] characters.
pub fn sentence(text: &str) -> String {
    cut(text.trim(), LONGEST_SENTENCE)
}

/// The same for a line of a longer text, its indentation kept.
pub fn line(text: &str) -> String {
    cut(text, LONGEST_LINE)
}

/// Makes text of many lines harmless, whoever worded it: lines stay, the rest is as with [`line`].
pub fn lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(line).collect();
    lines.join("\n")
}

/// Lines of unchanged text around a change.
const CONTEXT_LINES: usize = 2;

/// What makes one text of the other, as a unified diff; the text is as it came.
pub fn unified(before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .to_string()
}

/// The same for a text of a few lines, at most [`LONGEST_PARAGRAPH`] characters in all: lines stay.
pub fn paragraph(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut short = lines(&text.chars().take(LONGEST_PARAGRAPH).collect::<String>());
    if text.chars().nth(LONGEST_PARAGRAPH).is_some() {
        short.push('…');
    }
    short
}

/// A number and its noun: `1 node`, `3 nodes`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

fn cut(text: &str, longest: usize) -> String {
    let mut short = String::new();
    for character in text.chars().take(longest) {
        if is_harmful(character) {
            let _ = write!(short, "{}", character.escape_default());
        } else {
            short.push(character);
        }
    }
    if text.chars().nth(longest).is_some() {
        short.push('…');
    }
    short
}

/// Whether a character does something else than stand where it is: control characters, and such that turn the
/// direction of text or cannot be seen.
pub fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_cannot_move_the_cursor() {
        assert_eq!(shown("nginx\u{1b}[2J\u{202e}"), "nginx\\u{1b}[2J\\u{202e}");
        assert_eq!(sentence("so\r\nwhat"), "so\\r\\nwhat");
        assert_eq!(line("  \u{9b}2J"), "  \\u{9b}2J");
        assert_eq!(lines("a\n b\t\n"), "a\n b\\t\n");
    }

    #[test]
    fn text_from_elsewhere_does_not_fill_the_screen() {
        assert_eq!(shown(&"x".repeat(1 << 20)).chars().count(), LONGEST + 1);
        assert_eq!(
            sentence(&"x".repeat(1 << 20)).chars().count(),
            LONGEST_SENTENCE + 1
        );
        assert_eq!(line(&"x".repeat(1 << 20)).chars().count(), LONGEST_LINE + 1);
    }
}
