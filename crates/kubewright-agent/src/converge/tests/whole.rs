//! A node as a whole: made, looked at again, repaired, journalled.

use super::*;

#[test]
fn makes_everything_that_is_missing_in_order() {
    let mut bench = Bench::new();
    let missing = bench.inspect();
    assert_eq!(missing.len(), bench.state.resources.len());
    let changed = bench.converge_all().unwrap();
    let wanted: Vec<_> = bench
        .state
        .resources
        .iter()
        .map(|staged| staged.resource.id())
        .collect();
    assert_eq!(changed, wanted);
    assert_eq!(bench.controller.done, wanted);
    let system = &bench.system;
    assert_eq!(system.get("/etc/demo/config"), "level: 1\n");
    assert_eq!(system.mode("/etc/demo/config"), 0o640);
    assert_eq!(system.mode("/var/lib/etcd"), 0o700);
    assert_eq!(system.mode("/etc/demo/pki/sa.key"), 0o600);
    assert_eq!(system.mode("/etc/demo/pki/demo.key"), 0o600);
    assert_eq!(system.mode("/etc/demo/pki/demo.crt"), 0o644);
    assert_eq!(system.mode("/usr/local/bin/tool"), 0o755);
    assert_eq!(system.get("/proc/sys/net/ipv4/ip_forward"), "1\n");
    assert!(
        system
            .get("/etc/sysctl.d/99-kubewright.conf")
            .contains("-net.ipv4.not_here = 2\n")
    );
    assert!(
        system
            .get("/etc/modules-load.d/kubewright.conf")
            .contains("\nbr_netfilter\n")
    );
    assert!(
        system
            .get("/etc/fstab")
            .contains("\n# swap off for kubewright: /dev/vdb")
    );
    assert!(system.get("/etc/passwd").contains("\netcd:"));
    let simulated = system.simulated();
    assert_eq!(simulated.units["demo.service"].active, "active");
    assert_eq!(simulated.units["etcd.service"].active, "activating");
    assert!(simulated.units["late.service"].enabled);
    assert!(simulated.images.contains_key("registry.example/pause:1"));
    let reloads = simulated
        .commands
        .iter()
        .filter(|line| *line == "systemctl daemon-reload")
        .count();
    assert_eq!(reloads, 1, "{:?}", simulated.commands);
}

#[test]
fn a_second_look_finds_nothing_hashes_nothing_and_writes_nothing() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let before = bench.system.snapshot();
    let mut node = bench.node();
    assert_eq!(inspect(&mut node, &bench.state).unwrap(), []);
    let mut journal = Journal::new(JournalRun::default());
    let changed = converge(&mut node, &mut journal, &bench.state, &mut bench.controller, &[]).unwrap();
    journal.finish(bench.system.as_ref(), &node.tree, 0).unwrap();
    assert_eq!(changed, []);
    node.hashes.save(&node.tree).unwrap();
    assert_eq!(node.counters(), kubewright_core::observed::Counters::default());
    assert_eq!(bench.system.snapshot(), before);
}

#[test]
fn converging_what_is_already_so_changes_nothing() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let before = bench.system.snapshot();
    let all: Vec<_> = bench
        .state
        .resources
        .iter()
        .map(|staged| staged.resource.id())
        .collect();
    let mut node = bench.node();
    let mut journal = Journal::new(JournalRun::default());
    let changed = converge(&mut node, &mut journal, &bench.state, &mut bench.controller, &all).unwrap();
    assert_eq!(changed, []);
    assert_eq!(bench.system.snapshot(), before);
}

#[test]
fn repairs_everything_that_has_drifted() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let system = Arc::clone(&bench.system);
    system.put("/etc/demo/config", "level: 9\n");
    std::fs::remove_file(system.path("/etc/demo/current")).unwrap();
    std::os::unix::fs::symlink("elsewhere", system.path("/etc/demo/current")).unwrap();
    system.set_mode("/var/lib/etcd", 0o755);
    system.put("/etc/demo/pki/sa.key", "something else");
    std::fs::remove_file(system.path("/etc/demo/pki/demo.key")).unwrap();
    system.put("/usr/local/bin/tool", "\x7fELF xool");
    system.put("/proc/sys/kernel/panic", "0\n");
    system.put("/etc/modules-load.d/kubewright.conf", "");
    system.put("/etc/systemd/system/etcd.service", "[Service]\n");
    system.simulated().images.clear();
    system.simulated().units.get_mut("late.service").unwrap().active = "failed".to_owned();
    let drifted = bench.inspect();
    assert_eq!(
        ids(&drifted),
        [
            "directory:/var/lib/etcd",
            "file:/etc/demo/config",
            "symlink:/etc/demo/current",
            "sysctl:kernel.panic",
            "module:overlay",
            "module:br_netfilter",
            "secret:/etc/demo/pki/sa.key",
            "certificate:/etc/demo/pki/demo.crt",
            "binary:/usr/local/bin/tool",
            "unit:demo.service",
            "unit:etcd.service",
            "image:registry.example/pause:1",
            "unit:late.service",
        ]
    );
    assert_eq!(
        drifted[1].change,
        Change::Content {
            before: Some("level: 9\n".to_owned())
        }
    );
    assert_eq!(drifted[6].change, Change::Content { before: None });
    bench.converge_all().unwrap();
    assert_eq!(bench.inspect(), []);
    assert_eq!(system.get("/etc/demo/config"), "level: 1\n");
    assert_eq!(bench.starts("demo.service"), 2);
}

#[test]
fn the_whole_is_verified_byte_by_byte_when_asked() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let mut node = bench.node();
    node.hashes.read_everything();
    assert_eq!(inspect(&mut node, &bench.state).unwrap(), []);
    assert_eq!(node.counters().files_hashed, 7, "each file once");
}

#[test]
fn a_journal_says_what_was_intended_and_done() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let node = bench.node();
    let (run, entries) = runs(&node.tree).unwrap().pop().unwrap();
    assert_eq!(run, "run-1");
    assert!(matches!(entries[0].event, Event::RunStarted { .. }));
    assert!(matches!(
        entries.last().unwrap().event,
        Event::RunFinished { changed: 18 }
    ));
    let sequence: Vec<_> = entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequence, (0..entries.len() as u64).collect::<Vec<_>>());
    for staged in &bench.state.resources {
        let id = staged.resource.id();
        let at =
            |wanted: &dyn Fn(&Event) -> bool| entries.iter().position(|entry| wanted(&entry.event)).unwrap();
        let intended = at(&|event| matches!(event, Event::Intended { resource, .. } if *resource == id));
        let done = at(&|event| matches!(event, Event::Done { resource } if *resource == id));
        assert!(intended < done, "{id}");
    }
}
