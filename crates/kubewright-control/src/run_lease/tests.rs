use std::sync::Mutex as StdMutex;

use super::*;

/// A lease in memory; another holder may renew it each time it is looked at.
#[derive(Default)]
struct Memory {
    record: StdMutex<Option<Record>>,
    is_renewed: bool,
    next: StdMutex<u64>,
}

impl Memory {
    fn held(record: Record, is_renewed: bool) -> Arc<Self> {
        Arc::new(Self {
            record: StdMutex::new(Some(record)),
            is_renewed,
            next: StdMutex::default(),
        })
    }

    fn number(&self) -> String {
        let mut next = self.next.lock().unwrap();
        *next += 1;
        next.to_string()
    }

    fn run(&self) -> Option<String> {
        self.record.lock().unwrap().as_ref()?.run.clone()
    }

    fn put(&self, record: Record) {
        let version = self.number();
        *self.record.lock().unwrap() = Some(Record { version, ..record });
    }
}

impl Leases for Memory {
    fn read(&self) -> BoxFuture<'_, Result<Option<Record>, Error>> {
        let number = self.number();
        let mut record = self.record.lock().unwrap();
        if let Some(record) = record.as_mut()
            && self.is_renewed
        {
            record.renewed = number;
        }
        let seen = record.clone();
        Box::pin(async move { Ok(seen) })
    }

    fn write<'a>(
        &'a self,
        record: &'a Record,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        let present = self
            .record
            .lock()
            .unwrap()
            .as_ref()
            .map(|record| record.version.clone());
        let is_right = present.as_deref() == version;
        if is_right {
            self.put(record.clone());
        }
        let version = self
            .record
            .lock()
            .unwrap()
            .as_ref()
            .map(|record| record.version.clone());
        Box::pin(async move { Ok(version.filter(|_| is_right)) })
    }
}

fn holder(run: &str, nodes: &[&str]) -> LeaseHolder {
    LeaseHolder {
        run: run.to_owned(),
        operator: "ada@workstation".to_owned(),
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
    }
}

/// Another run's lease on `nodes`.
fn other(nodes: &[&str], lasts: Duration) -> Record {
    Record {
        run: Some("other".to_owned()),
        operator: "bob@laptop".to_owned(),
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        lasts,
        acquired: "2026-01-02T03:04:05Z".to_owned(),
        renewed: "2026-01-02T03:04:15Z".to_owned(),
        version: "first".to_owned(),
    }
}

/// Looks often and renews only when asked to.
fn timing() -> LeaseTiming {
    LeaseTiming {
        renews: Duration::from_secs(3600),
        looks: Duration::from_millis(1),
        ..LeaseTiming::default()
    }
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_free_lease_is_taken_and_let_go() {
    let leases = Arc::new(Memory::default());
    let lease = RunLease::take(leases.clone(), holder("mine", &["cp-1"]), timing())
        .await
        .unwrap();
    assert_eq!(leases.run().as_deref(), Some("mine"));
    lease.confirm().await.unwrap();
    lease.release().await;
    assert_eq!(leases.run(), None);
    RunLease::take(leases.clone(), holder("next", &["cp-1"]), timing())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_run_whose_nodes_are_all_locked_here_is_not_waited_for() {
    let leases = Memory::held(other(&["cp-1", "w-1"], LONG), false);
    let me = holder("mine", &["cp-1", "cp-2", "w-1"]);
    RunLease::take(leases.clone(), me, timing()).await.unwrap();
    assert_eq!(leases.run().as_deref(), Some("mine"));
}

#[tokio::test]
async fn a_run_that_renews_its_lease_is_named_and_left_alone() {
    let leases = Memory::held(other(&["cp-1", "w-9"], LONG), true);
    let error = RunLease::take(leases.clone(), holder("mine", &["cp-1"]), timing())
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), Kind::Refused);
    assert_eq!(
        error.to_string(),
        "bob@laptop (run other) is changing the cluster: since 2026-01-02T03:04:05Z, and it still renews its Lease"
    );
    assert_eq!(leases.run().as_deref(), Some("other"));
}

#[tokio::test]
async fn a_run_that_does_not_renew_its_lease_is_waited_for_no_longer_than_it_lasts() {
    let leases = Memory::held(other(&["cp-1", "w-9"], Duration::from_millis(20)), false);
    let begun = std::time::Instant::now();
    RunLease::take(leases.clone(), holder("mine", &["cp-1"]), timing())
        .await
        .unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(20));
    assert_eq!(leases.run().as_deref(), Some("mine"));
}

#[tokio::test]
async fn a_run_that_slept_while_another_took_over_is_told_so() {
    let leases = Arc::new(Memory::default());
    let asleep = LeaseTiming {
        lasts: Duration::ZERO,
        ..timing()
    };
    let lease = RunLease::take(leases.clone(), holder("mine", &["cp-1"]), asleep)
        .await
        .unwrap();
    lease.confirm().await.unwrap();
    leases.put(other(&["cp-1"], LONG));
    for _ in 0..2 {
        let error = lease.confirm().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "this run lost its Lease on the cluster: bob@laptop (run other) holds it since 2026-01-02T03:04:05Z"
        );
    }
    assert_eq!(leases.run().as_deref(), Some("other"));
}
