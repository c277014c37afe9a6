//! Rust source as words, marks, texts and groups; comments and single letters are left out.

/// A piece of source.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// An identifier, keyword or number.
    Word(String),
    /// What is between double quotes, escapes as they are.
    Text(String),
    /// A punctuation mark.
    Mark(char),
    /// What is between brackets, by the opening one.
    Group(char, Vec<Token>),
}

/// Splits source that compiles; of other source it makes something, and never panics.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut rest = source;
    let mut open: Vec<(char, Vec<Token>)> = Vec::new();
    let mut current = Vec::new();
    while let Some(first) = rest.chars().next() {
        if let Some(after) = after_unread(rest) {
            rest = after;
            continue;
        }
        if let Some((text, after)) = text(rest) {
            current.push(Token::Text(text.to_owned()));
            rest = after;
            continue;
        }
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let length = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
        if length > 0 {
            current.push(Token::Word(rest[..length].to_owned()));
            rest = &rest[length..];
            continue;
        }
        rest = &rest[first.len_utf8()..];
        match first {
            '(' | '[' | '{' => open.push((first, std::mem::take(&mut current))),
            ')' | ']' | '}' => {
                if let Some((bracket, before)) = open.pop() {
                    let inner = std::mem::replace(&mut current, before);
                    current.push(Token::Group(bracket, inner));
                }
            }
            _ => current.push(Token::Mark(first)),
        }
    }
    current
}

/// What follows a space, comment, letter in quotes or mark of a lifetime, if the source begins with one.
fn after_unread(source: &str) -> Option<&str> {
    let trimmed = source.trim_start();
    if trimmed.len() < source.len() {
        return Some(trimmed);
    }
    if source.starts_with("//") {
        return Some(source.split_once('\n').map_or("", |(_, rest)| rest));
    }
    if let Some(rest) = source.strip_prefix("/*") {
        return Some(rest.split_once("*/").map_or("", |(_, rest)| rest));
    }
    let letter = source.strip_prefix("b'").or_else(|| source.strip_prefix('\''))?;
    let mut letters = letter.chars();
    let (first, second) = (letters.next()?, letters.next()?);
    if first == '\\' || second == '\'' {
        return Some(split_at_quote(letter, '\'').1);
    }
    Some(letter)
}

/// The text in double quotes that the source begins with, and what follows it.
fn text(source: &str) -> Option<(&str, &str)> {
    let unprefixed = source.strip_prefix(['b', 'c']).unwrap_or(source);
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let text = raw.trim_start_matches('#');
        let end = format!("\"{}", &raw[..raw.len() - text.len()]);
        let text = text.strip_prefix('"')?;
        return Some(text.split_once(&end).unwrap_or((text, "")));
    }
    let text = unprefixed.strip_prefix('"')?;
    Some(split_at_quote(text, '"'))
}

/// What is before the closing quote, and what follows it.
fn split_at_quote(text: &str, quote: char) -> (&str, &str) {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices() {
        if letter == quote && !is_escaped {
            return (&text[..at], &text[at + 1..]);
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        fn collect(tokens: Vec<Token>, into: &mut Vec<String>) {
            for token in tokens {
                match token {
                    Token::Word(word) => into.push(word),
                    Token::Mark(_) | Token::Text(_) => {}
                    Token::Group(_, inner) => collect(inner, into),
                }
            }
        }
        let mut all = Vec::new();
        collect(tokens(source), &mut all);
        all
    }

    #[test]
    fn nothing_in_quotes_or_a_comment_is_a_word() {
        let source = "a // b\n/* c */ \"d \\\" e\" r#\"f \" g\"# b\"h\" '\"' '\\'' br\"i\\\" j";
        assert_eq!(words(source), ["a", "j"]);
    }

    #[test]
    fn a_lifetime_does_not_begin_a_letter() {
        assert_eq!(
            words("fn f<'a>(x: &'a str) {}"),
            ["fn", "f", "a", "x", "a", "str"]
        );
    }

    #[test]
    fn words_that_begin_like_a_quote_are_words() {
        assert_eq!(words("raw b c bytes r"), ["raw", "b", "c", "bytes", "r"]);
    }

    #[test]
    fn texts_are_kept() {
        assert_eq!(tokens("\"a.rs\""), [Token::Text("a.rs".to_owned())]);
    }

    #[test]
    fn brackets_make_groups() {
        let inner = Token::Group('(', vec![Token::Word("b".to_owned())]);
        assert_eq!(
            tokens("{a,(b)}"),
            [Token::Group(
                '{',
                vec![Token::Word("a".to_owned()), Token::Mark(','), inner]
            )]
        );
    }
}
