//! What somebody changed behind kubewright's back around a unit or under a digest: it is seen, shown and repaired.

use super::*;

const DROP_IN: &str = "/etc/systemd/system/demo.service.d/10-verbose.conf";

fn unit_change<'f>(found: &'f [Difference], unit: &str) -> (&'f [UnitFinding], UnitAction) {
    let id = ResourceId::new("unit", unit);
    let difference = found.iter().find(|found| found.resource == id);
    match difference.map(|difference| &difference.change) {
        Some(Change::Unit { found, action, .. }) => (found, *action),
        other => panic!("{other:?}"),
    }
}

fn pid(bench: &Bench, unit: &str) -> u32 {
    bench.system.simulated().units[unit].main_pid
}

#[test]
fn a_drop_in_is_shown_removed_and_can_be_put_back() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    bench.system.put(DROP_IN, "[Service]\nEnvironment=DEBUG=1\n");
    let found = bench.inspect();
    assert_eq!(ids(&found), ["unit:demo.service"]);
    let (about, action) = unit_change(&found, "demo.service");
    assert_eq!(
        about,
        [UnitFinding::Override {
            path: DROP_IN.to_owned(),
            content: Some("[Service]\nEnvironment=DEBUG=1\n".to_owned())
        }]
    );
    assert_eq!(action, UnitAction::Restart);
    bench.converge_as("run-2").unwrap();
    assert!(!bench.system.has(DROP_IN));
    assert_eq!(bench.starts("demo.service"), 2);
    assert_eq!(bench.inspect(), []);
    let real = Arc::clone(&bench.system) as Arc<dyn System>;
    crate::undo::undo(&real, Some("run-2")).unwrap();
    assert_eq!(bench.system.get(DROP_IN), "[Service]\nEnvironment=DEBUG=1\n");
}

#[test]
fn drop_ins_in_every_place_and_unit_files_that_go_before_ours_are_found() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let places = [
        "/etc/systemd/system.control/demo.service",
        "/etc/systemd/system.control/demo.service.d/50-CPUQuota.conf",
        "/run/systemd/system/demo.service.d/a.conf",
    ];
    for place in places {
        bench.system.put(place, "[Service]\n");
    }
    // Not read by systemd, or not about this unit.
    bench
        .system
        .put("/etc/systemd/system/demo.service.d/note.txt", "");
    bench
        .system
        .put("/run/systemd/system/service.d/container.conf", "[Service]\n");
    let found = bench.inspect();
    let (about, ..) = unit_change(&found, "demo.service");
    let paths: Vec<_> = about
        .iter()
        .map(|found| match found {
            UnitFinding::Override { path, .. } => path.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(paths, places);
    bench.converge_all().unwrap();
    assert_eq!(bench.inspect(), []);
}

#[test]
fn a_drop_in_of_a_package_is_in_the_way_until_somebody_hides_it() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    bench.system.put(
        "/usr/lib/systemd/system/demo.service.d/10-kubeadm.conf",
        "[Service]\n",
    );
    let found = bench.inspect();
    assert!(
        matches!(&found[..], [Difference { change: Change::Blocked { reason }, .. }] if reason.contains("10-kubeadm.conf")),
        "{found:?}"
    );
    let hidden = bench
        .system
        .path("/etc/systemd/system/demo.service.d/10-kubeadm.conf");
    std::fs::create_dir_all(hidden.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/null", hidden).unwrap();
    assert_eq!(bench.inspect(), []);
}

#[test]
fn a_process_with_foreign_arguments_is_restarted() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let before = pid(&bench, "demo.service");
    bench.system.put(
        &format!("/proc/{before}/cmdline"),
        "/usr/local/bin/tool\0--listen-client-urls=http://0.0.0.0:2379\0--token=abc\0",
    );
    let found = bench.inspect();
    let (about, action) = unit_change(&found, "demo.service");
    assert_eq!(
        about,
        [UnitFinding::Arguments {
            foreign: vec![
                "--listen-client-urls=http://0.0.0.0:2379".to_owned(),
                "--token=(not shown)".to_owned()
            ],
            lacking: Vec::new(),
        }]
    );
    assert_eq!(action, UnitAction::Restart);
    bench.converge_all().unwrap();
    assert_ne!(pid(&bench, "demo.service"), before);
    assert_eq!(bench.inspect(), []);
}

#[test]
fn a_replaced_binary_that_still_runs_is_found_after_the_file_was_put_back() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let tool = bench.system.path("/usr/local/bin/tool");
    let original = std::fs::read(&tool).unwrap();
    // Replaced and started; then the original is put back, and the replacement goes on running.
    let running = bench
        .system
        .path(&format!("/proc/{}/exe", pid(&bench, "demo.service")));
    std::fs::remove_file(&running).unwrap();
    std::fs::write(&running, "another tool").unwrap();
    assert_eq!(std::fs::read(&tool).unwrap(), original);
    let found = bench.inspect();
    assert_eq!(ids(&found), ["unit:demo.service"]);
    let (about, action) = unit_change(&found, "demo.service");
    assert!(matches!(about, [UnitFinding::Executable { path, .. }] if path == "/usr/local/bin/tool"));
    assert_eq!(action, UnitAction::Restart);
    bench.converge_all().unwrap();
    assert_eq!(bench.inspect(), []);
}

