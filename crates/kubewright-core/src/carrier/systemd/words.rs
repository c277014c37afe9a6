//! Words of a command as a unit's file writes them, and back.

use std::fmt::Write as _;

/// Writes a word so that systemd reads it back unchanged: `%` and `$` doubled, quotes where they are needed.
pub(super) fn quote(word: &str) -> String {
    let escaped = word.replace('%', "%%").replace('$', "$$");
    let is_plain = !escaped.is_empty()
        && escaped != ";"
        && !escaped.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '\\'));
    if is_plain {
        return escaped;
    }
    let mut quoted = String::from("\"");
    for c in escaped.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The words a unit's file starts its process with, as the process is given them; nothing when the file has no single
/// such line, or one this program would not have written.
pub fn process_words(content: &str) -> Option<Vec<String>> {
    let joined = content.replace("\\\n", " ");
    let mut lines = joined.lines().filter_map(|line| line.strip_prefix("ExecStart="));
    let line = lines.next()?;
    if lines.next().is_some() || !line.starts_with('/') {
        return None;
    }
    unquote(line)
}

/// Reads words back that [`quote`] wrote.
fn unquote(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut characters = line.chars().peekable();
    loop {
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        let Some(first) = characters.peek() else {
            return Some(words);
        };
        let is_quoted = *first == '"';
        if is_quoted {
            characters.next();
        }
        let mut word = String::new();
        loop {
            match characters.next() {
                None if is_quoted => return None,
                None => break,
                Some('"') if is_quoted => break,
                Some('\\') => word.push(match characters.next()? {
                    'n' => '\n',
                    't' => '\t',
                    'u' => {
                        let digits: String = characters.by_ref().take(4).collect();
                        char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                    }
                    other => other,
                }),
                Some(c) if c.is_whitespace() && !is_quoted => break,
                Some(c @ ('%' | '$')) => {
                    characters.next_if_eq(&c)?;
                    word.push(c);
                }
                Some(c) => word.push(c),
            }
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::{process_words, quote};

    #[test]
    fn words_reach_the_program_unchanged() {
        for (word, written) in [
            ("--v=2", "--v=2"),
            ("--feature-gates=A=true,B=false", "--feature-gates=A=true,B=false"),
            ("100%", "100%%"),
            ("$HOME", "$$HOME"),
            ("two words", "\"two words\""),
            ("", "\"\""),
            (";", "\";\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("line\nbreak", "\"line\\nbreak\""),
        ] {
            assert_eq!(quote(word), written);
            let content = format!("ExecStart=/bin/a \\\n    {written} \\\n    {written}\n");
            assert_eq!(process_words(&content).unwrap(), ["/bin/a", word, word]);
        }
    }

    #[test]
    fn a_command_of_another_kind_has_no_words() {
        for content in [
            "",
            "ExecStart=-/bin/a\n",
            "ExecStart=/bin/a $HOME\n",
            "ExecStart=/a\nExecStart=/b\n",
        ] {
            assert_eq!(process_words(content), None, "{content}");
        }
    }
}
