//! Decodes the tree strictly into types, reporting every mistake instead of stopping at the first.
//!
//! What cannot be decoded gets a placeholder and its path is marked broken; the result is only used when there was
//! no error at all. The words that the file may hold, and near misses people bring from other tools, are in `words`.

mod checks;
mod components;
mod nodes;
mod outside;
mod parts;
mod words;

use super::cluster::Cluster;
use super::report::{Report, Target, child};
use super::yaml::{Tree, Value};
use crate::value::{ValueError, shorten};
pub(super) use parts::decode_file;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

/// The keys of a map that were known, with their values.
pub(super) struct Fields<'t> {
    path: String,
    known: BTreeMap<&'t str, &'t Tree>,
}

impl<'t> Fields<'t> {
    fn get(&self, key: &str) -> Option<&'t Tree> {
        self.known.get(key).copied()
    }

    fn path(&self, key: &str) -> String {
        child(&self.path, key)
    }
}

/// The error list while decoding, with one method per kind of value.
pub(super) struct Decoder<'r> {
    pub(super) report: &'r mut Report,
}

impl Decoder<'_> {
    fn wrong_type(&mut self, tree: &Tree, path: &str, wanted: &str, example: &str) {
        let name = if path.is_empty() {
            "the file".to_owned()
        } else {
            format!("`{path}`")
        };
        let message = if tree.is_null() {
            format!("{name} has no value")
        } else {
            format!("{name} must be {wanted}, not {}", tree.kind())
        };
        self.report
            .error("wrong-type", path, Target::Value, message, example);
        self.report.mark_broken(path);
    }

    /// Decodes a map with a fixed set of keys. Nothing written counts as an empty map.
    fn fields<'t>(&mut self, tree: Option<&'t Tree>, path: &str, known_keys: &[&str]) -> Fields<'t> {
        let mut known = BTreeMap::new();
        if let Some(tree) = tree.filter(|tree| !tree.is_null()) {
            for (key, value) in self.entries(tree, path, known_keys) {
                known.insert(key, value);
            }
        }
        Fields {
            path: path.to_owned(),
            known,
        }
    }

    fn entries<'t>(&mut self, tree: &'t Tree, path: &str, known_keys: &[&str]) -> Vec<(&'t str, &'t Tree)> {
        let Value::Map(_) = &tree.value else {
            let example = format!("write it as a map with the keys {}", words::list(known_keys));
            self.wrong_type(tree, path, "a map", &example);
            return Vec::new();
        };
        let mut known = Vec::new();
        for (key, value) in self.free_entries(tree, path, "") {
            if known_keys.contains(&key) {
                known.push((key, value));
                continue;
            }
            let place = if path.is_empty() {
                "at the top of the file".to_owned()
            } else {
                format!("in `{path}`")
            };
            let hint = words::hint_for_unknown_key(key, path, known_keys);
            let message = if key == "<<" {
                "YAML merge keys are not used in this file".to_owned()
            } else {
                format!("unknown key `{}` {place}", shorten(key))
            };
            self.report
                .error("unknown-key", &child(path, key), Target::Key, message, hint);
            self.report.mark_broken(&child(path, key));
        }
        known
    }

    /// Decodes a map with keys of the user's own, reporting duplicates.
    fn free_entries<'t>(&mut self, tree: &'t Tree, path: &str, example: &str) -> Vec<(&'t str, &'t Tree)> {
        let Value::Map(entries) = &tree.value else {
            if !tree.is_null() {
                self.wrong_type(tree, path, "a map", example);
            }
            return Vec::new();
        };
        let mut first_lines: BTreeMap<&str, usize> = BTreeMap::new();
        let mut unique = Vec::new();
        for entry in entries {
            if let Some(line) = first_lines.get(entry.key.as_str()) {
                self.report.error_at(
                    "duplicate-key",
                    &child(path, &entry.key),
                    entry.key_span,
                    format!("key `{}` stands here a second time", shorten(&entry.key)),
                    format!("it is already on line {line}; keep one of them"),
                );
            } else {
                first_lines.insert(&entry.key, entry.key_span.line);
                unique.push((entry.key.as_str(), &entry.value));
            }
        }
        unique
    }

    /// Decodes a list. Nothing written counts as an empty list.
    fn items<'t>(&mut self, fields: &Fields<'t>, key: &str, example: &str) -> &'t [Tree] {
        match fields.get(key) {
            Some(Tree {
                value: Value::List(items),
                ..
            }) => items,
            Some(tree) if !tree.is_null() => {
                self.wrong_type(tree, &fields.path(key), "a list", example);
                &[]
            }
            _ => &[],
        }
    }

    /// Decodes text. A number or a boolean that stands where text belongs is taken as it is written.
    fn text<'t>(&mut self, tree: &'t Tree, path: &str, example: &str) -> Option<&'t str> {
        match &tree.value {
            Value::Scalar { text, .. } if !tree.is_null() => Some(text),
            _ => {
                self.wrong_type(tree, path, "text", example);
                None
            }
        }
    }

    fn optional_text(&mut self, fields: &Fields<'_>, key: &str, example: &str) -> Option<String> {
        let text = self.text(fields.get(key)?, &fields.path(key), example)?;
        if text.trim().is_empty() {
            let message = format!("`{}` is empty", fields.path(key));
            self.report
                .error("empty-value", &fields.path(key), Target::Value, message, example);
            return None;
        }
        Some(text.to_owned())
    }

    /// Decodes a value that has a type of its own.
    fn value<T: FromStr<Err = ValueError>>(&mut self, tree: &Tree, path: &str, example: &str) -> Option<T> {
        let text = self.text(tree, path, example)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(ValueError { problem, hint }) => {
                self.report
                    .error("invalid-value", path, Target::Value, problem, hint);
                self.report.mark_broken(path);
                None
            }
        }
    }

    fn value_or<T: FromStr<Err = ValueError>>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        example: &str,
        default: T,
    ) -> T {
        fields
            .get(key)
            .and_then(|tree| self.value(tree, &fields.path(key), example))
            .unwrap_or(default)
    }

    /// Decodes one of a fixed set of words.
    fn word<T>(
        &mut self,
        tree: &Tree,
        path: &str,
        all: &[&str],
        from_word: fn(&str) -> Option<T>,
    ) -> Option<T> {
        let example = format!("write {}", words::one_of(all));
        let text = self.text(tree, path, &example)?;
        if let Some(value) = from_word(text) {
            return Some(value);
        }
        let (message, hint) = words::unknown_word(path, text, all);
        self.report
            .error("unknown-word", path, Target::Value, message, hint);
        self.report.mark_broken(path);
        None
    }

    fn word_or<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        all: &[&str],
        from_word: fn(&str) -> Option<T>,
        default: T,
    ) -> T {
        fields
            .get(key)
            .and_then(|tree| self.word(tree, &fields.path(key), all, from_word))
            .unwrap_or(default)
    }

    /// Decodes a whole number between two bounds.
    fn number(&mut self, tree: &Tree, path: &str, least: u32, most: u32) -> Option<u32> {
        let example = format!("write a whole number from {least} to {most}");
        let text = self.text(tree, path, &example)?;
        let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = is_plain
            .then(|| text.parse().ok())
            .flatten()
            .filter(|n| (least..=most).contains(n));
        if number.is_none() {
            let message = format!(
                "`{path}` must be a whole number from {least} to {most}, not `{}`",
                shorten(text)
            );
            self.report
                .error("invalid-value", path, Target::Value, message, example);
            self.report.mark_broken(path);
        }
        number
    }

    fn address(&mut self, tree: &Tree, path: &str, example: &str) -> Option<IpAddr> {
        let text = self.text(tree, path, example)?;
        let address = text.parse().ok();
        if address.is_none() {
            let message = format!("`{}` is not an address", shorten(text));
            self.report
                .error("invalid-value", path, Target::Value, message, example);
            self.report.mark_broken(path);
        }
        address
    }

    fn boolean(&mut self, tree: &Tree, path: &str) -> Option<bool> {
        match &tree.value {
            Value::Scalar { text, is_plain: true } if text == "true" => Some(true),
            Value::Scalar { text, is_plain: true } if text == "false" => Some(false),
            _ => {
                self.wrong_type(
                    tree,
                    path,
                    "true or false",
                    "write `true` or `false`, without quotes",
                );
                None
            }
        }
    }

    /// Decodes a key that must be there; what is decoded instead of an absent one is never used.
    fn required<'t>(
        &mut self,
        fields: &Fields<'t>,
        key: &str,
        what: &str,
        example: &str,
    ) -> Option<&'t Tree> {
        let tree = fields.get(key);
        if tree.is_none() {
            let path = fields.path(key);
            let place = if fields.path.is_empty() {
                String::new()
            } else {
                format!(" in `{}`", fields.path)
            };
            self.report.error(
                "missing-key",
                &path,
                Target::Key,
                format!("{what} is missing{place}"),
                example,
            );
            self.report.mark_broken(&path);
        }
        tree
    }
}

/// Decodes a whole file; the cluster is complete only if the report has no errors.
pub(super) fn decode(tree: &Tree, report: &mut Report) -> Option<Cluster> {
    decode_file(&mut Decoder { report }, tree)
}

/// Returns every map with a fixed set of keys, by its path, with items of lists as `[]` and components as `*`.
#[cfg(test)]
pub(super) fn known_keys() -> &'static [(&'static str, &'static [&'static str])] {
    words::KNOWN_KEYS
}
