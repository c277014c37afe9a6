//! Clocks: against each other and against this computer, whose certificates they have to accept.

use super::measured::Clock;
use super::text::duration;
use super::{Found, Kind, Look, Severity};

/// etcd and leader leases: rule R14 of the safety rules.
const CONTROL_PLANES_MS: u64 = 1000;
const CONTROL_PLANES_WARNING_MS: u64 = 200;
/// Workers only confuse the reader of logs and metrics.
const WORKERS_WARNING_MS: u64 = 1000;
/// Certificates are valid from 5 minutes before they are made; one minute of it is kept.
const CONTROLLER_MS: u64 = 4 * 60 * 1000;
/// Nodes that agree this well blame the controller.
const AGREEMENT_MS: u64 = 60 * 1000;

const FIX: &str = "timedatectl set-ntp true (with chrony: chronyc makestep), then check again";
const FIX_WITHOUT_SERVICE: &str = "install chrony or systemd-timesyncd, then: timedatectl set-ntp true";

/// A node and its clock.
struct Reading<'a> {
    node: &'a str,
    is_control_plane: bool,
    offset: i128,
    uncertainty: i128,
    is_synchronized: Option<bool>,
}

impl Reading<'_> {
    /// How far two clocks are apart at least.
    fn apart(&self, other: &Self) -> u64 {
        let apart = (self.offset - other.offset).abs() - self.uncertainty - other.uncertainty;
        u64::try_from(apart.max(0)).unwrap_or(u64::MAX)
    }

    /// How far they seem to be apart.
    fn seems_apart(&self, other: &Self) -> u64 {
        u64::try_from((self.offset - other.offset).abs()).unwrap_or(u64::MAX)
    }

    /// How far the clock seems to be from the controller's.
    fn seems_off(&self) -> u64 {
        u64::try_from(self.offset.abs()).unwrap_or(u64::MAX)
    }

    /// What to do about it.
    fn fix(&self) -> &'static str {
        if self.is_synchronized == Some(false) {
            FIX_WITHOUT_SERVICE
        } else {
            FIX
        }
    }

    /// How far the clock is from the controller's at least.
    fn off(&self) -> u64 {
        u64::try_from((self.offset.abs() - self.uncertainty).max(0)).unwrap_or(u64::MAX)
    }
}

pub(super) fn judge(look: &Look, found: &mut Found) {
    let readings: Vec<Reading> = look
        .subjects
        .iter()
        .filter_map(|subject| {
            let Clock {
                offset_ms,
                uncertainty_ms,
            } = look.measured.clocks.get(subject.name())?;
            Some(Reading {
                node: subject.name(),
                is_control_plane: subject.node.is_control_plane(),
                offset: i128::from(*offset_ms),
                uncertainty: i128::from(*uncertainty_ms).max(0),
                is_synchronized: subject.facts.clock_synchronized,
            })
        })
        .collect();
    let (wrong, right): (Vec<&Reading>, Vec<&Reading>) =
        readings.iter().partition(|reading| reading.off() > CONTROLLER_MS);
    let agree = |one: &&Reading| wrong.iter().all(|other| one.apart(other) <= AGREEMENT_MS);
    let blame_controller = wrong.len() > 1 && right.is_empty() && wrong.iter().all(agree);
    if blame_controller {
        controller(&wrong, found);
    } else {
        for reading in &wrong {
            off(reading, found);
        }
    }
    let judged: Vec<&Reading> = if blame_controller { wrong } else { right };
    control_planes(&judged, found);
    workers(&judged, found);
    let is_told = |node: &str, found: &Found| {
        let mut findings = found.0.iter().filter(|finding| finding.kind == Kind::ClockOffset);
        findings.any(|finding| finding.node.as_deref() == Some(node))
    };
    for subject in &look.subjects {
        if subject.facts.clock_synchronized == Some(false) && !is_told(subject.name(), found) {
            found.warning(
                Kind::TimeNotSynchronized,
                subject.name(),
                "no time service synchronizes the clock",
                "install chrony or systemd-timesyncd, then: timedatectl set-ntp true",
            );
        }
    }
}

