//! Inventories in the JSON form of `ansible-inventory --list`: variables are merged already, host by host.

use super::model::{Inventory, Variable, Variables};
use crate::value::ValueError;
use serde_json::{Map, Value};

/// Reads what `ansible-inventory --list` printed. `None` when the text is of another form.
pub(super) fn read(text: &str) -> Result<Option<Inventory>, ValueError> {
    if !text.trim_start().starts_with('{') {
        return Ok(None);
    }
    let Ok(Value::Object(groups)) = serde_json::from_str(text) else {
        return Ok(None);
    };
    let Some(about_hosts) = groups.get("_meta") else {
        return Ok(None);
    };
    let mut inventory = Inventory::default();
    for (name, group) in groups.iter().filter(|(name, _)| *name != "_meta") {
        inventory.group(name)?;
        for host in names(group, "hosts") {
            inventory.add_host(name, host, Variables::new())?;
        }
        for child in names(group, "children") {
            inventory.add_child(name, child)?;
        }
        if let Some(Value::Object(more)) = group.get("vars") {
            inventory.add_variables(name, variables(more))?;
        }
    }
    if let Some(Value::Object(hosts)) = about_hosts.get("hostvars") {
        for (host, more) in hosts {
            if let Value::Object(more) = more {
                inventory.add_host("all", host, variables(more))?;
            }
        }
    }
    Ok(Some(inventory))
}

fn names<'v>(group: &'v Value, key: &str) -> impl Iterator<Item = &'v str> {
    let list = group.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

fn variables(map: &Map<String, Value>) -> Variables {
    map.iter()
        .filter_map(|(name, value)| {
            let value = match value {
                Value::Null => return None,
                Value::String(text) => Variable::of_text(text),
                Value::Bool(_) | Value::Number(_) => Variable::Text(value.to_string()),
                Value::Object(map) if map.contains_key("__ansible_vault") => Variable::Encrypted,
                Value::Array(_) | Value::Object(_) => Variable::Nested,
            };
            Some((name.clone(), value))
        })
        .collect()
}
