//! A run that does not come to its end, and going back.

use super::*;

#[test]
fn undo_puts_bytes_and_modes_back() {
    let mut bench = Bench::new();
    let system = Arc::clone(&bench.system);
    system.put("/etc/demo/config", "theirs\n");
    system.set_mode("/etc/demo/config", 0o604);
    std::os::unix::fs::symlink("theirs", system.path("/etc/demo/current")).unwrap();
    system.put("/usr/local/bin/tool", "their tool");
    system.put(
        "/etc/systemd/system/etcd.service",
        "[Service]\nExecStart=theirs\n",
    );
    system.put("/proc/sys/kernel/panic", "5\n");
    bench.converge_all().unwrap();
    let real = Arc::clone(&system) as Arc<dyn System>;
    crate::undo::undo(&real, Some("run-0")).unwrap_err();
    let undone = crate::undo::undo(&real, Some("run-1")).unwrap();
    let node = bench.node();
    assert_eq!(system.get("/etc/demo/config"), "theirs\n");
    assert_eq!(system.mode("/etc/demo/config"), 0o604);
    assert_eq!(
        node.tree.read_link("/etc/demo/current").unwrap().as_deref(),
        Some("theirs")
    );
    assert_eq!(system.get("/usr/local/bin/tool"), "their tool");
    assert_eq!(
        system.get("/etc/systemd/system/etcd.service"),
        "[Service]\nExecStart=theirs\n"
    );
    assert_eq!(system.get("/proc/sys/kernel/panic"), "5\n");
    assert!(!system.has("/var/lib/etcd"));
    assert!(!system.get("/etc/passwd").contains("etcd"));
    assert!(!system.has("/etc/systemd/system/late.service"));
    assert!(system.get("/etc/fstab").contains("\n/dev/vdb none swap"));
    let left: Vec<&str> = undone.left.iter().map(|left| left.resource.as_str()).collect();
    assert_eq!(
        left,
        [
            "image:registry.example/pause:1",
            "swap:areas",
            "module:br_netfilter",
            "module:overlay",
            "sysctl:net.ipv4.not_here",
        ]
    );
    assert!(!system.has("/etc/demo/pki/demo.key"));
    assert!(!system.has("/etc/sysctl.d/99-kubewright.conf"));
    assert!(!system.has("/etc/modules-load.d/kubewright.conf"));
    assert!(!node.ledger.owned.contains_key(&ResourceId::new("user", "etcd")));
}

#[test]
fn a_power_cut_after_any_effect_costs_nothing_but_another_run() {
    let effects = {
        let mut bench = Bench::new();
        bench.system.put("/etc/demo/config", "theirs\n");
        bench.converge_all().unwrap();
        bench.system.simulated().effects
    };
    assert!(effects > 40, "only {effects} effects");
    for cut in 0..effects {
        let mut bench = Bench::new();
        let system = Arc::clone(&bench.system);
        system.put("/etc/demo/config", "theirs\n");
        system.simulated().power_cut_at = Some(cut);
        bench.converge_all().expect_err("the power was cut");
        let config = system.get("/etc/demo/config");
        assert!(
            config == "theirs\n" || config == "level: 1\n",
            "half-written after effect {cut}"
        );
        system.power_returns();
        bench
            .converge_all()
            .unwrap_or_else(|error| panic!("after effect {cut}: {error}"));
        assert_eq!(bench.inspect(), [], "after effect {cut}");
        let names = leftovers_of_writing(&system);
        assert_eq!(names, Vec::<String>::new(), "after effect {cut}");
        // What was made before the cut is known to be kubewright's.
        let node = bench.node();
        let ids = bench.state.resources.iter().map(|staged| staged.resource.id());
        for id in ids.filter(|id| id.as_str() != "directory:/etc/demo") {
            assert!(
                node.ledger.owned.contains_key(&id),
                "{id} is nobody's after effect {cut}"
            );
        }
    }
}

#[test]
fn stops_between_two_changes_when_the_controller_has_gone() {
    let mut bench = Bench::new();
    bench.controller.gone_after = Some(4);
    let error = bench.converge_all().unwrap_err();
    assert_eq!(error.cause, "the controller has disconnected");
    assert_eq!(bench.controller.done.len(), 4);
    assert!(bench.system.has("/etc/demo/config"));
    assert!(!bench.system.has("/etc/demo/current"));
}
