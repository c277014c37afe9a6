//! Builds a project's programs from its Go module or C file, and checks that they say their true version.
//!
//! Every program is built by itself, so that each has its line of progress and memory holds one linker. The
//! compilers run at low priority: a first build takes minutes and the computer is in use meanwhile.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::platform::Platform;
use super::process;
use super::recipe::{Binary, Project};

const NICE: [&str; 2] = ["-n", "10"];

/// Builds programs of a project into a directory.
pub(crate) fn build(
    project: &Project,
    binaries: &[&Binary],
    platform: Platform,
    into: &Path,
    report: &dyn Fn(&str),
) -> Result<()> {
    for binary in binaries {
        let started = Instant::now();
        let named = format!("{} {}", binary.name, project.recipe.version);
        report(&format!("building {named}"));
        let output = into.join(&binary.name);
        let mut command = match (&binary.package, &binary.source) {
            (Some(package), _) => go(project, package, platform, &output),
            (None, Some(source)) => c(source, &output),
            (None, None) => bail!("binary {} has no source", binary.name),
        };
        process::succeed(command.current_dir(&project.directory))
            .with_context(|| format!("build {named}"))?;
        check_version(binary, &output)?;
        report(&format!(
            "built {named} in {:.1} s",
            started.elapsed().as_secs_f64()
        ));
    }
    Ok(())
}

/// Runs a program and compares the version it tells with the recipe's.
pub(crate) fn check_version(binary: &Binary, path: &Path) -> Result<()> {
    let Some(expected) = &binary.version_text else {
        return Ok(());
    };
    let mut command = Command::new(path);
    // A CNI plug-in tells its version when it is not asked to do anything.
    command.args(&binary.version_arguments).env_remove("CNI_COMMAND");
    let said = process::output(&mut command)?;
    let said = format!("{}{}", said.stdout, said.stderr);
    if !said.contains(expected) {
        bail!(
            "{} should say {expected:?} but said {:?}",
            binary.name,
            said.trim()
        );
    }
    Ok(())
}

/// Gathers everything that is missing on this computer for building these projects, in one error.
pub(crate) fn check_prerequisites(projects: &[&Project]) -> Result<()> {
    let mut missing = Vec::new();
    let binaries = || projects.iter().flat_map(|project| &project.recipe.binaries);
    if binaries().any(|binary| binary.package.is_some()) && !process::is_installed("go") {
        missing.push("go 1.26.8 or newer (https://go.dev/dl)".to_owned());
    }
    let needs_c =
        projects.iter().any(|project| project.recipe.cgo) || binaries().any(|binary| binary.source.is_some());
    if needs_c && !process::is_installed("gcc") {
        missing.push("gcc (apt-get install gcc libc6-dev)".to_owned());
    }
    for library in projects.iter().flat_map(|project| &project.recipe.libraries) {
        if !process::is_installed("pkg-config") {
            missing.push("pkg-config (apt-get install pkg-config)".to_owned());
        } else if !has_static_library(library)? {
            missing.push(format!("static {library} (apt-get install {library}-dev)"));
        }
    }
    for image in projects
        .iter()
        .filter_map(|project| project.recipe.image.as_ref())
    {
        for path in image.host_files.iter().chain(&image.host_directories) {
            if !Path::new(path).exists() {
                missing.push(format!(
                    "{path} (apt-get install busybox-static nftables iptables)"
                ));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "building components needs what is missing here:\n  {}",
        missing.join("\n  ")
    )
}

fn has_static_library(name: &str) -> Result<bool> {
    let mut command = Command::new("pkg-config");
    command.args(["--variable=libdir", name]);
    let output = process::output(&mut command)?;
    let archive = format!("{}/{name}.a", output.stdout.trim());
    Ok(output.success && Path::new(&archive).exists())
}

fn go(project: &Project, package: &str, platform: Platform, output: &Path) -> Command {
    let recipe = &project.recipe;
    let mut linker_flags = vec!["-s", "-w"];
    linker_flags.extend(recipe.ldflags.iter().map(String::as_str));
    let mut command = Command::new("nice");
    command.args(NICE).args(["go", "build", "-trimpath"]);
    if !recipe.tags.is_empty() {
        command.arg("-tags").arg(recipe.tags.join(","));
    }
    command.arg("-ldflags").arg(linker_flags.join(" "));
    command.arg("-o").arg(output).arg(package);
    command
        .env("CGO_ENABLED", if recipe.cgo { "1" } else { "0" })
        .env("GOOS", "linux")
        .env("GOARCH", platform.architecture)
        .env("GOFLAGS", "-buildvcs=false -mod=readonly")
        .env("GOWORK", "off");
    command
}

fn c(source: &str, output: &Path) -> Command {
    let mut command = Command::new("nice");
    command
        .args(NICE)
        .args(["gcc", "-static", "-Os", "-s", "-Wall", "-Werror", "-o"]);
    command.arg(output).arg(source);
    command
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::component::recipe::tests::project;

    fn program_saying(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        std::fs::write(&path, format!("#!/bin/sh\necho '{text}'\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (directory, path)
    }

    const BINARY: &str = "version = \"1.2\"\n[[binary]]\nname = \"x\"\npackage = \".\"\n\
                          version_text = \"x v{version}\"\n";

    #[test]
    fn refuses_a_program_that_tells_another_version() {
        let project = project(BINARY);
        let (_kept, path) = program_saying("x v1.1");
        let error = check_version(&project.recipe.binaries[0], &path).unwrap_err();
        assert_eq!(error.to_string(), "x should say \"x v1.2\" but said \"x v1.1\"");
        let (_kept, path) = program_saying("this is x v1.2, built today");
        check_version(&project.recipe.binaries[0], &path).unwrap();
    }

    #[test]
    fn names_everything_that_is_missing_at_once() {
        let text = format!(
            "{BINARY}[image]\nname = \"x\"\nreference = \"x:1\"\nentrypoint = []\nuser = \"0:0\"\n\
             files = {{}}\nhost_files = [\"/no/such/nft\", \"/no/such/shell\"]\n"
        );
        let error = check_prerequisites(&[&project(&text)]).unwrap_err().to_string();
        assert!(error.contains("/no/such/nft"), "{error}");
        assert!(error.contains("/no/such/shell"), "{error}");
    }

    #[test]
    fn go_is_told_tags_version_and_platform() {
        let text = "version = \"1.2\"\ncgo = true\ntags = [\"a\", \"b\"]\n\
                    ldflags = [\"-X main.version={version}\"]\n";
        let command = go(&project(text), "example/x", Platform::ARM64, Path::new("/out/x"));
        let arguments: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(
            arguments[2..],
            [
                "go",
                "build",
                "-trimpath",
                "-tags",
                "a,b",
                "-ldflags",
                "-s -w -X main.version=1.2",
                "-o",
                "/out/x",
                "example/x"
            ]
        );
        let environment: Vec<_> = command.get_envs().collect();
        assert!(environment.contains(&("GOARCH".as_ref(), Some("arm64".as_ref()))));
        assert!(environment.contains(&("CGO_ENABLED".as_ref(), Some("1".as_ref()))));
    }
}
