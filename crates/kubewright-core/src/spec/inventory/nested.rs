//! Inventories and variable files in the YAML form.

use super::super::yaml::{self, Entry, Tree, Value, YamlError};
use super::hosts::hosts;
use super::model::{Inventory, Variable, Variables};
use crate::value::{ValueError, shorten};

/// Reads an inventory in the YAML form. `None` when the text is not of that form, so that it may be INI.
pub(super) fn read(text: &str) -> Result<Option<Inventory>, ValueError> {
    let tree = match yaml::read_with_tags(text) {
        Ok(Some(tree)) => tree,
        Ok(None) => {
            return Err(ValueError::new(
                "the inventory is empty",
                "check that this is the file you meant",
            ));
        }
        Err(error) if looks_like_yaml(text) => return Err(of_yaml(error)),
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

/// Reads a file of variables.
pub(super) fn read_variables(text: &str) -> Result<Variables, ValueError> {
    match yaml::read_with_tags(text).map_err(of_yaml)? {
        Some(tree) => Ok(variables(entries(&tree, "the file")?)),
        None => Ok(Variables::new()),
    }
}

fn of_yaml(error: YamlError) -> ValueError {
    let line = error
        .span
        .map_or(String::new(), |span| format!("line {}: ", span.line));
    ValueError::new(format!("{line}{}", error.problem), error.hint)
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
            "hosts" => read_hosts(inventory, name, &part.value)?,
            "vars" => inventory.add_variables(name, variables(entries(&part.value, "vars")?))?,
            "children" => {
                for child in entries(&part.value, "children")? {
                    inventory.add_child(name, &child.key)?;
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

fn read_hosts(inventory: &mut Inventory, group: &str, tree: &Tree) -> Result<(), ValueError> {
    // One host may stand there without a map, as Ansible allows.
    if let Value::Scalar { text, .. } = &tree.value {
        return add_hosts(inventory, group, text, &Variables::new(), tree.span.line);
    }
    for host in entries(tree, "hosts")? {
        let variables = if host.value.is_null() {
            Variables::new()
        } else {
            variables(entries(&host.value, &host.key)?)
        };
        add_hosts(inventory, group, &host.key, &variables, host.key_span.line)?;
    }
    Ok(())
}

fn add_hosts(
    inventory: &mut Inventory,
    group: &str,
    pattern: &str,
    variables: &Variables,
    line: usize,
) -> Result<(), ValueError> {
    let (names, port) = hosts(pattern)
        .map_err(|error| ValueError::new(format!("line {line}: {}", error.problem), error.hint))?;
    let mut variables = variables.clone();
    if let Some(port) = port {
        let port = Variable::Text(port);
        variables.entry("ansible_port".to_owned()).or_insert(port);
    }
    for host in names {
        inventory.add_host(group, &host, variables.clone())?;
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

fn variables(entries: &[Entry]) -> Variables {
    entries
        .iter()
        .filter(|entry| !entry.value.is_null())
        .map(|entry| {
            let value = match &entry.value.value {
                Value::Scalar { text, .. } => Variable::of_text(text),
                Value::List(_) | Value::Map(_) => Variable::Nested,
            };
            (entry.key.clone(), value)
        })
        .collect()
}
