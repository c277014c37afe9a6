//! YAML as a tree in which every key and every value knows its place. The only module that knows the YAML parser.
//!
//! The usual way, straight into types, stops at the first mistake and forgets where the rest stood. The tree keeps
//! scalars as they were written (`1.36` is not a number here), keeps duplicate keys for the decoder to report, and is
//! bounded: by size, by nesting, and by the number of nodes after aliases are expanded, so that a file of hostile
//! making costs no more than a large honest one.

mod syntax;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span as ParserSpan, StructureStyle, options};
use std::collections::BTreeMap;
use syntax::syntax_problem;

/// The largest text that is read, in bytes. A cluster of a thousand nodes needs about 100 KiB.
pub(crate) const LONGEST_TEXT: usize = 1024 * 1024;
const DEEPEST_NESTING: usize = 64;
const MOST_NODES: usize = 100_000;
const MOST_BYTES: usize = 8 * LONGEST_TEXT;

/// A stretch of the text: where it begins and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    /// The line it begins on, from 1.
    pub(crate) line: usize,
    /// The column it begins at in characters, from 1.
    pub(crate) column: usize,
    /// The number of characters on its first line if it ends there; 1 if it goes on.
    pub(crate) length: usize,
}

impl From<ParserSpan> for Span {
    fn from(span: ParserSpan) -> Self {
        let length = if span.start.line() == span.end.line() {
            span.end.col().saturating_sub(span.start.col()).max(1)
        } else {
            1
        };
        Self {
            line: span.start.line(),
            column: span.start.col() + 1,
            length,
        }
    }
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tree {
    /// What stands there.
    pub(crate) value: Value,
    /// Where it stands.
    pub(crate) span: Span,
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A scalar as written, after escapes. Plain ones may mean a number, a boolean or nothing; quoted ones are text.
    Scalar { text: String, is_plain: bool },
    /// A list.
    List(Vec<Tree>),
    /// A map in the order of the text, duplicates included.
    Map(Vec<Entry>),
}

/// One key of a map with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Tree,
}

impl Tree {
    /// Returns whether nothing was written: `key:`, `key: ~` or `key: null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, is_plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Returns what kind of thing this is, for a message: `a list`, `text`, …
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Scalar { .. } if self.is_null() => "empty",
            Value::Scalar { text, is_plain: true } if text == "true" || text == "false" => "true or false",
            Value::Scalar { text, is_plain: true } if text.parse::<f64>().is_ok() => "a number",
            Value::Scalar { .. } => "text",
        }
    }

    /// Returns the number of values in this one, itself included, and the bytes of their texts.
    fn weight(&self) -> (usize, usize) {
        let (mut nodes, mut bytes) = (1, 0);
        let mut add = |(more_nodes, more_bytes)| {
            nodes += more_nodes;
            bytes += more_bytes;
        };
        match &self.value {
            Value::Scalar { text, .. } => add((0, text.len())),
            Value::List(items) => items.iter().map(Self::weight).for_each(add),
            Value::Map(entries) => {
                for entry in entries {
                    add((1, entry.key.len()));
                    add(entry.value.weight());
                }
            }
        }
        (nodes, bytes)
    }
}

/// Why a text is not usable YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct YamlError {
    pub(crate) span: Option<Span>,
    pub(crate) problem: String,
    pub(crate) hint: String,
}

impl YamlError {
    fn new(span: impl Into<Option<Span>>, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            span: span.into(),
            problem: problem.into(),
            hint: hint.into(),
        }
    }
}

/// Reads one YAML document. `None` when there is nothing but comments in it.
pub(crate) fn read(text: &str) -> Result<Option<Tree>, YamlError> {
    read_into(Builder::default(), text)
}

/// The same for a file of another program, whose tags (`!vault`, `!unsafe`) say nothing here: values stay.
pub(crate) fn read_with_tags(text: &str) -> Result<Option<Tree>, YamlError> {
    let builder = Builder {
        takes_tags: true,
        ..Builder::default()
    };
    read_into(builder, text)
}

fn read_into(mut builder: Builder, text: &str) -> Result<Option<Tree>, YamlError> {
    if text.len() > LONGEST_TEXT {
        return Err(YamlError::new(
            None,
            format!("the file has {} bytes, the limit is {LONGEST_TEXT}", text.len()),
            "check that this is the file you meant",
        ));
    }
    refuse_control_characters(text)?;
    let mut options = options! {
        disallow_directives: true,
        block_nesting_limit: DEEPEST_NESTING,
        flow_nesting_limit: DEEPEST_NESTING,
    };
    options.set_emit_comments(false);
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| {
            let mark = error.marker();
            let span = Span {
                line: mark.line(),
                column: mark.col() + 1,
                length: 1,
            };
            let (problem, hint) = syntax_problem(error.kind(), builder.unclosed_before(span.line));
            YamlError::new(span, problem, hint)
        })?;
        builder.take(event, span.into())?;
    }
    Ok(builder.root.filter(|root| !root.is_null()))
}

