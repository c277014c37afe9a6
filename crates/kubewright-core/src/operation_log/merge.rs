//! One list of what several places hold.

use std::collections::BTreeMap;

use super::RecordedRun;

/// Merges what places hold: one entry for each run, the fullest there is, newest first.
pub fn merge(places: impl IntoIterator<Item = (String, Vec<RecordedRun>)>) -> Vec<RecordedRun> {
    let mut runs: BTreeMap<String, RecordedRun> = BTreeMap::new();
    for (place, operations) in places {
        for mut operation in operations {
            let known = runs.remove(&operation.id);
            let mut held_by = known
                .as_ref()
                .map(|known| known.held_by.clone())
                .unwrap_or_default();
            held_by.push(place.clone());
            held_by.sort();
            held_by.dedup();
            if let Some(known) = known
                && fullness(&known) > fullness(&operation)
            {
                operation = known;
            }
            operation.held_by = held_by;
            runs.insert(operation.id.clone(), operation);
        }
    }
    let mut runs: Vec<RecordedRun> = runs.into_values().collect();
    runs.sort_by(|one, other| (other.begun_ms, &other.id).cmp(&(one.begun_ms, &one.id)));
    runs
}

/// Every place gets the same records in the same order, so that more is a continuation of less.
fn fullness(operation: &RecordedRun) -> (bool, u64, u64) {
    let counts = operation.counts;
    let ended = counts.done + counts.failed + counts.skipped;
    (operation.ending.is_some(), ended, ended + counts.open)
}

/// Those among `operations` that an id, or the beginning of one, can mean.
pub fn of_id<'o>(operations: &'o [RecordedRun], id: &str) -> Vec<&'o RecordedRun> {
    let exact: Vec<&RecordedRun> = operations.iter().filter(|operation| operation.id == id).collect();
    if !exact.is_empty() || id.is_empty() {
        return exact;
    }
    operations
        .iter()
        .filter(|operation| operation.id.starts_with(id))
        .collect()
}
