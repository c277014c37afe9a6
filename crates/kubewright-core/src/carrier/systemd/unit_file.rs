//! The text of a unit's file.

use std::fmt::Write as _;

use super::unit_name;
use super::words::quote;
use crate::component::{Command, Component, Confinement, Process, Readiness};

const HEADER: &str =
    "# Written by kubewright; a change here is undone. Arguments: spec.components in cluster.yaml.\n";

/// What a confined process is kept from. docs/reference/processes.md has the reasons for what is not here.
const CONFINED: &str = "\
NoNewPrivileges=true
CapabilityBoundingSet=
DevicePolicy=closed
KeyringMode=private
LockPersonality=true
MemoryDenyWriteExecute=true
PrivateDevices=true
PrivateMounts=true
PrivateTmp=true
ProtectClock=true
ProtectControlGroups=true
ProtectHome=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=true
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
UMask=0077
";

/// How programs are told of a proxy: both spellings are in use.
const PROXY_VARIABLES: &str =
    "HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy";

/// The file of a component's unit, on a node with all these components.
pub(super) fn content(component: &Component, process: &Process, all: &[Component]) -> String {
    let mut text = String::from(HEADER);
    text.push_str(&unit_section(component, process, all));
    text.push_str("\n[Service]\n");
    text.push_str(&service_section(component, process));
    text.push_str("\n[Install]\nWantedBy=multi-user.target\n");
    text
}

fn unit_section(component: &Component, process: &Process, all: &[Component]) -> String {
    let mut text = format!("[Unit]\nDescription={}\n", component.description.title);
    let mut after = vec!["network-online.target".to_owned()];
    let has = |name: &str| {
        all.iter()
            .any(|other| other.description.name == name && other.process.is_some())
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
    for path in &process.systemd.requires_any {
        line(&mut text, "AssertPathExists", &format!("|{path}"));
    }
    line(&mut text, "StartLimitIntervalSec", "0");
    text
}

fn service_section(component: &Component, process: &Process) -> String {
    let mut text = String::new();
    match process.systemd.readiness {
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
    if !matches!(process.systemd.readiness, Readiness::Finished) {
        // An API server whose etcd is gone does not end by itself; systemd waits 90 s.
        line(&mut text, "TimeoutStopSec", "20");
    }
    if let Some(account) = component.description.account {
        line(&mut text, "User", account.name);
        line(&mut text, "Group", account.name);
    }
    if !process.groups.is_empty() {
        line(&mut text, "SupplementaryGroups", &process.groups.join(" "));
    }
    for (name, value) in &process.environment {
        line(&mut text, "Environment", &quote(&format!("{name}={value}")));
    }
    if let Some(path) = process.systemd.environment_file {
        line(&mut text, "EnvironmentFile", &format!("-{path}"));
    }
    if !process.leaves_the_cluster {
        line(&mut text, "UnsetEnvironment", PROXY_VARIABLES);
    }
    commands(&mut text, process);
    match process.systemd.readiness {
        // A oneshot may restart only on failure.
        Readiness::Finished => line(&mut text, "Restart", "on-failure"),
        Readiness::Notify { .. } | Readiness::Running => line(&mut text, "Restart", "always"),
    }
    line(&mut text, "RestartSec", "1");
    limits(&mut text, process);
    if let Confinement::Strict { writable } = &process.confinement {
        text.push_str(CONFINED);
        if !writable.is_empty() {
            line(&mut text, "SystemCallFilter", "@chown");
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
    for command in &process.systemd.before_start {
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
    for command in &process.systemd.after_start {
        line(text, "ExecStartPost", &command_line(command));
    }
    for command in &process.systemd.on_stop {
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
