//! Files that get other owners, and what reads them: over to a user of its own, and back.

use super::*;
use crate::tree::{Look, Owner};

/// A later version's state: what the unit reads is readable by another group, and the unit's file is another one.
fn grouped(bench: &mut Bench) {
    let mut later = certificate();
    later.key_access.mode = 0o640;
    bench.replace(Resource::Certificate(later));
    bench.replace(Resource::SharedSecret(SharedSecret {
        path: "/etc/demo/pki/sa.key".to_owned(),
        access: Access::root(0o640),
        name: "sa-key".to_owned(),
        sha256: Some(Digest::of(CANARY.as_bytes())),
    }));
    bench.replace(unit_with(
        "demo.service",
        Start::Wait,
        &[],
        "[Service]\nUser=demo\nExecStart=/usr/local/bin/tool\n[Install]\nWantedBy=multi-user.target\n",
    ));
}

#[test]
fn owners_of_keys_go_back_before_the_process_that_reads_them_starts() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    grouped(&mut bench);
    bench.converge_as("run-2").unwrap();
    let system = Arc::clone(&bench.system);
    let keys = ["/etc/demo/pki/demo.key", "/etc/demo/pki/sa.key"];
    assert_eq!(keys.map(|key| system.mode(key)), [0o640, 0o640]);
    let before = system.simulated().done.len();

    let real = Arc::clone(&system) as Arc<dyn System>;
    let undone = crate::undo::undo(&real, Some("run-2")).unwrap();
    assert_eq!(undone.left, []);
    assert_eq!(keys.map(|key| system.mode(key)), [0o600, 0o600]);
    assert_eq!(system.mode("/etc/demo/pki/demo.crt"), 0o644);
    let done = system.simulated().done.split_off(before);
    let at = |what: &str| {
        let found = done.iter().rposition(|effect| effect.starts_with(what));
        found.unwrap_or_else(|| panic!("{what} is not among {done:?}"))
    };
    let started = at("systemctl restart -- demo.service");
    for key in keys {
        assert!(
            at(&format!("set owner and mode of {key}")) < started,
            "{key}: {done:?}"
        );
    }
    assert_eq!(system.simulated().units["demo.service"].active, "active");
}

#[test]
fn a_unit_that_does_not_come_up_again_keeps_nothing_from_its_former_owner() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    grouped(&mut bench);
    bench.converge_as("run-2").unwrap();
    bench.system.simulated().broken.insert("demo.service".to_owned());
    let real = Arc::clone(&bench.system) as Arc<dyn System>;
    let undone = crate::undo::undo(&real, Some("run-2")).unwrap();
    let left: Vec<&str> = undone.left.iter().map(|left| left.resource.as_str()).collect();
    assert_eq!(left, ["unit:demo.service"]);
    assert!(
        undone
            .restored
            .contains(&ResourceId::new("secret", "/etc/demo/pki/sa.key"))
    );
}

/// A directory takes along the files of its owner: a log that only the former process could write would keep the next
/// one from starting. Only root can give files away.
#[test]
fn a_directory_takes_the_files_of_its_owner_along_and_back() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let system = Arc::clone(&bench.system);
    let logs = "/var/lib/etcd";
    for file in ["audit.log", "audit-old.log", "foreign.log", "below/deep.log"] {
        system.put(&format!("{logs}/{file}"), "line\n");
    }
    let foreign = Owner {
        uid: 4343,
        gid: 4343,
        mode: 0o600,
    };
    let owner = |path: &str| match bench.node().tree.look(&format!("{logs}{path}")).unwrap() {
        Look::There(seen) => (seen.owner.uid, seen.owner.gid),
        other => panic!("{path}: {other:?}"),
    };
    bench
        .node()
        .tree
        .set_owner(&format!("{logs}/foreign.log"), foreign)
        .unwrap();
    for (table, line) in [
        ("/etc/passwd", "logger:x:4242:4242::/nonexistent:\n"),
        ("/etc/group", "logger:x:4242:\n"),
    ] {
        system.put(table, &(system.get(table) + line));
    }
    let given = Resource::Directory(Directory {
        path: logs.to_owned(),
        access: Access::of("logger", 0o700),
    });
    let mut state = bench.state.clone();
    let staged = state
        .resources
        .iter_mut()
        .find(|staged| staged.resource.id() == given.id());
    staged.unwrap().resource = given;
    let mut later = Bench {
        system: Arc::clone(&system),
        controller: TestController::new(),
        state,
    };
    later.converge_as("run-2").unwrap();
    for path in ["", "/audit.log", "/audit-old.log"] {
        assert_eq!(owner(path), (4242, 4242), "{path:?}");
    }
    assert_eq!(owner("/foreign.log"), (4343, 4343));
    assert_eq!(owner("/below/deep.log"), (0, 0));

    // What it wrote meanwhile goes back with the rest.
    let new = Owner {
        uid: 4242,
        gid: 4242,
        mode: 0o600,
    };
    system.put(&format!("{logs}/audit-new.log"), "line\n");
    later
        .node()
        .tree
        .set_owner(&format!("{logs}/audit-new.log"), new)
        .unwrap();
    let real = Arc::clone(&system) as Arc<dyn System>;
    crate::undo::undo(&real, Some("run-2")).unwrap();
    for path in ["", "/audit.log", "/audit-new.log", "/below/deep.log"] {
        assert_eq!(owner(path), (0, 0), "{path:?}");
    }
    assert_eq!(owner("/foreign.log"), (4343, 4343));
}
