//! `kill`, `start`, `cut`, `heal` and `throttle`: what happens to machines in the world.

use anyhow::{Context, Result, bail};

use super::{on_all, up};
use crate::lab::lock::LabLock;
use crate::lab::{Lab, MachineName};
use crate::machine::{Machine, State, boot, network};
use crate::place::Place;
use crate::registry::Registry;
use crate::{tool, ui};

/// Which machines are meant.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Targets {
    /// Names of machines
    names: Vec<MachineName>,

    /// All machines of the lab, at the same moment
    #[arg(long)]
    all: bool,
}

impl Targets {
    /// The named machines, which must be in the given state; with `--all` those that are.
    fn select<'a>(
        &self,
        lab: &'a Lab,
        fits: impl Fn(State) -> bool,
        otherwise: &str,
    ) -> Result<Vec<Machine<'a>>> {
        let mut selected = Vec::new();
        for machine in Machine::all(lab) {
            if !self.all && !self.names.contains(&machine.record.name) {
                continue;
            }
            match (fits(machine.state()?), self.all) {
                (true, _) => selected.push(machine),
                (false, true) => {}
                (false, false) => bail!("{} is {otherwise} already", machine.name()),
            }
        }
        for name in &self.names {
            lab.machine(name)?;
        }
        Ok(selected)
    }
}

pub(crate) fn kill(place: &Place, targets: &Targets) -> Result<()> {
    let (lab, _lock) = change(place)?;
    let machines = targets.select(&lab, |state| state != State::Off, "off")?;
    on_all(&machines, Machine::kill)?;
    report(&machines, "off");
    Ok(())
}

pub(crate) fn start(place: &Place, targets: &Targets) -> Result<()> {
    let (lab, lock) = change(place)?;
    let machines = targets.select(&lab, |state| state == State::Off, "on")?;
    if !machines.is_empty() && network::bridges_of(&lab.name, None).is_empty() {
        network::create_bridge(&lab.name, lab.subnet, &lock)?;
    }
    on_all(&machines, |machine| {
        // What a half-dead machine left would be in the new one's way.
        machine.end_all()?;
        boot::start(machine)?;
        up::wait_for_answer(machine)
    })?;
    report(&machines, "on and answering");
    Ok(())
}

pub(crate) fn cut(place: &Place, name: &MachineName) -> Result<()> {
    let (lab, _lock) = change(place)?;
    let machine = running(&lab, name)?;
    network::cut(&machine.interface()).with_context(|| format!("cut {name}"))?;
    report(&[machine], "cut off the network");
    Ok(())
}

pub(crate) fn heal(place: &Place, name: &MachineName) -> Result<()> {
    let (lab, _lock) = change(place)?;
    let machine = running(&lab, name)?;
    network::heal(&machine.interface(), &lab.subnet.bridge()).with_context(|| format!("heal {name}"))?;
    report(&[machine], "on the network");
    Ok(())
}

/// How much of a processor machines have.
#[derive(Debug, clap::Args)]
pub(crate) struct Throttle {
    /// Per cent of one processor for each machine; 0 lets them go
    #[arg(long)]
    percent: u32,

    #[command(flatten)]
    targets: Targets,
}

pub(crate) fn throttle(place: &Place, arguments: &Throttle) -> Result<()> {
    let (lab, _lock) = change(place)?;
    let machines = arguments
        .targets
        .select(&lab, |state| state != State::Off, "off")?;
    let percent = (arguments.percent > 0).then_some(arguments.percent);
    for machine in &machines {
        let held = machine.cgroup()?.hold(percent);
        held.with_context(|| format!("throttle {}", machine.name()))?;
    }
    match percent {
        Some(percent) => report(&machines, &format!("held to {percent} % of a processor")),
        None => report(&machines, "as fast as this computer"),
    }
    Ok(())
}

fn change(place: &Place) -> Result<(Lab, LabLock)> {
    tool::require_root()?;
    let lab = place.find()?;
    let lock = Registry::of_this_computer().lock_lab(&lab.name)?;
    Ok((lab, lock))
}

fn running<'a>(lab: &'a Lab, name: &MachineName) -> Result<Machine<'a>> {
    let machine = Machine {
        lab,
        record: lab.machine(name)?,
    };
    if machine.state()? == State::Off {
        bail!("{name} is off: it has no cable to cut or heal; `kubewright-lab start {name}` powers it on");
    }
    Ok(machine)
}

fn report(machines: &[Machine<'_>], state: &str) {
    if machines.is_empty() {
        ui::say("nothing to do");
    }
    for machine in machines {
        ui::say(format_args!("{}: {state}", machine.name()));
    }
}
