//! Inventories in the INI form.

use super::hosts::hosts;
use super::model::{Inventory, Variable, Variables};
use crate::value::{ValueError, shorten};

/// What the lines of a section are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hosts,
    Children,
    Variables,
}

/// Reads an inventory in the INI form.
pub(super) fn read(text: &str) -> Result<Inventory, ValueError> {
    let mut inventory = Inventory::default();
    let mut section = ("ungrouped".to_owned(), Kind::Hosts);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let at_line =
            |error: ValueError| ValueError::new(format!("line {}: {}", index + 1, error.problem), error.hint);
        if let Some(name) = section_name(line) {
            section = read_section(name).map_err(at_line)?;
            inventory.group(&section.0)?;
            continue;
        }
        let (group, kind) = (&section.0, section.1);
        match kind {
            Kind::Variables => {
                let (name, value) = variable(line).map_err(at_line)?;
                inventory.add_variables(group, [(name, value)].into())?;
            }
            Kind::Children => {
                let child = words(line).and_then(|words| words.into_iter().next());
                inventory.add_child(group, child.as_deref().unwrap_or(line))?;
            }
            Kind::Hosts => read_hosts(&mut inventory, group, line).map_err(at_line)?,
        }
    }
    Ok(inventory)
}

/// Returns what stands in brackets, if this is the first line of a section.
fn section_name(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix('[')?.split_once(']')?;
    let rest = rest.trim_start();
    let is_section = (rest.is_empty() || rest.starts_with('#')) && !name.contains([' ', '=', '[']);
    // An IPv6 address in brackets is a host.
    (is_section && !name.contains("::") && name.matches(':').count() < 2).then_some(name)
}

fn read_section(name: &str) -> Result<(String, Kind), ValueError> {
    let (group, kind) = name.split_once(':').unwrap_or((name, "hosts"));
    let kind = match kind {
        "hosts" => Kind::Hosts,
        "children" => Kind::Children,
        "vars" => Kind::Variables,
        _ => {
            return Err(ValueError::new(
                format!("`[{}]` is no kind of section", shorten(name)),
                "use [group], [group:children] or [group:vars]",
            ));
        }
    };
    Ok((group.to_owned(), kind))
}

fn read_hosts(inventory: &mut Inventory, group: &str, line: &str) -> Result<(), ValueError> {
    let words = words(line).ok_or_else(|| ValueError::new("a quote that is never closed", "close it"))?;
    let Some((first, rest)) = words.split_first() else {
        return Ok(());
    };
    let mut variables = Variables::new();
    for word in rest {
        let (name, value) = word.split_once('=').ok_or_else(|| {
            ValueError::new(
                format!("`{}` is not a variable", shorten(word)),
                "write `name=value` after the host",
            )
        })?;
        variables.insert(name.to_owned(), value_of(value));
    }
    let (names, port) = hosts(first)?;
    if let Some(port) = port {
        let port = Variable::Text(port);
        variables.entry("ansible_port".to_owned()).or_insert(port);
    }
    for host in names {
        inventory.add_host(group, &host, variables.clone())?;
    }
    Ok(())
}

/// Reads a line of a section `[group:vars]`. Everything after `=` is the value: a `#` in it begins no comment, and an
/// apostrophe no quote, unless the whole value is quoted.
fn variable(line: &str) -> Result<(String, Variable), ValueError> {
    let (name, value) = line.split_once('=').ok_or_else(|| {
        ValueError::new(
            format!("`{}` is not a variable", shorten(line)),
            "write `name=value`",
        )
    })?;
    Ok((name.trim().to_owned(), value_of(value.trim())))
}

fn value_of(text: &str) -> Variable {
    if let Some(quote) = text.chars().next().filter(|first| matches!(first, '"' | '\''))
        && let Some((inner, rest)) = text[1..].split_once(quote)
        && (rest.trim().is_empty() || rest.trim_start().starts_with('#'))
    {
        return Variable::of_text(inner);
    }
    let is_nested = |open, close| text.starts_with(open) && text.ends_with(close) && !text.starts_with("{{");
    if is_nested('[', ']') || is_nested('{', '}') {
        return Variable::Nested;
    }
    Variable::of_text(text)
}

/// Splits a line at spaces outside quotes, up to a comment. `None` when a quote is not closed.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut is_word, mut quote) = (false, None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.push(c),
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                is_word = true;
            }
            None if c == '#' => break,
            None if c.is_whitespace() => {
                if is_word {
                    words.push(std::mem::take(&mut word));
                }
                is_word = false;
            }
            None => {
                word.push(c);
                is_word = true;
            }
        }
    }
    if is_word {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_what_is_quoted_and_end_at_a_comment() {
        assert_eq!(words("a b='c # d' # e").unwrap(), ["a", "b=c # d"]);
        assert_eq!(words("a b#c d").unwrap(), ["a", "b"]);
        assert_eq!(words("a 'b"), None);
    }

    #[test]
    fn values_of_variables_are_what_ansible_reads() {
        let value = |line| variable(line).unwrap().1;
        let text = |text: &str| Variable::Text(text.to_owned());
        assert_eq!(value("banner=don't touch"), text("don't touch"));
        assert_eq!(value("quoted=\"x\" # remark"), text("x"));
        assert_eq!(value("bare=x # remark"), text("x # remark"));
        assert_eq!(value("list=['a', 'b']"), Variable::Nested);
        assert_eq!(
            value("user=\"{{ lookup('env','U') }}\""),
            text("{{ lookup('env','U') }}")
        );
    }
}
