//! When units are started and restarted.

use super::*;

#[test]
fn a_unit_is_restarted_when_an_input_changes_and_only_then() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    bench.replace(file("/etc/demo/config", "level: 2\n"));
    let found = bench.inspect();
    assert_eq!(ids(&found), ["file:/etc/demo/config", "unit:demo.service"]);
    let input = ResourceId::new("file", "/etc/demo/config");
    assert_eq!(
        found[1].change,
        Change::Unit {
            before: None,
            enable: false,
            action: UnitAction::Restart,
            found: vec![UnitFinding::InputChanges { input }],
        }
    );
    bench.converge_all().unwrap();
    assert_eq!(
        (bench.starts("demo.service"), bench.starts("late.service")),
        (2, 1)
    );
    bench.system.set_mode("/etc/demo/config", 0o600);
    assert_eq!(ids(&bench.inspect()), ["file:/etc/demo/config"]);
    bench.converge_all().unwrap();
    assert_eq!(bench.starts("demo.service"), 2);
}

#[test]
fn a_unit_is_restarted_when_an_input_is_repaired_to_what_it_was() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    bench.system.put("/etc/demo/config", "level: 9\n");
    bench.converge_all().unwrap();
    assert_eq!(bench.starts("demo.service"), 2);
    assert_eq!(bench.inspect(), []);
}

#[test]
fn a_unit_whose_inputs_were_changed_before_a_crash_is_still_restarted() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    bench.replace(file("/etc/demo/config", "level: 2\n"));
    let mut node = bench.node();
    let named = [ResourceId::new("file", "/etc/demo/config")];
    let mut journal = Journal::new(JournalRun::default());
    converge(
        &mut node,
        &mut journal,
        &bench.state,
        &mut bench.controller,
        &named,
    )
    .unwrap();
    let found = bench.inspect();
    assert_eq!(ids(&found), ["unit:demo.service"]);
    bench.converge_all().unwrap();
    assert_eq!(bench.starts("demo.service"), 2);
}

#[test]
fn a_unit_nobody_waits_for_has_stopped_before_it_is_asked_to_start_again() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    bench.replace(unit_with(
        "etcd.service",
        Start::Ask,
        &[],
        "[Service]\nExecStart=/new\n",
    ));
    bench.system.simulated().commands.clear();
    bench.converge_all().unwrap();
    let commands = bench.system.simulated().commands.clone();
    let at = |line: &str| commands.iter().position(|command| command == line).unwrap();
    assert!(at("systemctl stop -- etcd.service") < at("systemctl start --no-block -- etcd.service"));
}

#[test]
fn a_unit_that_does_not_start_tells_why() {
    let mut bench = Bench::new();
    bench.system.simulated().broken.insert("demo.service".to_owned());
    let error = bench.converge_all().unwrap_err();
    assert_eq!(error.cause, "Job for demo.service failed.");
    assert_eq!(error.resource.as_ref().unwrap().as_str(), "unit:demo.service");
    assert_eq!(error.log, ["it broke", "because of this"]);
    bench.system.simulated().broken.clear();
    bench.converge_all().unwrap();
    assert_eq!(bench.inspect(), []);
    let commands = bench.system.simulated().commands.join("\n");
    assert!(commands.contains("systemctl reset-failed -- demo.service"));
}

#[test]
fn a_unit_that_does_not_stop_tells_why() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    bench.system.simulated().refused.insert("demo.service".to_owned());
    let mut node = bench.node();
    let error = crate::resource::unit::stop(&mut node, &["demo.service".to_owned()]).unwrap_err();
    assert_eq!(
        (error.doing.as_str(), error.cause.as_str()),
        ("stop demo.service", "Job for demo.service timed out.")
    );
    assert_eq!(error.unit.as_deref(), Some("demo.service"));
    assert_eq!(error.log, ["it broke", "because of this"]);
}

#[test]
fn a_oneshot_on_demand_is_installed_and_not_started() {
    let mut bench = Bench::new();
    let content = "[Service]\nType=oneshot\nExecStart=/usr/local/bin/tool\n";
    bench.state.extend(
        Stage::Node,
        [unit_with("snapshot.service", Start::Wait, &[], content)],
    );
    bench.converge_all().unwrap();
    assert_eq!(bench.starts("snapshot.service"), 0);
    assert_eq!(bench.inspect(), []);
}

#[test]
fn a_change_is_taken_back_in_the_run_that_made_it_inputs_before_their_unit_and_nothing_else() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let before = bench.state.clone();
    bench.replace(file("/etc/demo/config", "level: 2\n"));
    bench.replace(sysctl("kernel.panic", "20", false));
    let named = [
        "file:/etc/demo/config",
        "sysctl:kernel.panic",
        "unit:demo.service",
    ];
    let named = named.map(|id| id.split_once(':').unwrap());
    let named = named.map(|(kind, what)| ResourceId::new(kind, what));
    let mut node = bench.node();
    let run = JournalRun {
        id: "run-2".to_owned(),
        ..JournalRun::default()
    };
    let mut journal = Journal::new(run);
    converge(
        &mut node,
        &mut journal,
        &bench.state,
        &mut bench.controller,
        &named,
    )
    .unwrap();
    assert_eq!(bench.starts("demo.service"), 2);

    let [config, panic, unit] = named;
    let of_unit = vec![unit.clone(), config.clone()];
    let undone = undo::take_back(&mut node, &mut journal, "run-2", of_unit.clone()).unwrap();
    assert_eq!(undone.restored, [config, unit]);
    assert_eq!(bench.system.get("/etc/demo/config"), "level: 1\n");
    assert_eq!(bench.system.get("/proc/sys/kernel/panic"), "20\n");
    assert_eq!(bench.starts("demo.service"), 3);
    // It is what it was, also for who compares what its process was started with.
    bench.state = before;
    assert_eq!(ids(&bench.inspect()), [panic.as_str()]);
    let again = undo::take_back(&mut node, &mut journal, "run-2", of_unit).unwrap();
    assert_eq!((again.restored, again.left), (Vec::new(), Vec::new()));
    // What an undo of the whole run finds is what the run has left changed.
    let tree = node.tree;
    let chosen = undo::choose(&tree, None).unwrap();
    let left = undo::look(&tree, &chosen).unwrap();
    assert!(
        left.restored.contains(&panic) && left.restored.iter().all(|id| id.kind() != "unit"),
        "{left:?}"
    );
}
