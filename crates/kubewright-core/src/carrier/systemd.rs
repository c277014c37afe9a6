//! Components as systemd units.
//!
//! A unit names everything it reads among its inputs, so that the agent restarts it when, and only when, one of those
//! changed. Restarts after a failure come every second and never stop: a control plane that comes back after hours
//! finds its peers still trying.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::component::{Command, Component, Confinement, Process, Readiness};
use crate::resource::{Resource, ResourceId, Stage, Unit};

const HEADER: &str =
    "# Written by kubewright; a change here is undone. Arguments: spec.components in cluster.yaml.\n";

/// What a confined process is kept from. Directives that need what a container's systemd cannot give are left out.
const CONFINED: &str = "\
NoNewPrivileges=true
CapabilityBoundingSet=
LockPersonality=true
PrivateTmp=true
ProtectControlGroups=true
ProtectHome=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectSystem=strict
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
SystemCallArchitectures=native
UMask=0077
";

/// Everything the components of a node need, in order of convergence: stages ascend; within one, each component's
/// things come before its unit. A resource several components name is there once.
pub fn resources(components: &[Component]) -> Vec<(Stage, Resource)> {
    let mut present = BTreeSet::new();
    let mut all = Vec::new();
    for stage in Stage::ALL {
        for component in components {
            if component.prepared_in == stage {
                let own = component.reads.iter().chain(&component.rereads);
                all.extend(own.cloned().map(|resource| (stage, resource)));
            }
            if let Some(process) = component
                .process
                .as_ref()
                .filter(|process| process.stage == stage)
            {
                let unit = Resource::Unit(unit(component, process, components));
                all.push((stage, unit));
            }
        }
    }
    all.retain(|(_, resource)| present.insert(resource.id()));
    all
}

/// The unit's name of a component.
pub fn unit_name(component: &str) -> String {
    format!("{component}.service")
}

fn unit(component: &Component, process: &Process, all: &[Component]) -> Unit {
    Unit {
        name: unit_name(component.name),
        content: content(process, all),
        start: process.start,
        inputs: inputs(component),
    }
}

fn inputs(component: &Component) -> Vec<ResourceId> {
    let own = component
        .reads
        .iter()
        .filter(|resource| !matches!(resource, Resource::Directory(_) | Resource::User(_)))
        .map(Resource::id);
    own.chain(component.shared.iter().cloned()).collect()
}

fn content(process: &Process, all: &[Component]) -> String {
    let mut text = String::from(HEADER);
    text.push_str(&unit_section(process, all));
    text.push_str("\n[Service]\n");
    text.push_str(&service_section(process));
    text.push_str("\n[Install]\nWantedBy=multi-user.target\n");
    text
}

fn unit_section(process: &Process, all: &[Component]) -> String {
    let mut text = format!("[Unit]\nDescription={}\n", process.description);
    let mut after = vec!["network-online.target".to_owned()];
    let has = |name: &str| {
        all.iter()
            .any(|other| other.name == name && other.process.is_some())
    };
    after.extend(
        process
            .starts_after
            .iter()
            .filter(|name| has(name))
            .map(|name| unit_name(name)),
    );
    line(&mut text, "Wants", "network-online.target");
    line(&mut text, "After", &after.join(" "));
    for path in &process.requires_any {
        line(&mut text, "AssertPathExists", &format!("|{path}"));
    }
    line(&mut text, "StartLimitIntervalSec", "0");
    text
}

fn service_section(process: &Process) -> String {
    let mut text = String::new();
    match process.readiness {
        Readiness::Notify { timeout_seconds } => {
            line(&mut text, "Type", "notify");
            line(&mut text, "TimeoutStartSec", &timeout_seconds.to_string());
        }
        Readiness::Running => {
            line(&mut text, "Type", "exec");
            // Longer than a command before it may wait for the API.
            line(&mut text, "TimeoutStartSec", "330");
        }
        Readiness::Finished => {
            line(&mut text, "Type", "oneshot");
            line(&mut text, "RemainAfterExit", "true");
        }
    }
    if !matches!(process.readiness, Readiness::Finished) {
        // An API server whose etcd is gone does not end by itself; systemd waits 90 s.
        line(&mut text, "TimeoutStopSec", "20");
    }
    if let Some(user) = process.user {
        line(&mut text, "User", user);
        line(&mut text, "Group", user);
    }
    for (name, value) in &process.environment {
        line(&mut text, "Environment", &quote(&format!("{name}={value}")));
    }
    if let Some(path) = process.environment_file {
        line(&mut text, "EnvironmentFile", &format!("-{path}"));
    }
    commands(&mut text, process);
    match process.readiness {
        // A oneshot may restart only on failure.
        Readiness::Finished => line(&mut text, "Restart", "on-failure"),
        Readiness::Notify { .. } | Readiness::Running => line(&mut text, "Restart", "always"),
    }
    line(&mut text, "RestartSec", "1");
    limits(&mut text, process);
    if let Confinement::Strict { writable } = &process.confinement {
        text.push_str(CONFINED);
        if !writable.is_empty() {
            line(&mut text, "ReadWritePaths", &writable.join(" "));
        }
    }
    text
}

