//! Which rooms of a crate use which: its top-level modules, as their source names each other.
//!
//! Source is read as tokens, so that comments and texts do not count and macros do. A path counts when it begins with
//! `crate` or `super`. Modules and items for tests are left out: a test may use whatever it likes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::graph::Graph;
use crate::tokens::{Token, tokens};

/// Reads the rooms of a crate from its directory.
pub(super) fn of_crate(directory: &Path) -> anyhow::Result<Graph> {
    let source = directory.join("src");
    let root = ["lib.rs", "main.rs"]
        .map(|name| source.join(name))
        .into_iter()
        .find(|path| path.exists())
        .with_context(|| format!("{} has no root module", directory.display()))?;
    let mut reader = Reader {
        source: source.clone(),
        ..Reader::default()
    };
    reader.file(&root, &source, &[])?;
    Ok(reader.finish())
}

#[derive(Default)]
struct Reader {
    source: PathBuf,
    rooms: Vec<String>,
    /// Who names what, and in which file below the source.
    named: Vec<(String, String, PathBuf)>,
}

impl Reader {
    /// Reads a file; `children` is where the files of its modules are.
    fn file(&mut self, path: &Path, children: &Path, module: &[String]) -> anyhow::Result<()> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        self.items(&tokens(&text), path, children, module)
    }

    /// Reads tokens, those in brackets included.
    fn items(
        &mut self,
        tokens: &[Token],
        path: &Path,
        children: &Path,
        module: &[String],
    ) -> anyhow::Result<()> {
        let mut elsewhere = None;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match (token, &tokens[at..]) {
                (Token::Mark('#'), [Token::Group('[', attribute), rest @ ..]) if is_for_tests(attribute) => {
                    at += 2 + rest.iter().take_while(|token| !ends_item(token)).count();
                }
                (Token::Mark('#'), [Token::Group('[', attribute), ..]) => {
                    elsewhere = path_of(attribute).or(elsewhere);
                    at += 1;
                }
                (Token::Word(word), [Token::Word(name), rest @ ..]) if word == "mod" => {
                    let inner = [module, std::slice::from_ref(name)].concat();
                    if module.is_empty() {
                        self.rooms.push(name.clone());
                    }
                    let below = children.join(name);
                    let beside = path.parent().unwrap_or(path);
                    match (rest, elsewhere.take().map(|path| beside.join(path))) {
                        ([Token::Group('{', body), ..], _) => {
                            self.items(body, path, &below, &inner)?;
                        }
                        (_, Some(file)) => {
                            self.file(&file, file.parent().unwrap_or(&file), &inner)?;
                        }
                        _ => self.file(&file_of(&below)?, &below, &inner)?,
                    }
                    at += 2;
                }
                (Token::Word(word), rest) if word == "crate" => self.path(rest, path, &[], module),
                (Token::Word(word), rest) if word == "super" => {
                    self.path(rest, path, parent(module), module);
                }
                (Token::Group(_, inner), _) => self.items(inner, path, children, module)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads how a path goes on that has led to a module so far.
    fn path(&mut self, rest: &[Token], path: &Path, so_far: &[String], module: &[String]) {
        if let [Token::Mark(':'), Token::Mark(':'), rest @ ..] = rest {
            self.segment(rest, path, so_far, module);
        }
    }

    fn segment(&mut self, rest: &[Token], path: &Path, so_far: &[String], module: &[String]) {
        match rest {
            [Token::Word(word), rest @ ..] if word == "super" => {
                self.path(rest, path, parent(so_far), module);
            }
            [Token::Word(word), ..] if so_far.is_empty() => {
                if let Some(room) = module.first() {
                    let place = path.strip_prefix(&self.source).unwrap_or(path);
                    self.named.push((room.clone(), word.clone(), place.to_owned()));
                }
            }
            [Token::Group('{', parts), ..] => {
                for part in parts.split(|token| *token == Token::Mark(',')) {
                    self.segment(part, path, so_far, module);
                }
            }
            _ => {}
        }
    }

    /// Names that are no rooms are items of the root.
    fn finish(self) -> Graph {
        let mut graph = Graph::of(self.rooms);
        for (from, to, place) in self.named {
            graph.uses(&from, &to, &place);
        }
        graph
    }
}

/// Whether an attribute keeps an item for tests.
fn is_for_tests(attribute: &[Token]) -> bool {
    let is_word = |token: &Token, wanted: &str| matches!(token, Token::Word(word) if word == wanted);
    match attribute {
        [name, Token::Group('(', condition)] if is_word(name, "cfg") => {
            condition.first().is_some_and(|token| is_word(token, "test"))
        }
        _ => false,
    }
}

/// The file that an attribute says a module is in.
fn path_of(attribute: &[Token]) -> Option<&str> {
    match attribute {
        [Token::Word(name), Token::Mark('='), Token::Text(path)] if name == "path" => Some(path),
        _ => None,
    }
}

/// Whether a token is the last of an item.
fn ends_item(token: &Token) -> bool {
    matches!(token, Token::Mark(';') | Token::Group('{', _))
}

fn parent(module: &[String]) -> &[String] {
    module.split_last().map_or(&[], |(_, parent)| parent)
}

/// Where a module's source is: in a file of its name, or in a directory of its name.
fn file_of(module: &Path) -> anyhow::Result<PathBuf> {
    for path in [module.with_extension("rs"), module.join("mod.rs")] {
        if path.exists() {
            return Ok(path);
        }
    }
    bail!("no file has the module {}", module.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(source: &str, module: &[&str]) -> Vec<String> {
        let module: Vec<String> = module.iter().map(ToString::to_string).collect();
        let mut reader = Reader::default();
        let nowhere = Path::new("nowhere");
        reader.items(&tokens(source), nowhere, nowhere, &module).unwrap();
        let mut named: Vec<String> = reader.named.into_iter().map(|(_, to, _)| to).collect();
        named.dedup();
        named
    }

    #[test]
    fn paths_are_followed_through_groups_and_upwards() {
        let source =
            "use crate::{one, two::{self, Three}}; fn f() { super::super::four::g(); super::own::h(); }";
        assert_eq!(uses(source, &["room", "inner"]), ["one", "two", "four"]);
    }

    #[test]
    fn a_path_inside_a_macro_counts() {
        assert_eq!(
            uses("fn f() { write!(\"{}\", crate::one::two()) }", &["room"]),
            ["one"]
        );
    }

    #[test]
    fn comments_texts_and_visibility_do_not_count() {
        let source = "/// [`crate::one`]\n// crate::two\npub(super) const A: &str = \"crate::three::four\";";
        assert!(uses(source, &["room"]).is_empty());
    }

    #[test]
    fn tests_may_use_what_they_like() {
        let source = "#[cfg(test)] mod tests { use crate::one::A; } #[cfg(test)] use crate::two::B; use crate::three::C;";
        assert_eq!(uses(source, &["room"]), ["three"]);
    }
}
