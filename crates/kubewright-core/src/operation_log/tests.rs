//! Records are read whatever happened to their writer.

use super::*;

fn line(time_ms: i64, event: Event) -> String {
    let record = Record {
        schema: SCHEMA,
        run: "r1".to_owned(),
        time_ms,
        event,
    };
    serde_json::to_string(&record).unwrap() + "\n"
}

fn begun() -> String {
    line(
        1000,
        Event::Begun(Begun {
            operation: "apply".to_owned(),
            cluster: "prod".to_owned(),
            who: "ada".to_owned(),
            from: "workstation".to_owned(),
            steps: 3,
            changes: 7,
            ..Begun::default()
        }),
    )
}

fn step_begun(step: &str) -> String {
    line(
        2000,
        Event::StepBegun {
            step: step.to_owned(),
            node: Some("cp-1".to_owned()),
            title: "prepare".to_owned(),
        },
    )
}

fn step_ended(step: &str, outcome: StepOutcome) -> String {
    line(
        3000,
        Event::StepEnded {
            step: step.to_owned(),
            node: None,
            title: String::new(),
            outcome,
            duration_ms: 1000,
        },
    )
}

fn ended(ending: Ending) -> String {
    line(
        4000,
        Event::Ended {
            ending,
            changed: 7,
            duration_ms: 3000,
        },
    )
}

#[test]
fn tells_of_every_step_and_how_the_run_ended() {
    let text = begun()
        + &step_begun("cp-1/host")
        + &step_ended("cp-1/host", StepOutcome::Changed { count: 4 })
        + &step_begun("cp-1/etcd")
        + &step_ended("cp-1/etcd", StepOutcome::failed("no space\nleft", None))
        + &step_ended("cp-1/node", StepOutcome::Skipped)
        + &ended(Ending::Failed);
    let operation = read(text.as_bytes()).unwrap();
    let steps: Vec<&str> = operation.steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(steps, ["cp-1/host", "cp-1/etcd", "cp-1/node"]);
    assert_eq!(
        operation.steps[1].outcome,
        Some(StepOutcome::failed("no space left", None))
    );
    assert_eq!(operation.operator(), "ada@workstation");
    assert_eq!(operation.outcome(), "failed (1 of 3 steps done)");
    assert_eq!((operation.changed, operation.last_ms), (7, 4000));
}

#[test]
fn a_run_that_was_killed_has_its_steps_and_no_end() {
    let torn = begun()
        + &step_begun("cp-1/host")
        + &step_ended("cp-1/host", StepOutcome::Changed { count: 4 })
        + &step_begun("cp-1/etcd")
        + "{\"schema\":1,\"run\":\"r1\",\"timeM";
    let operation = read(torn.as_bytes()).unwrap();
    assert_eq!(operation.ending, None);
    assert_eq!(operation.outcome(), "did not finish (1 of 3 steps done)");
    assert_eq!((operation.counts.open, operation.changed), (1, 4));
}

#[test]
fn what_a_newer_version_wrote_is_read_as_far_as_it_is_known() {
    let newer = r#"{"schema":9,"run":"r1","timeMs":5000,"event":{"type":"teleported","to":"mars"},"more":true}
{"schema":9,"run":"r1","timeMs":5000,"event":{"type":"stepEnded","step":"a","outcome":{"type":"adopted","by":"b"}}}
{"schema":9,"run":"r1","timeMs":5000,"event":{"type":"ended","ending":{"type":"sublimated"}}}
"#;
    let operation = read((begun() + newer).as_bytes()).unwrap();
    assert!(operation.is_newer());
    assert_eq!(operation.steps[0].outcome, Some(StepOutcome::Unknown));
    assert_eq!(operation.ending, Some(Ending::Unknown));
}

#[test]
fn what_is_no_record_is_no_run() {
    assert_eq!(read(b""), None);
    assert_eq!(read(b"\xff\xfe\n{}\n[]\n"), None);
    assert_eq!(read(step_begun("x").as_bytes()), None);
}

#[test]
fn the_fullest_record_of_a_run_counts_and_every_place_is_named() {
    let short = read((begun() + &step_begun("a")).as_bytes()).unwrap();
    let whole = read((begun() + &step_begun("a") + &ended(Ending::Done)).as_bytes()).unwrap();
    let older = RecordedRun {
        id: "r0".to_owned(),
        begun_ms: 1,
        ..short.clone()
    };
    for places in [[short.clone(), whole.clone()], [whole, short]] {
        let [one, other] = places;
        let merged = merge([
            ("cp-2".to_owned(), vec![one]),
            ("cp-1".to_owned(), vec![older.clone(), other]),
        ]);
        let ids: Vec<&str> = merged.iter().map(|run| run.id.as_str()).collect();
        assert_eq!(ids, ["r1", "r0"]);
        assert_eq!(merged[0].ending, Some(Ending::Done));
        assert_eq!(merged[0].held_by, ["cp-1", "cp-2"]);
        assert_eq!(of_id(&merged, "r").len(), 2);
        assert_eq!(of_id(&merged, "r1").len(), 1);
    }
}

#[test]
fn a_long_error_is_cut_where_a_letter_ends() {
    let StepOutcome::Failed { error, .. } = StepOutcome::failed(&"ä".repeat(5000), None) else {
        panic!("it failed");
    };
    assert!(error.len() <= ERROR_BYTES + "…".len());
    assert!(error.ends_with("ä…"));
}
