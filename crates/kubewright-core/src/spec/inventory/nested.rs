//! Inventories in the YAML form.

use super::super::value::{ValueError, shorten};
use super::super::yaml::{self, Entry, Tree, Value};
use super::{Inventory, Variables};

/// Reads an inventory in the YAML form. `None` when the text is not of that form, so that it may be INI.
pub(super) fn read(text: &str) -> Result<Option<Inventory>, ValueError> {
    let tree = match yaml::read(text) {
        Ok(Some(tree)) => tree,
        Ok(None) => {
            return Err(ValueError::new(
                "the inventory is empty",
                "check that this is the file you meant",
            ));
        }
        Err(error) if looks_like_yaml(text) => {
            let line = error
                .span
                .map_or(String::new(), |span| format!("line {}: ", span.line));
            return Err(ValueError::new(format!("{line}{}", error.problem), error.hint));
        }
        Err(_) => return Ok(None),
    };
    let Value::Map(groups) = &tree.value else {
        return Ok(None);
    };
    let mut inventory = Inventory::default();
    for entry in groups {
        read_group(&mut inventory, entry)?;
    }
    Ok(Some(inventory))
}

/// Returns whether the first line that says something is a YAML key rather than a section or a host.
fn looks_like_yaml(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with(['#', ';']))
        .is_some_and(|line| line == "---" || (line.ends_with(':') && !line.contains([' ', '=', '['])))
}

fn read_group(inventory: &mut Inventory, entry: &Entry) -> Result<(), ValueError> {
    let name = entry.key.as_str();
    inventory.group(name)?;
    if entry.value.is_null() {
        return Ok(());
    }
    for part in entries(&entry.value, name)? {
        match part.key.as_str() {
            _ if part.value.is_null() => {}
            "hosts" => {
                for host in entries(&part.value, "hosts")? {
                    let variables = if host.value.is_null() {
                        Variables::new()
                    } else {
                        variables(entries(&host.value, &host.key)?)
                    };
                    inventory.add_host(name, &host.key, variables)?;
                }
            }
            "vars" => {
                let variables = variables(entries(&part.value, "vars")?);
                inventory.group(name)?.variables.extend(variables);
            }
            "children" => {
                for child in entries(&part.value, "children")? {
                    inventory.group(name)?.children.push(child.key.replace('-', "_"));
                    read_group(inventory, child)?;
                }
            }
            other => {
                return Err(ValueError::new(
                    format!(
                        "line {}: `{}` is not a part of group `{}`",
                        part.key_span.line,
                        shorten(other),
                        shorten(name)
                    ),
                    "a group has `hosts`, `children` and `vars`",
                ));
            }
        }
    }
    Ok(())
}

fn entries<'t>(tree: &'t Tree, what: &str) -> Result<&'t [Entry], ValueError> {
    match &tree.value {
        Value::Map(entries) => Ok(entries),
        _ => Err(ValueError::new(
            format!(
                "line {}: `{}` must be a map, not {}",
                tree.span.line,
                shorten(what),
                tree.kind()
            ),
            "write `name:` on lines of their own, with a colon after each",
        )),
    }
}

/// Returns the variables that are plain values; nothing kubewright reads is a list or a map.
fn variables(entries: &[Entry]) -> Variables {
    let plain = |entry: &Entry| match &entry.value.value {
        Value::Scalar { text, .. } if !entry.value.is_null() => Some((entry.key.clone(), text.clone())),
        _ => None,
    };
    entries.iter().filter_map(plain).collect()
}
