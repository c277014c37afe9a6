//! Named waits with a bound.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long between two looks at something that cannot tell by itself.
const INTERVAL: Duration = Duration::from_millis(20);

/// The longest a wait may take.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// So many seconds.
    Seconds(u64),
}

/// Looks until the condition holds; gives up with its name after the limit, at once on an error.
pub(crate) fn wait_until(
    condition: &str,
    limit: Limit,
    mut holds: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let Limit::Seconds(seconds) = limit;
    let end = Instant::now() + Duration::from_secs(seconds);
    while !holds()? {
        if Instant::now() >= end {
            bail!("waited {seconds} s for {condition}");
        }
        thread::sleep(INTERVAL);
    }
    Ok(())
}
