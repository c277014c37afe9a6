//! Inventories in the INI form.

use super::super::value::{ValueError, shorten};
use super::{Inventory, MOST_HOSTS, Variables};

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
        let error =
            |problem: &str, hint: &str| ValueError::new(format!("line {}: {problem}", index + 1), hint);
        if let Some(rest) = line.strip_prefix('[')
            && !rest.contains(['=', ' '])
            && let Some(name) = rest.strip_suffix(']')
        {
            let (group, kind) = name.split_once(':').unwrap_or((name, "hosts"));
            let kind = match kind {
                "hosts" => Kind::Hosts,
                "children" => Kind::Children,
                "vars" => Kind::Variables,
                _ => {
                    return Err(error(
                        &format!("`{}` is no kind of section", shorten(line)),
                        "use [group], [group:children] or [group:vars]",
                    ));
                }
            };
            inventory.group(group)?;
            section = (group.to_owned(), kind);
            continue;
        }
        let (group, kind) = (&section.0, section.1);
        let words = words(line).ok_or_else(|| error("a quote that is never closed", "close it"))?;
        let Some((first, rest)) = words.split_first() else {
            continue;
        };
        match kind {
            Kind::Children => inventory.group(group)?.children.push(first.replace('-', "_")),
            Kind::Variables => {
                let (name, value) = line.split_once('=').ok_or_else(|| {
                    error(
                        &format!("`{}` is not a variable", shorten(line)),
                        "write `name=value`",
                    )
                })?;
                let value = value.split(" #").next().unwrap_or_default().trim();
                let value = value.trim_matches(|c| c == '"' || c == '\'').to_owned();
                inventory
                    .group(group)?
                    .variables
                    .insert(name.trim().to_owned(), value);
            }
            Kind::Hosts => {
                let mut variables = Variables::new();
                for word in rest {
                    let (name, value) = word.split_once('=').ok_or_else(|| {
                        error(
                            &format!("`{}` is not a variable", shorten(word)),
                            "write `name=value` after the host",
                        )
                    })?;
                    variables.insert(name.to_owned(), value.to_owned());
                }
                let (pattern, port) = match first.rsplit_once(':') {
                    Some((host, port))
                        if !port.is_empty()
                            && !host.contains(':')
                            && port.bytes().all(|b| b.is_ascii_digit()) =>
                    {
                        (host, Some(port))
                    }
                    _ => (first.as_str(), None),
                };
                if let Some(port) = port {
                    variables
                        .entry("ansible_port".to_owned())
                        .or_insert_with(|| port.to_owned());
                }
                let hosts = expand(pattern).ok_or_else(|| {
                    error(
                        &format!("`{}` is not a range of hosts", shorten(pattern)),
                        "write it as `node[1:3]`",
                    )
                })?;
                for host in hosts {
                    inventory.add_host(group, &host, variables.clone())?;
                }
            }
        }
    }
    Ok(inventory)
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
            None if c == '#' && !is_word => break,
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

/// Expands `node[01:03].example` into its hosts. `None` when the range is not one, or is too long.
fn expand(pattern: &str) -> Option<Vec<String>> {
    let Some((before, rest)) = pattern.split_once('[') else {
        return Some(vec![pattern.to_owned()]);
    };
    let (range, after) = rest.split_once(']')?;
    let (first, last) = range.split_once(':')?;
    let middles: Vec<String> = if let (Ok(from), Ok(to)) = (first.parse::<usize>(), last.parse::<usize>()) {
        if from > to || to - from >= MOST_HOSTS {
            return None;
        }
        let width = if first.starts_with('0') {
            first.len().min(10)
        } else {
            0
        };
        (from..=to).map(|number| format!("{number:0width$}")).collect()
    } else {
        let letter = |text: &str| {
            text.bytes()
                .next()
                .filter(|b| text.len() == 1 && b.is_ascii_alphabetic())
        };
        let (from, to) = (letter(first)?, letter(last)?);
        (from..=to).map(|byte| char::from(byte).to_string()).collect()
    };
    let tails = expand(after)?;
    if middles.len().saturating_mul(tails.len()) > MOST_HOSTS {
        return None;
    }
    Some(
        middles
            .iter()
            .flat_map(|middle| tails.iter().map(move |tail| format!("{before}{middle}{tail}")))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_expand_with_their_zeros() {
        assert_eq!(expand("n[08:10].x").unwrap(), ["n08.x", "n09.x", "n10.x"]);
        assert_eq!(expand("n[a:c]").unwrap(), ["na", "nb", "nc"]);
        assert_eq!(expand("n").unwrap(), ["n"]);
        for bad in ["n[1:9999999]", "n[3:1", "n[1-3]", "[0:999][0:999][0:999]"] {
            assert_eq!(expand(bad), None, "{bad}");
        }
    }

    #[test]
    fn words_keep_what_is_quoted() {
        assert_eq!(words("a b='c d' # e").unwrap(), ["a", "b=c d"]);
        assert_eq!(words("a 'b"), None);
    }
}
