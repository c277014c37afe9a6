//! What the code says between its tables: messages of errors, hints, titles of steps.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Chapter;
use crate::tokens::{Token, tokens};

/// Crates whose messages users see.
const CRATES: [&str; 4] = [
    "kubewright",
    "kubewright-control",
    "kubewright-core",
    "kubewright-agent",
];

pub(super) fn chapters() -> anyhow::Result<Vec<Chapter>> {
    let mut messages = Vec::new();
    let mut hints = Vec::new();
    let mut titles = Vec::new();
    for krate in CRATES {
        for path in files(&crate::directory_of(krate).join("src"))? {
            let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let tokens = tokens(&text);
            let name = path.strip_prefix(crate::repository()).unwrap_or(&path);
            add(&mut messages, name, &of_errors(&tokens));
            add(&mut hints, name, &of_functions(&tokens, "hint"));
            add(&mut titles, name, &of_functions(&tokens, "title"));
        }
    }
    Ok(vec![
        Chapter {
            title: "Messages of errors and refusals",
            lines: messages,
        },
        Chapter {
            title: "Hints",
            lines: hints,
        },
        Chapter {
            title: "Titles of steps",
            lines: titles,
        },
    ])
}

/// Adds a file's texts below its name.
fn add(lines: &mut Vec<String>, file: &Path, texts: &[String]) {
    if !texts.is_empty() {
        lines.push(format!("{}:", file.display()));
        lines.extend(texts.iter().map(|text| format!("    {text}")));
    }
}

/// Sources below a directory, tests aside.
fn files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with("tests") || name == "testing" {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Texts of `#[error("...")]`.
fn of_errors(tokens: &[Token]) -> Vec<String> {
    let mut texts = Vec::new();
    for token in tokens {
        match token {
            Token::Group('[', attribute) => match attribute.as_slice() {
                [Token::Word(name), Token::Group('(', arguments)] if name == "error" => {
                    texts.extend(within(arguments));
                }
                _ => texts.extend(of_errors(attribute)),
            },
            Token::Group(_, inner) => texts.extend(of_errors(inner)),
            _ => {}
        }
    }
    texts
}

/// Texts in functions that have a word in their name, and in what such functions are called with.
fn of_functions(tokens: &[Token], word: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut is_inside = false;
    for (at, token) in tokens.iter().enumerate() {
        match (token, tokens.get(at + 1)) {
            (Token::Word(name), next) if name.contains(word) => {
                let is_defined = at > 0 && tokens[at - 1] == Token::Word("fn".to_owned());
                is_inside |= is_defined;
                if let (false, Some(Token::Group('(', arguments))) = (is_defined, next) {
                    texts.extend(within(arguments));
                }
            }
            (Token::Group('{', body), _) if is_inside => {
                texts.extend(within(body));
                is_inside = false;
            }
            (Token::Group(_, inner), _) => texts.extend(of_functions(inner, word)),
            _ => {}
        }
    }
    texts
}

/// All texts of several words, however deep.
fn within(tokens: &[Token]) -> Vec<String> {
    let mut texts = Vec::new();
    for token in tokens {
        match token {
            Token::Text(text) if text.contains(' ') => texts.push(unfolded(text)),
            Token::Group(_, inner) => texts.extend(within(inner)),
            _ => {}
        }
    }
    texts
}

/// A text whose lines end in backslashes, as one line.
fn unfolded(text: &str) -> String {
    let mut parts = text.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |whole, part| whole + part.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_error_attributes() {
        let source = "enum E { #[error(\"no {0} here\")] #[doc = \"not this\"] A(u8) }";
        assert_eq!(of_errors(&tokens(source)), ["no {0} here"]);
    }

    #[test]
    fn hints_are_what_hint_functions_say_and_are_given() {
        let source = "fn hint() -> String { format!(\"do \\\n  this\") } fn other() { e.with_hint(\"or that\"); f(\"not me\") }";
        assert_eq!(of_functions(&tokens(source), "hint"), ["do this", "or that"]);
    }

    #[test]
    fn every_chapter_has_texts() {
        for chapter in chapters().unwrap() {
            assert!(chapter.lines.len() > 5, "{}: {:?}", chapter.title, chapter.lines);
        }
    }
}
