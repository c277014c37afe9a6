//! Whole states on a simulated node: what is missing is made, what has drifted is mended, what is right is left alone,
//! and a power cut after any effect costs nothing but another run.

use std::sync::Arc;

use kubewright_core::journal::Event;
use kubewright_core::resource::{
    Access, AuthorityName, Binary, Certificate, Digest, Directory, File, Image, KernelModule, SharedSecret,
    Stage, Start, SwapOff, Symlink, Sysctl, Usage, User,
};

use super::*;
use crate::journal::{Run as JournalRun, runs};
use crate::system::System;
use crate::testing::{NOW, TestController, TestSystem};

const CANARY: &str = "canary-3f1c0d-secret";

struct Bench {
    system: Arc<TestSystem>,
    controller: TestController,
    state: NodeState,
}

impl Bench {
    fn new() -> Self {
        let mut controller = TestController::new();
        controller
            .secrets
            .insert("sa-key".to_owned(), CANARY.as_bytes().to_vec());
        let state = whole_state(&mut controller);
        Self {
            system: TestSystem::new(),
            controller,
            state,
        }
    }

    fn node(&self) -> Node {
        Node::open(Arc::clone(&self.system) as Arc<dyn System>).unwrap()
    }

    fn inspect(&self) -> Vec<Difference> {
        inspect(&mut self.node(), &self.state).unwrap()
    }

    fn converge_all(&mut self) -> Result<Vec<ResourceId>, NodeError> {
        let mut node = Node::open(Arc::clone(&self.system) as Arc<dyn System>)?;
        let named: Vec<_> = inspect(&mut node, &self.state)?
            .into_iter()
            .map(|found| found.resource)
            .collect();
        let mut journal = Journal::new(JournalRun {
            id: "run-1".to_owned(),
            operator: "ada@workstation".to_owned(),
            cluster: "prod".to_owned(),
        });
        let changed = converge(&mut node, &mut journal, &self.state, &mut self.controller, &named)?;
        journal.finish(self.system.as_ref(), &node.tree, node.changed)?;
        Ok(changed)
    }

    fn replace(&mut self, resource: Resource) {
        let id = resource.id();
        let staged = self
            .state
            .resources
            .iter_mut()
            .find(|staged| staged.resource.id() == id)
            .unwrap();
        staged.resource = resource;
    }

    fn drop(&mut self, id: &str) {
        self.state
            .resources
            .retain(|staged| staged.resource.id().as_str() != id);
    }

    fn starts(&self, unit: &str) -> u32 {
        self.system
            .simulated()
            .units
            .get(unit)
            .map_or(0, |unit| unit.starts)
    }
}

fn whole_state(controller: &mut TestController) -> NodeState {
    let mut state = NodeState::default();
    state
        .authorities
        .insert(AuthorityName::Kubernetes, controller.authority_pem.clone());
    let tool = controller.offer(b"\x7fELF tool");
    let archive = format!("registry.example/pause:1 {}", Digest::of(b"manifest"));
    let archive = controller.offer(archive.as_bytes());
    state.extend(
        Stage::Host,
        [
            Resource::User(User {
                name: "etcd".to_owned(),
                home: "/var/lib/etcd".to_owned(),
            }),
            directory("/etc/demo", 0o755),
            directory("/var/lib/etcd", 0o700),
            file("/etc/demo/config", "level: 1\n"),
            Resource::Symlink(Symlink {
                path: "/etc/demo/current".to_owned(),
                target: "config".to_owned(),
            }),
            sysctl("net.ipv4.ip_forward", "1", false),
            sysctl("kernel.panic", "10", false),
            sysctl("net.ipv4.not_here", "2", true),
            module("overlay", false),
            module("br_netfilter", true),
            Resource::SwapOff(SwapOff {}),
        ],
    );
    state.extend(
        Stage::Etcd,
        [
            Resource::SharedSecret(SharedSecret {
                path: "/etc/demo/pki/sa.key".to_owned(),
                access: Access::root(0o600),
                name: "sa-key".to_owned(),
                sha256: Some(Digest::of(CANARY.as_bytes())),
            }),
            Resource::Certificate(certificate()),
            Resource::Binary(Binary {
                path: "/usr/local/bin/tool".to_owned(),
                name: "tool".to_owned(),
                version: "1.2.3".to_owned(),
                blob: Some(tool),
            }),
            unit(
                "demo.service",
                Start::Wait,
                &[
                    "file:/etc/demo/config",
                    "binary:/usr/local/bin/tool",
                    "certificate:/etc/demo/pki/demo.crt",
                    "secret:/etc/demo/pki/sa.key",
                    "symlink:/etc/demo/current",
                ],
            ),
            unit("etcd.service", Start::Ask, &[]),
            Resource::Image(Image {
                reference: "registry.example/pause:1".to_owned(),
                manifest: Some(Digest::of(b"manifest")),
                blob: Some(archive),
            }),
            unit("late.service", Start::Wait, &["image:registry.example/pause:1"]),
        ],
    );
    state
}

