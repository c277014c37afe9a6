//! `list`: the machines of a lab as they are now.

use anyhow::Result;
use serde::Serialize;

use crate::lab::state::to_json;
use crate::machine::{Machine, State};
use crate::place::Place;
use crate::ui;

/// Form of a command's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    lab: String,
    directory: String,
    bridge: String,
    machines: Vec<Line>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    name: String,
    role: &'static str,
    address: String,
    state: State,
    /// The machine's init, as this computer numbers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    interface: String,
}

pub(crate) fn run(place: &Place, output: Output) -> Result<()> {
    let lab = place.find()?;
    let machines = Machine::all(&lab)
        .iter()
        .map(line)
        .collect::<Result<Vec<Line>>>()?;
    if output == Output::Json {
        let listing = Listing {
            lab: lab.name.to_string(),
            directory: lab.directory.display().to_string(),
            bridge: lab.subnet.bridge(),
            machines,
        };
        ui::data(to_json(&listing)?.trim_end());
        return Ok(());
    }
    let width = machines
        .iter()
        .map(|machine| machine.name.len())
        .max()
        .unwrap_or(0)
        .max(4);
    ui::data(format_args!(
        "{:width$}  {:13}  {:14}  STATE",
        "NAME", "ROLE", "ADDRESS"
    ));
    for Line {
        name,
        role,
        address,
        state,
        ..
    } in &machines
    {
        ui::data(format_args!(
            "{name:width$}  {role:13}  {address:14}  {}",
            state.word()
        ));
    }
    Ok(())
}

fn line(machine: &Machine<'_>) -> Result<Line> {
    Ok(Line {
        name: machine.name().to_owned(),
        role: machine.record.role.word(),
        address: machine.record.address.to_string(),
        state: machine.state()?,
        pid: machine.init()?.map(|(_, init)| init.pid),
        interface: machine.interface(),
    })
}
