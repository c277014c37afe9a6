//! Many attempts side by side.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Attempts for each processor: after a fault, most of them wait a while to be sure that nothing happens any more.
const FOR_EACH_PROCESSOR: usize = 3;

/// Does so many pieces of work, each by its number.
pub(crate) fn each(count: usize, work: impl Fn(usize) + Sync) {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..count.min(processors * FOR_EACH_PROCESSOR) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}
