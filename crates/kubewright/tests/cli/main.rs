//! The program as its users meet it: arguments in, text and exit code out. No machine is needed here.

#![allow(clippy::unwrap_used)]

mod fake_node;
mod init;
mod machines;
mod mistakes;
mod reference;
mod signals;

use std::path::Path;
use std::process::{Command, Output};

struct World {
    home: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubewright"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", "/usr/bin:/bin");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

const SMALL: &str = "apiVersion: kubewright/v1alpha1
kind: Cluster
metadata: { name: small }
spec:
  kubernetes: 1.36.3
  nodes:
    - { name: one, address: 192.0.2.11, roles: [control-plane, worker] }
";

#[test]
fn a_missing_file_names_the_file_and_how_to_get_one() {
    let (code, out, error) = said(&World::new().run(&["plan", "--offline"]));
    assert_eq!((code, out.as_str()), (1, ""));
    insta::assert_snapshot!(error, @r"
    error: read cluster.yaml [file-unreadable]
      because: No such file or directory (os error 2)
      hint: name the file with --file, or write one: kubewright init --control-plane ADDR,ADDR,ADDR
    ");
}

#[test]
fn every_mistake_of_a_file_is_told_with_its_place() {
    let world = World::new();
    world.write(
        "cluster.yaml",
        &SMALL
            .replace("kubernetes", "kubernets")
            .replace("192.0.2.11", "10.96.0.7"),
    );
    let (code, _, error) = said(&world.run(&["plan", "--offline"]));
    assert_eq!(code, 1);
    assert!(error.contains("cluster.yaml:5:3"), "{error}");
    assert!(error.contains("kubernetes"), "{error}");
    assert!(error.contains("cluster.yaml has"), "{error}");
}

#[test]
fn init_writes_a_file_that_plans_and_never_overwrites_one() {
    let world = World::new();
    let init = [
        "init",
        "--control-plane",
        "192.0.2.11,192.0.2.12,192.0.2.13",
        "--worker",
        "192.0.2.21",
    ];
    let (code, _, error) = said(&world.run(&init));
    assert_eq!(code, 0, "{error}");
    let (code, out, error) = said(&world.run(&["plan", "--offline"]));
    assert_eq!(code, 0, "{error}");
    assert!(
        out.trim_end()
            .ends_with("to add, 0 to change, 0 to remove on 4 nodes"),
        "{out}"
    );
    let (code, _, error) = said(&world.run(&init));
    assert_eq!(code, 1);
    assert!(error.contains("it was not changed"), "{error}");
}

#[test]
fn plans_are_the_same_twice_and_have_a_form_for_programs() {
    let world = World::new();
    world.write("cluster.yaml", SMALL);
    let (_, first, _) = said(&world.run(&["plan", "--offline"]));
    let (_, second, _) = said(&world.run(&["plan", "--offline"]));
    assert_eq!(first, second);
    let (code, json, _) = said(&world.run(&["plan", "--offline", "-o", "json"]));
    assert_eq!(code, 0);
    let plan: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(plan["steps"].as_array().is_some_and(|steps| !steps.is_empty()));
}

#[test]
fn offline_plans_read_addons_as_others_do() {
    let world = World::new();
    let plan_with = |addons: &str| {
        world.write(
            "cluster.yaml",
            &SMALL.replace("  nodes:", &format!("  addons: [{addons}]\n  nodes:")),
        );
        said(&world.run(&["plan", "--offline", "-o", "json"]))
    };
    for addons in [
        "{ name: mine, manifests: [./nowhere.yaml] }",
        "{ name: mine, manifests: [\"https://example.org/a.yaml\"] }",
    ] {
        let (code, _, error) = plan_with(addons);
        assert_eq!(code, 1, "{error}");
        assert!(error.contains(r#""id":"manifest-invalid""#), "{error}");
    }
    world.write(
        "mine.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: mine, namespace: default }\n",
    );
    let (code, out, error) = plan_with("{ name: mine, manifests: [./mine.yaml] }");
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("ConfigMap default/mine"), "{out}");
}

#[test]
fn wrong_usage_exits_with_two() {
    assert_eq!(said(&World::new().run(&["aply"])).0, 2);
}

#[test]
fn nobody_reading_any_more_is_no_error() {
    let world = World::new();
    let program = env!("CARGO_BIN_EXE_kubewright");
    let output = Command::new("sh")
        .args(["-c", &format!("'{program}' schema | head -n 1")])
        .current_dir(world.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