fn commands(text: &mut String, process: &Process) {
    let before = if process.program.is_some() {
        "ExecStartPre"
    } else {
        "ExecStart"
    };
    for command in &process.before_start {
        line(text, before, &command_line(command));
    }
    if let Some(program) = &process.program {
        let first: Vec<String> = std::iter::once(program.as_str())
            .chain(process.words.iter().copied())
            .map(quote)
            .collect();
        let mut words = vec![first.join(" ")];
        words.extend(process.arguments.words().iter().map(|word| quote(word)));
        line(text, "ExecStart", &words.join(" \\\n    "));
    }
    for command in &process.after_start {
        line(text, "ExecStartPost", &command_line(command));
    }
    for command in &process.on_stop {
        line(text, "ExecStop", &command_line(command));
    }
}

fn command_line(command: &Command) -> String {
    let words: Vec<String> = command.words.iter().map(|word| quote(word)).collect();
    let fails = if command.may_fail { "-" } else { "" };
    let privileged = if command.privileged { "+" } else { "" };
    format!("{fails}{privileged}{}", words.join(" "))
}

fn limits(text: &mut String, process: &Process) {
    let limits = process.limits;
    if let Some(files) = limits.open_files {
        line(text, "LimitNOFILE", &files.to_string());
    }
    if let Some(score) = limits.oom_score_adjust {
        line(text, "OOMScoreAdjust", &score.to_string());
    }
    if limits.parent_of_containers {
        for (name, value) in [
            ("Delegate", "true"),
            ("KillMode", "process"),
            ("LimitCORE", "infinity"),
            ("LimitNPROC", "infinity"),
            ("TasksMax", "infinity"),
        ] {
            line(text, name, value);
        }
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name}={value}");
}

/// Writes a word so that systemd reads it back unchanged: `%` and `$` doubled, quotes where they are needed.
fn quote(word: &str) -> String {
    let escaped = word.replace('%', "%%").replace('$', "$$");
    let is_plain = !escaped.is_empty()
        && escaped != ";"
        && !escaped.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '\\'));
    if is_plain {
        return escaped;
    }
    let mut quoted = String::from("\"");
    for c in escaped.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The words a unit's file starts its process with, as the process is given them; nothing when the file has no single
/// such line, or one this program would not have written.
pub fn process_words(content: &str) -> Option<Vec<String>> {
    let joined = content.replace("\\\n", " ");
    let mut lines = joined.lines().filter_map(|line| line.strip_prefix("ExecStart="));
    let line = lines.next()?;
    if lines.next().is_some() || !line.starts_with('/') {
        return None;
    }
    unquote(line)
}

/// Reads words back that [`quote`] wrote.
fn unquote(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut characters = line.chars().peekable();
    loop {
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        let Some(first) = characters.peek() else {
            return Some(words);
        };
        let is_quoted = *first == '"';
        if is_quoted {
            characters.next();
        }
        let mut word = String::new();
        loop {
            match characters.next() {
                None if is_quoted => return None,
                None => break,
                Some('"') if is_quoted => break,
                Some('\\') => word.push(match characters.next()? {
                    'n' => '\n',
                    't' => '\t',
                    'u' => {
                        let digits: String = characters.by_ref().take(4).collect();
                        char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                    }
                    other => other,
                }),
                Some(c) if c.is_whitespace() && !is_quoted => break,
                Some(c @ ('%' | '$')) => {
                    characters.next_if_eq(&c)?;
                    word.push(c);
                }
                Some(c) => word.push(c),
            }
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::{process_words, quote};

    #[test]
    fn words_reach_the_program_unchanged() {
        for (word, written) in [
            ("--v=2", "--v=2"),
            ("--feature-gates=A=true,B=false", "--feature-gates=A=true,B=false"),
            ("100%", "100%%"),
            ("$HOME", "$$HOME"),
            ("two words", "\"two words\""),
            ("", "\"\""),
            (";", "\";\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("line\nbreak", "\"line\\nbreak\""),
        ] {
            assert_eq!(quote(word), written);
            let content = format!("ExecStart=/bin/a \\\n    {written} \\\n    {written}\n");
            assert_eq!(process_words(&content).unwrap(), ["/bin/a", word, word]);
        }
    }

    #[test]
    fn a_command_of_another_kind_has_no_words() {
        for content in [
            "",
            "ExecStart=-/bin/a\n",
            "ExecStart=/bin/a $HOME\n",
            "ExecStart=/a\nExecStart=/b\n",
        ] {
            assert_eq!(process_words(content), None, "{content}");
        }
    }
}
