//! What applying would change in one live object, also while others write to it.
//!
//! A dry run starts from the object as it is when the server works on it, which may be later than the reading it is
//! compared with. What a controller wrote in between would look like a change of ours, so a difference only counts when
//! the object is still at the version that was read.

use serde_json::Value;

use super::difference;

/// How often an object that others keep writing is looked at again before the difference last seen counts.
const LOOKS: u32 = 8;

/// Returns the diff from the live object that `read` returns to what `dry_run` makes of it; `None` when nothing changes.
///
/// The dry run is spared when the live object already `is_bootstrapped`.
pub(super) async fn change<Error, Reading, Prediction>(
    read: impl Fn() -> Reading,
    dry_run: impl Fn() -> Prediction,
    is_bootstrapped: impl Fn(&Value) -> bool,
) -> Result<Option<String>, Error>
where
    Reading: Future<Output = Result<Value, Error>>,
    Prediction: Future<Output = Result<Value, Error>>,
{
    let mut live = read().await?;
    for look in 1..=LOOKS {
        if is_bootstrapped(&live) {
            return Ok(None);
        }
        let Some(diff) = difference::between(&live, dry_run().await?) else {
            return Ok(None);
        };
        let now = read().await?;
        if version(&now) == version(&live) || look == LOOKS {
            return Ok(Some(diff));
        }
        live = now;
    }
    Ok(None)
}

/// Returns the version of an object, which every write changes.
fn version(object: &Value) -> Option<&str> {
    object
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use serde_json::json;

    use super::*;

    /// An object that a controller writes to before each of the first `writes` dry runs.
    struct Written {
        version: Cell<u32>,
        writes: u32,
    }

    impl Written {
        fn new(writes: u32) -> Self {
            let version = Cell::new(0);
            Self { version, writes }
        }

        fn object(&self, image: &str) -> Value {
            let version = self.version.get().to_string();
            json!({"kind": "Deployment", "spec": {"image": image},
                "metadata": {"name": "a", "resourceVersion": version, "annotations": {"revision": version}}})
        }

        async fn change_to(&self, image: &str) -> Option<String> {
            let dry_run = || async {
                self.version.set((self.version.get() + 1).min(self.writes));
                Ok::<_, Infallible>(self.object(image))
            };
            let Ok(change) = change(|| async { Ok(self.object("web:1")) }, dry_run, |_| false).await;
            change
        }
    }

    #[tokio::test]
    async fn what_others_write_during_the_dry_run_is_no_change() {
        assert_eq!(Written::new(0).change_to("web:1").await, None);
        assert_eq!(Written::new(1).change_to("web:1").await, None);
        assert_eq!(Written::new(3).change_to("web:1").await, None);
    }

    #[tokio::test]
    async fn a_change_is_shown_without_what_others_write() {
        let diff = Written::new(3).change_to("web:2").await.unwrap();
        assert!(diff.contains("-  image: web:1\n+  image: web:2"), "{diff}");
        assert!(!diff.contains("-    revision"), "{diff}");
    }

    #[tokio::test]
    async fn an_object_that_never_rests_is_told_as_last_seen() {
        let written = Written::new(u32::MAX);
        assert!(
            written
                .change_to("web:2")
                .await
                .unwrap()
                .contains("+  image: web:2")
        );
        assert_eq!(written.version.get(), LOOKS);
    }

    #[tokio::test]
    async fn a_settled_object_needs_no_dry_run() {
        let dry_run = || async { Err("asked the server") };
        let change = change(|| async { Ok(json!({"kind": "ConfigMap"})) }, dry_run, |_| true).await;
        assert_eq!(change, Ok(None));
    }
}
