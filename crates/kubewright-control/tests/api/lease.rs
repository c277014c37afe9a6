//! A run's Lease as an API server takes it.

use std::time::Duration;

use kubewright_control::kube::lease::{read, write};
use kubewright_control::run_lease::Record;

use crate::control_plane::ControlPlane;

#[tokio::test]
async fn a_lease_is_written_over_exactly_what_was_seen() {
    let Some(control_plane) = ControlPlane::get().await else {
        return;
    };
    let client = control_plane.client();
    let held = Record {
        run: Some("0123".to_owned()),
        operator: "ada@workstation".to_owned(),
        nodes: ["cp-1", "w-1"].map(str::to_owned).into(),
        lasts: Duration::from_secs(15),
        acquired: "2026-01-02T03:04:05.123456Z".to_owned(),
        renewed: "2026-01-02T03:04:15Z".to_owned(),
        version: String::new(),
    };
    let first = write(&client, &held, None).await.unwrap().unwrap();
    assert_eq!(
        write(&client, &held, None).await.unwrap(),
        None,
        "somebody was there first"
    );
    let seen = read(&client).await.unwrap().unwrap();
    assert_eq!(
        seen,
        Record {
            version: first.clone(),
            ..held.clone()
        }
    );
    let renewed = Record {
        renewed: "2026-01-02T03:04:20Z".to_owned(),
        ..held.clone()
    };
    write(&client, &renewed, Some(&first)).await.unwrap().unwrap();
    assert_eq!(
        write(&client, &held, Some(&first)).await.unwrap(),
        None,
        "it was renewed since"
    );
    let free = Record { run: None, ..renewed };
    let version = read(&client).await.unwrap().unwrap().version;
    write(&client, &free, Some(&version)).await.unwrap().unwrap();
    assert_eq!(read(&client).await.unwrap().unwrap().run, None);
}
