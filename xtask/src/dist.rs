//! The program as users get it: a static agent, and a kubewright that carries it.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use kubewright_core::resource::Digest;

/// For whom the programs are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// For users: optimised.
    Release,
    /// For tests and `./demo`: of the same compilation as the tests, so that nothing is compiled twice.
    Development,
}

/// What was built.
pub(crate) struct Built {
    /// The kubewright program.
    pub(crate) program: PathBuf,
    /// The lab's program.
    pub(crate) lab: PathBuf,
    /// The agent program, compressed.
    pub(crate) agent: PathBuf,
    /// The agent's size, compressed.
    pub(crate) agent_bytes: u64,
}

impl Build {
    /// The profile's directory below cargo's.
    const fn directory(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Development => "debug",
        }
    }
}

/// Builds both, for this computer's architecture, and the lab beside them. The agent is the same in every build.
///
/// The musl target is used where the toolchain has it; otherwise the gnu target links its libc statically, which is
/// enough for a program that never asks the name service.
pub(crate) fn build(build: Build) -> anyhow::Result<Built> {
    let target_directory = target_directory()?;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("no agent can be built for {other}"),
    };
    let triple = agent_triple()?;
    cargo(
        &[
            "build",
            "--package",
            "kubewright-agent",
            "--profile",
            "agent",
            "--target",
            &triple,
        ],
        &[("RUSTFLAGS", "-C target-feature=+crt-static")],
    )?;
    let agents = target_directory.join("agents");
    fs::create_dir_all(&agents)?;
    let built = target_directory.join(&triple).join("agent/kubewright-agent");
    let name = format!("kubewright-agent-{architecture}");
    let program = fs::read(&built).with_context(|| format!("read {}", built.display()))?;
    let digest = Digest::of(&program).to_string();
    // An unchanged agent keeps its time stamp, so that kubewright is not linked again for nothing.
    if fs::read_to_string(agents.join(format!("{name}.sha256")))
        .ok()
        .as_deref()
        != Some(&digest)
    {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&program)?;
        fs::write(agents.join(format!("{name}.gz")), encoder.finish()?)?;
        fs::write(agents.join(format!("{name}.sha256")), &digest)?;
    }
    let agents_path = agents
        .to_str()
        .context("the target directory is not UTF-8")?
        .to_owned();
    // The whole workspace says which features dependencies have, as it does for the tests.
    let mut arguments = vec!["build", "--workspace", "--locked"];
    arguments.extend(["--bin", "kubewright", "--bin", "kubewright-lab"]);
    if build == Build::Release {
        arguments.push("--release");
    }
    cargo(
        &arguments,
        &[
            ("KUBEWRIGHT_AGENTS", &agents_path),
            ("CARGO_PROFILE_DEV_OPT_LEVEL", "1"),
        ],
    )?;
    let agent = agents.join(format!("{name}.gz"));
    let agent_bytes = fs::metadata(&agent)?.len();
    Ok(Built {
        program: target_directory.join(build.directory()).join("kubewright"),
        lab: target_directory.join(build.directory()).join("kubewright-lab"),
        agent,
        agent_bytes,
    })
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory() -> anyhow::Result<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps"])
        .output()?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .context("cargo metadata names no target directory")
}

fn agent_triple() -> anyhow::Result<String> {
    let architecture = std::env::consts::ARCH;
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .context("run rustc")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let musl = format!("{architecture}-unknown-linux-musl");
    let has_musl = sysroot.join("lib/rustlib").join(&musl).join("lib").exists();
    Ok(if has_musl {
        musl
    } else {
        format!("{architecture}-unknown-linux-gnu")
    })
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .envs(environment.iter().copied())
        .status()
        .context("run cargo")?;
    if status.success() {
        Ok(())
    } else {
        bail!("cargo {} did not succeed", arguments.join(" "))
    }
}