fn direction(offset: i128) -> &'static str {
    if offset < 0 { "behind" } else { "ahead of" }
}

/// All nodes agree that this computer is wrong.
fn controller(wrong: &[&Reading], found: &mut Found) {
    let Some(nearest) = wrong.iter().min_by_key(|reading| reading.seems_off()) else {
        return;
    };
    found.add(
        Kind::ClockOffset,
        Severity::Error,
        None,
        format!(
            "your workstation's clock is {} {} that of all nodes",
            duration(nearest.seems_off()),
            direction(-nearest.offset)
        ),
        "set your workstation's clock; the nodes agree with each other",
    );
}

fn off(reading: &Reading, found: &mut Found) {
    found.error(
        Kind::ClockOffset,
        reading.node,
        format!(
            "the clock is {} {} that of your workstation; certificates issued now would not be accepted there",
            duration(reading.seems_off()),
            direction(reading.offset),
        ),
        reading.fix(),
    );
}

/// Every pair of control planes; the one that is farther from the middle is reported.
fn control_planes(readings: &[&Reading], found: &mut Found) {
    let planes: Vec<&Reading> = readings
        .iter()
        .copied()
        .filter(|reading| reading.is_control_plane)
        .collect();
    let Some(twice_median) = twice_median(&planes) else {
        return;
    };
    for reading in &planes {
        let Some(farthest) = planes.iter().max_by_key(|other| reading.apart(other)) else {
            continue;
        };
        let apart = reading.apart(farthest);
        // At least a quarter of the difference is this one's: with clocks on both sides of the middle all are reported.
        let is_culprit = 2 * (2 * reading.offset - twice_median).unsigned_abs() >= u128::from(apart);
        if apart <= CONTROL_PLANES_WARNING_MS || !is_culprit {
            continue;
        }
        let severity = if apart > CONTROL_PLANES_MS {
            Severity::Error
        } else {
            Severity::Warning
        };
        found.add(
            Kind::ClockOffset,
            severity,
            Some(reading.node),
            format!(
                "the clock is {} {} that of {}; etcd and leader leases need control planes within {}",
                duration(reading.seems_apart(farthest)),
                direction(reading.offset - farthest.offset),
                farthest.node,
                duration(if severity == Severity::Error {
                    CONTROL_PLANES_MS
                } else {
                    CONTROL_PLANES_WARNING_MS
                }),
            ),
            reading.fix(),
        );
    }
}

/// Twice the median offset, which is a whole number also for an even number of clocks.
fn twice_median(readings: &[&Reading]) -> Option<i128> {
    let mut offsets: Vec<i128> = readings.iter().map(|reading| reading.offset).collect();
    offsets.sort_unstable();
    let upper = *offsets.get(offsets.len() / 2)?;
    let lower = *offsets.get((offsets.len() - 1) / 2)?;
    Some(upper + lower)
}

fn workers(readings: &[&Reading], found: &mut Found) {
    let mut planes: Vec<&&Reading> = readings
        .iter()
        .filter(|reading| reading.is_control_plane)
        .collect();
    planes.sort_by_key(|reading| reading.offset);
    let Some(median) = planes.get(planes.len() / 2) else {
        return;
    };
    for reading in readings.iter().filter(|reading| !reading.is_control_plane) {
        let apart = reading.apart(median);
        if apart > WORKERS_WARNING_MS {
            found.warning(
                Kind::ClockOffset,
                reading.node,
                format!(
                    "the clock is {} {} that of the control planes; logs and metrics will not line up",
                    duration(reading.seems_apart(median)),
                    direction(reading.offset - median.offset),
                ),
                reading.fix(),
            );
        }
    }
}
