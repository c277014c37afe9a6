//! The generated reference pages are what the program says today; `UPDATE_REFERENCE=1` writes them again.

use std::fmt::Write as _;
use std::path::Path;

use super::{World, said};

const COMMANDS: [&str; 15] = [
    "init",
    "check",
    "plan",
    "apply",
    "status",
    "drift",
    "kubeconfig",
    "token",
    "smoke",
    "logs",
    "undo",
    "reset",
    "completion",
    "schema",
    "version",
];

fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/reference")
        .join(name);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/reference/{name} is stale; write it again with: UPDATE_REFERENCE=1 cargo test -p kubewright --test cli"
    );
}

#[test]
fn the_command_reference_is_up_to_date() {
    let world = World::new();
    let mut page = "# Commands\n\nWritten by a test from the program's own help. The global options are those of every command.\n".to_owned();
    let mut add = |title: &str, arguments: &[&str]| {
        let (code, help, _) = said(&world.run(arguments));
        assert_eq!(code, 0);
        let own = match help.split_once("\nGlobal options:\n") {
            Some((own, _)) if title != "kubewright" => own,
            _ => help.as_str(),
        };
        let lines: Vec<&str> = own.trim_end().lines().map(str::trim_end).collect();
        let _ = write!(page, "\n## {title}\n\n```text\n{}\n```\n", lines.join("\n"));
    };
    add("kubewright", &["--help"]);
    for command in COMMANDS {
        add(&format!("kubewright {command}"), &[command, "--help"]);
        if command == "logs" {
            add("kubewright logs show", &["logs", "show", "--help"]);
        }
    }
    compare("cli.md", &page);
}

#[test]
fn every_command_is_in_the_reference() {
    let (_, help, _) = said(&World::new().run(&["--help"]));
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let named = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next());
    let unknown: Vec<&str> = named
        .filter(|name| *name != "help" && !COMMANDS.contains(name))
        .collect();
    assert_eq!(unknown, Vec::<&str>::new());
}

#[test]
fn the_schema_is_up_to_date() {
    let (code, schema, _) = said(&World::new().run(&["schema"]));
    assert_eq!(code, 0);
    compare("cluster.schema.json", &schema);
}

#[test]
fn the_error_reference_is_up_to_date() {
    compare("errors.md", &kubewright_core::errors::reference());
}
