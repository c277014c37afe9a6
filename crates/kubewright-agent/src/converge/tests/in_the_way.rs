//! What is in the way, and what is no longer wanted.

use super::*;

#[test]
fn names_what_is_in_the_way_and_leaves_it_alone() {
    let mut bench = Bench::new();
    let system = Arc::clone(&bench.system);
    std::fs::create_dir_all(system.path("/etc/demo/config")).unwrap();
    system.put("/var/lib/etcd", "not a directory");
    system.put("/etc/demo/current", "not a link");
    std::fs::create_dir_all(system.path("/usr/local/bin")).unwrap();
    std::os::unix::fs::symlink("/bin/sh", system.path("/usr/local/bin/tool")).unwrap();
    std::fs::create_dir_all(system.path("/etc/systemd/system")).unwrap();
    std::os::unix::fs::symlink("/dev/null", system.path("/etc/systemd/system/late.service")).unwrap();
    let reasons: Vec<_> = bench
        .inspect()
        .into_iter()
        .filter_map(|found| match found.change {
            Change::Blocked { reason } => Some(reason),
            _ => None,
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "a file is at /var/lib/etcd, where a directory should be",
            "a directory is at /etc/demo/config, where a file should be",
            "a file is at /etc/demo/current, where a link should be",
            "a symbolic link is at /usr/local/bin/tool, where a file should be",
            "late.service is masked: `systemctl unmask late.service`",
        ]
    );
    let error = bench.converge_all().unwrap_err();
    assert_eq!(error.resource.unwrap().as_str(), "directory:/var/lib/etcd");
    assert_eq!(system.get("/var/lib/etcd"), "not a directory");
    assert!(!system.has("/etc/demo/pki/sa.key"));
}

#[test]
fn a_link_in_the_middle_of_a_path_is_in_the_way() {
    let mut bench = Bench::new();
    let system = Arc::clone(&bench.system);
    std::fs::create_dir_all(system.path("/somewhere")).unwrap();
    std::os::unix::fs::symlink("../somewhere", system.path("/etc/demo")).unwrap();
    let blocked = bench
        .inspect()
        .into_iter()
        .find(|found| found.resource.as_str() == "file:/etc/demo/config");
    assert_eq!(
        blocked.unwrap().change,
        Change::Blocked {
            reason: "/etc/demo is a symbolic link, not a directory".to_owned()
        }
    );
    bench.converge_all().unwrap_err();
    assert!(!system.has("/somewhere/config"));
}

#[test]
fn swap_of_the_machine_a_container_runs_on_is_in_the_way() {
    let bench = Bench::new();
    bench.system.put("/run/systemd/container", "nspawn\n");
    let found = bench.inspect();
    let swap = found
        .iter()
        .find(|found| found.resource.kind() == "swap")
        .unwrap();
    assert!(matches!(swap.change, Change::Blocked { .. }));
}

#[test]
fn what_is_no_longer_wanted_is_removed_units_first() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    for id in [
        "unit:demo.service",
        "file:/etc/demo/config",
        "symlink:/etc/demo/current",
        "certificate:/etc/demo/pki/demo.crt",
        "binary:/usr/local/bin/tool",
        "sysctl:kernel.panic",
        "directory:/var/lib/etcd",
    ] {
        bench.drop(id);
    }
    let found = bench.inspect();
    assert!(found.iter().all(|found| found.change == Change::Orphaned));
    assert_eq!(
        ids(&found),
        [
            "unit:demo.service",
            "binary:/usr/local/bin/tool",
            "certificate:/etc/demo/pki/demo.crt",
            "file:/etc/demo/config",
            "symlink:/etc/demo/current",
            "sysctl:kernel.panic",
            "directory:/var/lib/etcd",
        ]
    );
    bench.converge_all().unwrap();
    assert_eq!(bench.inspect(), []);
    let system = &bench.system;
    assert_eq!(system.simulated().units["demo.service"].active, "inactive");
    for path in [
        "/etc/systemd/system/demo.service",
        "/etc/demo/config",
        "/etc/demo/pki/demo.crt",
        "/etc/demo/pki/demo.key",
        "/usr/local/bin/tool",
        "/var/lib/etcd",
    ] {
        assert!(!system.has(path), "{path}");
    }
    assert!(
        !system
            .get("/etc/sysctl.d/99-kubewright.conf")
            .contains("kernel.panic")
    );
}

#[test]
fn a_directory_with_something_in_it_is_never_orphaned() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    bench.system.put("/var/lib/etcd/member/data", "precious");
    bench.drop("directory:/var/lib/etcd");
    assert_eq!(bench.inspect(), []);
}

#[test]
fn what_somebody_else_put_there_is_not_orphaned() {
    let mut bench = Bench::new();
    bench.system.put("/etc/demo/theirs", "theirs");
    bench.system.put("/etc/demo/config", "level: 1\n");
    bench.system.set_mode("/etc/demo/config", 0o640);
    std::fs::create_dir_all(bench.system.path("/var/lib/etcd")).unwrap();
    bench.converge_all().unwrap();
    bench.drop("file:/etc/demo/config");
    bench.drop("directory:/var/lib/etcd");
    assert!(
        !bench
            .inspect()
            .iter()
            .any(|found| found.change == Change::Orphaned)
    );
}
