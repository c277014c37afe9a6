//! From lines to a run.

use std::collections::BTreeMap;

use super::{Event, Record, RecordedRun, StepOutcome, StepRecord, count};

/// Makes a run of its records; `None` when they do not begin one.
///
/// Lines that are not understood are passed over: a newer version wrote them, or a power cut cut the last one off.
pub fn read(text: &[u8]) -> Option<RecordedRun> {
    let mut operation: Option<RecordedRun> = None;
    let mut steps: BTreeMap<String, StepRecord> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(record) = serde_json::from_slice::<Record>(line) else {
            continue;
        };
        if let (Event::Begun(begun), None) = (&record.event, &operation) {
            operation = Some(RecordedRun {
                id: record.run.clone(),
                schema: record.schema,
                begun_ms: record.time_ms,
                begun: begun.clone(),
                last_ms: record.time_ms,
                ending: None,
                changed: 0,
                counts: super::Counts::default(),
                steps: Vec::new(),
                held_by: Vec::new(),
            });
            continue;
        }
        let Some(operation) = operation.as_mut().filter(|operation| operation.id == record.run) else {
            continue;
        };
        operation.schema = operation.schema.max(record.schema);
        operation.last_ms = operation.last_ms.max(record.time_ms);
        match record.event {
            Event::StepBegun { step, node, title } => {
                let known = entry(&mut steps, &mut order, step);
                known.node = node;
                known.title = title;
            }
            Event::StepEnded {
                step,
                node,
                title,
                outcome,
                duration_ms,
            } => {
                if let StepOutcome::Changed { count } = outcome {
                    operation.changed += count;
                }
                let known = entry(&mut steps, &mut order, step);
                known.node = known.node.take().or(node);
                if known.title.is_empty() {
                    known.title = title;
                }
                known.outcome = Some(outcome);
                known.duration_ms = duration_ms;
            }
            Event::Ended { ending, changed, .. } => {
                operation.ending = Some(ending);
                operation.changed = changed;
            }
            Event::Begun(_) | Event::Unknown => {}
        }
    }
    let mut operation = operation?;
    operation.counts = count(&steps);
    operation.steps = order.iter().filter_map(|id| steps.remove(id)).collect();
    Some(operation)
}

fn entry<'s>(
    steps: &'s mut BTreeMap<String, StepRecord>,
    order: &mut Vec<String>,
    step: String,
) -> &'s mut StepRecord {
    if !steps.contains_key(&step) {
        order.push(step.clone());
    }
    steps.entry(step.clone()).or_insert_with(|| StepRecord {
        node: None,
        title: String::new(),
        outcome: None,
        duration_ms: 0,
        step,
    })
}