#[test]
fn a_power_cut_while_an_override_is_removed_leaves_nothing_running_with_it() {
    let prepared = || {
        let mut bench = Bench::new();
        bench.converge_all().unwrap();
        bench.system.put(DROP_IN, "[Service]\nEnvironment=DEBUG=1\n");
        bench.system.simulated().effects = 0;
        bench
    };
    let effects = {
        let mut bench = prepared();
        bench.converge_all().unwrap();
        bench.system.simulated().effects
    };
    assert!(effects > 5);
    for effect in 0..effects {
        let mut bench = prepared();
        bench.system.simulated().power_cut_at = Some(effect);
        let _ = bench.converge_all();
        bench.system.power_returns();
        bench.converge_all().unwrap();
        assert!(!bench.system.has(DROP_IN), "effect {effect}");
        assert!(bench.starts("demo.service") >= 2, "effect {effect}");
        assert_eq!(bench.inspect(), [], "effect {effect}");
    }
}

#[test]
fn tampering_that_keeps_size_and_modification_time_is_found_by_inode_and_change_time() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let tool = bench.system.path("/usr/local/bin/tool");
    let modified = std::fs::metadata(&tool).unwrap().modified().unwrap();
    let tampered: Vec<u8> = std::fs::read(&tool)
        .unwrap()
        .iter()
        .map(|byte| byte ^ 1)
        .collect();
    let touch = |path: &std::path::Path| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(modified).unwrap();
    };
    // Another inode.
    let beside = tool.with_extension("new");
    std::fs::write(&beside, &tampered).unwrap();
    std::os::unix::fs::chown(&beside, None, None).unwrap();
    std::fs::set_permissions(&beside, std::fs::metadata(&tool).unwrap().permissions()).unwrap();
    touch(&beside);
    std::fs::rename(&beside, &tool).unwrap();
    assert!(ids(&bench.inspect()).contains(&"binary:/usr/local/bin/tool"));
    bench.converge_all().unwrap();
    // The same inode, written in place.
    let modified = std::fs::metadata(&tool).unwrap().modified().unwrap();
    let inode =
        |path: &std::path::Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
    let before = inode(&tool);
    wait_for_another_change_time(&bench);
    std::fs::write(&tool, &tampered).unwrap();
    std::fs::File::options()
        .write(true)
        .open(&tool)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    assert_eq!(inode(&tool), before);
    assert!(ids(&bench.inspect()).contains(&"binary:/usr/local/bin/tool"));
}

/// Until a file written now has another change time than the last one of before: a bounded wait for the kernel's clock.
fn wait_for_another_change_time(bench: &Bench) {
    use std::os::unix::fs::MetadataExt as _;
    let stamp = || {
        bench.system.put("/tmp/clock", "");
        let data = std::fs::metadata(bench.system.path("/tmp/clock")).unwrap();
        (data.ctime(), data.ctime_nsec())
    };
    let first = stamp();
    for _ in 0..100_000 {
        if stamp() != first {
            return;
        }
    }
    panic!("the clock stands still");
}

#[test]
fn a_cache_that_lies_is_believed_until_everything_is_read() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    // What a cache would say if content had been changed under an unchanged stamp.
    let known = bench.system.get(crate::hashes::PATH);
    let digest = Digest::of(b"level: 1\n").to_string();
    assert!(known.contains(&digest));
    bench.system.put("/etc/demo/config", "level: 9\n");
    let mut node = bench.node();
    node.hashes
        .remember(&node.tree, "/etc/demo/config", Digest::of(b"level: 1\n"))
        .unwrap();
    assert_eq!(inspect(&mut node, &bench.state).unwrap(), []);
    node.hashes.read_everything();
    let found = inspect(&mut node, &bench.state).unwrap();
    assert!(ids(&found).contains(&"file:/etc/demo/config"), "{found:?}");
}

#[test]
fn facts_tell_when_each_certificate_ends() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let issued = bench.system.get("/etc/demo/pki/demo.crt");
    let newest = "/var/lib/kubelet/pki/kubelet-client-2024.pem";
    bench.system.put(newest, &issued);
    let current = bench
        .system
        .path("/var/lib/kubelet/pki/kubelet-client-current.pem");
    std::os::unix::fs::symlink("kubelet-client-2024.pem", current).unwrap();
    bench
        .system
        .put("/etc/kubernetes/pki/ca.crt", &bench.controller.authority_pem);
    let facts = crate::facts::gather(&(Arc::clone(&bench.system) as Arc<dyn System>)).unwrap();
    let told: Vec<_> = facts
        .certificates
        .iter()
        .map(|fact| (fact.path.as_str(), fact.common_name.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("/etc/demo/pki/demo.crt", "system:node:n1"),
            (
                "/etc/kubernetes/pki/ca.crt",
                AuthorityName::Kubernetes.common_name()
            ),
            (
                "/var/lib/kubelet/pki/kubelet-client-current.pem",
                "system:node:n1"
            ),
        ]
    );
    // 1 November 2024.
    assert_eq!(facts.certificates[0].not_after, 1_730_419_200);
}