/// Refuses what YAML does not allow in a text; the parser takes a NUL for the end, which would hide what follows.
fn refuse_control_characters(text: &str) -> Result<(), YamlError> {
    for (index, line) in text.split('\n').enumerate() {
        let unprintable =
            |c: char| (c.is_control() && !matches!(c, '\t' | '\r' | '\u{85}')) || c == '\u{fffe}';
        if let Some((column, c)) = line.chars().enumerate().find(|(_, c)| unprintable(*c)) {
            return Err(YamlError::new(
                Span {
                    line: index + 1,
                    column: column + 1,
                    length: 1,
                },
                format!("control character U+{:04X} in the text", u32::from(c)),
                "remove it; this may not be a text file, or it was saved in another encoding than UTF-8",
            ));
        }
    }
    Ok(())
}

/// A collection that is being read.
#[derive(Debug)]
enum Open {
    List {
        items: Vec<Tree>,
        span: Span,
        anchor: usize,
        is_flow: bool,
    },
    Map {
        entries: Vec<Entry>,
        key: Option<(String, Span)>,
        span: Span,
        anchor: usize,
        is_flow: bool,
    },
}

/// Builds the tree from the parser's events, counting nodes.
#[derive(Debug, Default)]
struct Builder {
    takes_tags: bool,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Tree>,
    nodes: usize,
    bytes: usize,
    documents: usize,
    root: Option<Tree>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(YamlError::new(
                        span,
                        "a second document begins here",
                        "a cluster file holds one cluster; remove the `---` and what follows it",
                    ));
                }
            }
            Event::Alias(id) => {
                let Some(tree) = self.anchors.get(&id) else {
                    return Err(YamlError::new(
                        span,
                        "this alias stands inside the value it refers to",
                        "write the value out",
                    ));
                };
                let copy = Tree {
                    value: tree.value.clone(),
                    span,
                };
                self.count(copy.weight(), span)?;
                self.complete(copy, 0)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_text_tag = match &tag {
                    None => false,
                    Some(tag) if tag.is_yaml_core_schema_tag("str") => true,
                    Some(_) if self.takes_tags => true,
                    Some(_) => return Err(tag_error(span)),
                };
                let is_plain = style == ScalarStyle::Plain && !is_text_tag;
                self.count((1, text.len()), span)?;
                self.complete(
                    Tree {
                        value: Value::Scalar {
                            text: text.into_owned(),
                            is_plain,
                        },
                        span,
                    },
                    anchor,
                )?;
            }
            Event::SequenceStart(style, anchor, tag) => {
                if tag.is_some() && !self.takes_tags {
                    return Err(tag_error(span));
                }
                self.count((1, 0), span)?;
                self.open.push(Open::List {
                    items: Vec::new(),
                    span,
                    anchor,
                    is_flow: style == StructureStyle::Flow,
                });
            }
            Event::MappingStart(style, anchor, tag) => {
                if tag.is_some() && !self.takes_tags {
                    return Err(tag_error(span));
                }
                self.count((1, 0), span)?;
                self.open.push(Open::Map {
                    entries: Vec::new(),
                    key: None,
                    span,
                    anchor,
                    is_flow: style == StructureStyle::Flow,
                });
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List {
                    items, span, anchor, ..
                }) => {
                    self.complete(
                        Tree {
                            value: Value::List(items),
                            span,
                        },
                        anchor,
                    )?;
                }
                Some(Open::Map {
                    entries,
                    span,
                    anchor,
                    ..
                }) => {
                    self.complete(
                        Tree {
                            value: Value::Map(entries),
                            span,
                        },
                        anchor,
                    )?;
                }
                None => {}
            },
            _ => {}
        }
        Ok(())
    }

    /// Returns the innermost bracket that is open since an earlier line, with that line.
    fn unclosed_before(&self, line: usize) -> Option<(char, usize)> {
        self.open.iter().rev().find_map(|open| match open {
            Open::List {
                span, is_flow: true, ..
            } if span.line < line => Some(('[', span.line)),
            Open::Map {
                span, is_flow: true, ..
            } if span.line < line => Some(('{', span.line)),
            _ => None,
        })
    }

    fn count(&mut self, (nodes, bytes): (usize, usize), span: Span) -> Result<(), YamlError> {
        self.nodes += nodes;
        self.bytes += bytes;
        if self.nodes > MOST_NODES || self.bytes > MOST_BYTES {
            return Err(YamlError::new(
                span,
                format!(
                    "the file has more than {MOST_NODES} values or {MOST_BYTES} bytes once its aliases are expanded"
                ),
                "write fewer values, or use fewer aliases",
            ));
        }
        Ok(())
    }

    /// Puts a finished value where it belongs: into the innermost open collection, or at the root.
    fn complete(&mut self, tree: Tree, anchor: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            self.count(tree.weight(), tree.span)?;
            self.anchors.insert(anchor, tree.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(tree),
            Some(Open::List { items, .. }) => items.push(tree),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some((key, key_span)) => entries.push(Entry {
                    key,
                    key_span,
                    value: tree,
                }),
                None => match tree.value {
                    Value::Scalar { text, .. } => *key = Some((text, tree.span)),
                    Value::List(_) | Value::Map(_) => {
                        return Err(YamlError::new(
                            tree.span,
                            format!("the key of a map must be text, not {}", tree.kind()),
                            "write `key: value`; a value that begins with `{` or `[` needs quotes",
                        ));
                    }
                },
            },
        }
        Ok(())
    }
}