fn directory(path: &str, mode: u32) -> Resource {
    Resource::Directory(Directory {
        path: path.to_owned(),
        access: Access::root(mode),
    })
}

fn file(path: &str, content: &str) -> Resource {
    Resource::File(File {
        path: path.to_owned(),
        access: Access::root(0o640),
        content: content.to_owned(),
    })
}

fn sysctl(key: &str, value: &str, optional: bool) -> Resource {
    Resource::Sysctl(Sysctl {
        key: key.to_owned(),
        value: value.to_owned(),
        optional,
    })
}

fn module(name: &str, optional: bool) -> Resource {
    Resource::KernelModule(KernelModule {
        name: name.to_owned(),
        optional,
    })
}

fn unit(name: &str, start: Start, inputs: &[&str]) -> Resource {
    unit_with(
        name,
        start,
        inputs,
        "[Service]\nExecStart=/usr/local/bin/tool\n[Install]\nWantedBy=multi-user.target\n",
    )
}

fn unit_with(name: &str, start: Start, inputs: &[&str], content: &str) -> Resource {
    Resource::Unit(Unit {
        name: name.to_owned(),
        content: content.to_owned(),
        start,
        inputs: inputs
            .iter()
            .map(|input| {
                let (kind, what) = input.split_once(':').unwrap();
                ResourceId::new(kind, what)
            })
            .collect(),
    })
}

fn certificate() -> Certificate {
    Certificate {
        name: "demo".to_owned(),
        authority: AuthorityName::Kubernetes,
        common_name: "system:node:n1".to_owned(),
        organizations: vec!["system:nodes".to_owned()],
        dns_names: vec!["n1".to_owned()],
        addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        usages: vec![Usage::ServerAuth, Usage::ClientAuth],
        lifetime_days: 365,
        renew_before_days: 122,
        certificate_path: "/etc/demo/pki/demo.crt".to_owned(),
        key_path: "/etc/demo/pki/demo.key".to_owned(),
        key_access: Access::root(0o600),
        superseded_by: Some("/var/lib/demo/current.pem".to_owned()),
    }
}