fn tag_error(span: Span) -> YamlError {
    YamlError::new(
        span,
        "YAML tags such as `!name` are not used in this file",
        "remove the tag",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write as _;

    fn problem(text: &str) -> String {
        match read(text) {
            Ok(_) => "none".into(),
            Err(error) => {
                let place = error
                    .span
                    .map_or(String::new(), |s| format!("{}:{} ", s.line, s.column));
                format!("{place}{}", error.problem)
            }
        }
    }

    #[test]
    fn keeps_scalars_as_written_and_knows_their_places() {
        let tree = read("a: 1.30\nb:\n  - 'x'\n").unwrap().unwrap();
        let Value::Map(entries) = tree.value else { panic!() };
        assert_eq!(
            entries[0].value.value,
            Value::Scalar {
                text: "1.30".into(),
                is_plain: true
            }
        );
        assert_eq!(
            entries[0].value.span,
            Span {
                line: 1,
                column: 4,
                length: 4
            }
        );
        assert_eq!(
            entries[1].key_span,
            Span {
                line: 2,
                column: 1,
                length: 1
            }
        );
    }

    #[test]
    fn an_empty_text_is_no_tree() {
        for text in ["", "# nothing\n", "---\n", "~\n"] {
            assert_eq!(read(text), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn an_alias_bomb_is_refused_early() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            let _ = writeln!(text, "a{level}: &a{level} [{}]", [alias.as_str(); 9].join(","));
        }
        assert!(problem(&text).contains("more than 100000 values"));
    }

    #[test]
    fn many_aliases_to_one_long_text_are_refused() {
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), ["*a"; 1000].join(","));
        assert!(problem(&text).contains("bytes once its aliases are expanded"));
    }

    #[test]
    fn an_alias_inside_its_own_value_is_refused() {
        assert_eq!(
            problem("a: &a [*a]\n"),
            "1:8 this alias stands inside the value it refers to"
        );
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(problem(&"[".repeat(10_000)).contains("nested deeper"));
        let mut blocks = String::new();
        for depth in 0..500 {
            let _ = writeln!(blocks, "{}a:", " ".repeat(depth));
        }
        assert!(problem(&blocks).contains("nested deeper"));
    }

    #[test]
    fn a_text_of_many_megabytes_is_refused_by_size() {
        assert!(problem(&format!("a: {}", "x".repeat(10_000_000))).contains("the limit is 1048576"));
    }

    #[test]
    fn control_characters_are_refused_where_they_stand() {
        assert_eq!(
            problem("a: b\nc: \0d\n"),
            "2:4 control character U+0000 in the text"
        );
        assert_eq!(
            problem("a: \u{1b}[31m"),
            "1:4 control character U+001B in the text"
        );
    }

    #[test]
    fn tags_second_documents_and_odd_keys_are_refused() {
        assert!(problem("a: !secret x\n").contains("tags"));
        assert_eq!(problem("a: !!str 1\n"), "none");
        assert_eq!(problem("a: 1\n---\nb: 2\n"), "2:1 a second document begins here");
        assert!(problem("{a: 1}: b\n").contains("must be text, not a map"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = read(&text);
        }

        #[test]
        fn no_yaml_like_text_makes_it_panic(text in r#"([a-z&*!|>%@` \-:\[\]{},'"\n\t#~0-9\.]|\\x){0,200}"#) {
            let _ = read(&text);
        }
    }
}