fn ids(differences: &[Difference]) -> Vec<&str> {
    differences.iter().map(|found| found.resource.as_str()).collect()
}

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
fn mends_everything_that_has_drifted() {
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
    crate::undo::undo(&real, "run-0").unwrap_err();
    let undone = crate::undo::undo(&real, "run-1").unwrap();
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
    assert!(!undone.contains(&ResourceId::new("image", "registry.example/pause:1")));
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

fn leftovers_of_writing(system: &TestSystem) -> Vec<String> {
    let paths = system.snapshot().into_keys();
    let names = paths.map(|path| path.to_string_lossy().into_owned());
    // The memory of digests is only a memory: the next one to be written overwrites what is left of it.
    names
        .filter(|name| name.contains("kubewright-new") && !name.contains("hashes.json"))
        .collect()
}

#[test]
fn a_unit_is_restarted_when_an_input_changes_and_only_then() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    bench.replace(file("/etc/demo/config", "level: 2\n"));
    let found = bench.inspect();
    assert_eq!(ids(&found), ["file:/etc/demo/config", "unit:demo.service"]);
    let Change::Unit { action, reason, .. } = &found[1].change else {
        panic!("{found:?}")
    };
    assert_eq!(
        (*action, reason.as_str()),
        (UnitAction::Restart, "/etc/demo/config changes")
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
fn a_unit_is_restarted_when_an_input_is_mended_to_what_it_was() {
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
    assert!(found.iter().all(|found| found.change == Change::Surplus));
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
fn a_directory_with_something_in_it_is_never_surplus() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    bench.system.put("/var/lib/etcd/member/data", "precious");
    bench.drop("directory:/var/lib/etcd");
    assert_eq!(bench.inspect(), []);
}

#[test]
fn what_somebody_else_put_there_is_not_surplus() {
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
            .any(|found| found.change == Change::Surplus)
    );
}

#[test]
fn optional_kernel_settings_that_cannot_be_had_are_not_asked_for_twice() {
    let mut bench = Bench::new();
    bench.system.put("/proc/sys/net/ipv4/read_only", "0\n");
    bench
        .state
        .extend(Stage::Host, [sysctl("net.ipv4.read_only", "1", true)]);
    bench
        .system
        .simulated()
        .refused
        .extend(["br_netfilter".to_owned(), "net.ipv4.read_only".to_owned()]);
    bench.converge_all().unwrap();
    assert_eq!(bench.inspect(), []);
    bench.system.put("/proc/sys/kernel/osrelease", "6.12\n");
    assert_eq!(
        ids(&bench.inspect()),
        ["module:br_netfilter", "sysctl:net.ipv4.read_only"]
    );
}

#[test]
fn a_needed_kernel_setting_that_cannot_be_had_is_an_error() {
    let mut bench = Bench::new();
    bench
        .system
        .simulated()
        .refused
        .insert("net.ipv4.ip_forward".to_owned());
    let error = bench.converge_all().unwrap_err();
    assert_eq!(
        error.to_string(),
        "set net.ipv4.ip_forward to 1: read-only file system"
    );
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
fn stops_between_two_changes_when_the_controller_has_gone() {
    let mut bench = Bench::new();
    bench.controller.gone_after = Some(4);
    let error = bench.converge_all().unwrap_err();
    assert_eq!(error.cause, "the controller has gone");
    assert_eq!(bench.controller.done.len(), 4);
    assert!(bench.system.has("/etc/demo/config"));
    assert!(!bench.system.has("/etc/demo/current"));
}

#[test]
fn secrets_and_keys_are_in_no_journal_and_nothing_else_that_is_kept() {
    let mut bench = Bench::new();
    bench.system.put("/etc/demo/pki/sa.key", "old-canary-secret");
    bench.converge_all().unwrap();
    let kept = bench.system.all_content("/var/lib/kubewright");
    let kept = String::from_utf8_lossy(&kept);
    for canary in [CANARY, "old-canary-secret", "PRIVATE KEY"] {
        assert!(!kept.contains(canary));
    }
    assert_eq!(bench.system.mode("/var/lib/kubewright"), 0o700);
    assert_eq!(bench.system.mode("/var/lib/kubewright/state.json"), 0o600);
}

#[test]
fn a_present_file_that_may_hold_a_secret_is_not_shown() {
    let bench = Bench::new();
    bench
        .system
        .put("/etc/demo/config", "users:\n- client-key-data: Y2FuYXJ5\n");
    let found = bench.inspect();
    let change = &found
        .iter()
        .find(|found| found.resource.as_str() == "file:/etc/demo/config")
        .unwrap()
        .change;
    assert_eq!(*change, Change::Content { before: None });
}

#[test]
fn a_certificate_is_issued_again_for_each_reason() {
    let reason_after = |change: &dyn Fn(&mut Bench)| {
        let mut bench = Bench::new();
        bench.converge_all().unwrap();
        change(&mut bench);
        let found = bench.inspect();
        let found = found
            .into_iter()
            .find(|found| found.resource.kind() == "certificate");
        let Some(Change::Certificate { reason }) = found.map(|found| found.change) else {
            panic!("not to be issued again")
        };
        bench.converge_all().unwrap();
        assert!(
            !bench
                .inspect()
                .iter()
                .any(|found| found.resource.kind() == "certificate"),
            "{reason}"
        );
        reason
    };
    let with =
        |wanted: Certificate| move |bench: &mut Bench| bench.replace(Resource::Certificate(wanted.clone()));
    let mut names = certificate();
    names.addresses = vec!["192.0.2.9".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    assert_eq!(
        reason_after(&with(names)),
        "names differ: 192.0.2.9 missing, 192.0.2.1 no longer wanted"
    );
    let mut groups = certificate();
    groups.organizations = vec!["more".to_owned()];
    assert_eq!(
        reason_after(&with(groups)),
        "groups differ: more missing, system:nodes no longer wanted"
    );
    let mut usages = certificate();
    usages.usages = vec![Usage::ClientAuth];
    assert_eq!(
        reason_after(&with(usages)),
        "usages differ: server no longer wanted"
    );
    let mut name = certificate();
    name.common_name = "other".to_owned();
    assert_eq!(reason_after(&with(name)), "its name is \"system:node:n1\"");
    assert_eq!(
        reason_after(&|bench: &mut Bench| {
            std::fs::remove_file(bench.system.path("/etc/demo/pki/demo.key")).unwrap();
        }),
        "its key is missing"
    );
    assert_eq!(
        reason_after(&|bench: &mut Bench| {
            let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
            bench.system.put("/etc/demo/pki/demo.key", &key);
        }),
        "its key is another one"
    );
    assert_eq!(
        reason_after(&|bench: &mut Bench| bench.system.put("/etc/demo/pki/demo.crt", "garbage")),
        "it cannot be read"
    );
    assert_eq!(
        reason_after(&|bench: &mut Bench| {
            bench.system.simulated().now = Some(NOW + 300 * 86_400);
            bench.controller.not_after = (2026, 1, 1);
        }),
        "it expires in 52 days"
    );
    assert_eq!(
        reason_after(&|bench: &mut Bench| {
            let secrets = std::mem::take(&mut bench.controller.secrets);
            bench.controller = TestController::new();
            bench.controller.secrets = secrets;
            let pem = bench.controller.authority_pem.clone();
            bench.state.authorities.insert(AuthorityName::Kubernetes, pem);
        }),
        "another authority signed it"
    );
}

#[test]
fn a_certificate_its_user_renews_is_left_alone() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let pair = bench.system.get("/etc/demo/pki/demo.crt") + &bench.system.get("/etc/demo/pki/demo.key");
    bench.system.put("/var/lib/demo/2024.pem", &pair);
    std::os::unix::fs::symlink(
        "/var/lib/demo/2024.pem",
        bench.system.path("/var/lib/demo/current.pem"),
    )
    .unwrap();
    std::fs::remove_file(bench.system.path("/etc/demo/pki/demo.key")).unwrap();
    assert_eq!(bench.inspect(), []);
    bench.system.simulated().now = Some(NOW + 400 * 86_400);
    assert_eq!(
        ids(&bench.inspect()),
        ["certificate:/etc/demo/pki/demo.crt", "unit:demo.service"]
    );
}

#[test]
fn a_signature_for_something_else_is_refused_and_the_old_pair_stays() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let before = bench.system.get("/etc/demo/pki/demo.key");
    let mut wanted = certificate();
    wanted.common_name = "other".to_owned();
    bench.replace(Resource::Certificate(wanted));
    bench.controller.not_after = (2023, 11, 2);
    let error = bench.converge_all().unwrap_err();
    assert!(error.cause.contains("it has expired"), "{error}");
    assert_eq!(bench.system.get("/etc/demo/pki/demo.key"), before);
}

#[test]
fn a_blob_that_is_not_what_was_asked_for_leaves_the_old_file() {
    let compressed = |content: &[u8]| zstd::encode_all(content, 3).unwrap();
    let cut = {
        let whole = compressed(&vec![7; 300_000]);
        whole[..whole.len() / 2].to_vec()
    };
    for (bad, complaint) in [
        (cut, "receive"),
        (compressed(b"short"), "only 5 of 300000 bytes arrived"),
        (compressed(&vec![8; 300_000]), "the content's digest is"),
        (compressed(&vec![7; 900_000]), "more than 300000 bytes arrived"),
        (b"<html>not found</html>".to_vec(), "receive"),
    ] {
        let mut bench = Bench::new();
        bench.converge_all().unwrap();
        let blob = bench.controller.offer(&vec![7; 300_000]);
        bench.controller.blobs.insert(blob.sha256, bad);
        bench.replace(Resource::Binary(Binary {
            path: "/usr/local/bin/tool".to_owned(),
            name: "tool".to_owned(),
            version: "2".to_owned(),
            blob: Some(blob),
        }));
        let error = bench.converge_all().unwrap_err();
        assert!(error.to_string().contains(complaint), "{error}");
        assert_eq!(bench.system.get("/usr/local/bin/tool"), "\x7fELF tool");
        assert_eq!(leftovers_of_writing(&bench.system), Vec::<String>::new());
    }
}

#[test]
fn a_corrupt_image_is_not_kept() {
    let mut bench = Bench::new();
    let digest = bench
        .state
        .resources
        .iter()
        .find_map(|staged| match &staged.resource {
            Resource::Image(image) => image.blob.map(|blob| blob.sha256),
            _ => None,
        });
    let bad = format!("registry.example/pause:1 {}", Digest::of(b"other"));
    let bad = zstd::encode_all(bad.as_bytes(), 3).unwrap();
    bench.controller.blobs.insert(digest.unwrap(), bad);
    bench.converge_all().unwrap_err();
    assert!(bench.system.simulated().images.is_empty());
}

#[test]
fn the_whole_is_verified_byte_by_byte_when_asked() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let mut node = bench.node();
    node.hashes.distrust = true;
    assert_eq!(inspect(&mut node, &bench.state).unwrap(), []);
    assert!(node.counters().files_hashed >= 6);
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
