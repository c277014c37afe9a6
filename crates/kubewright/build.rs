//! Embeds the agents found in the directory `KUBEWRIGHT_AGENTS` names: `kubewright-agent-<architecture>.gz`
//! and its `.sha256`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=KUBEWRIGHT_AGENTS");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?);
    let mut entries = String::new();
    if let Some(directory) = env::var_os("KUBEWRIGHT_AGENTS").map(PathBuf::from) {
        println!("cargo::rerun-if-changed={}", directory.display());
        for architecture in ["amd64", "arm64"] {
            let path = directory.join(format!("kubewright-agent-{architecture}.gz"));
            let digest = directory.join(format!("kubewright-agent-{architecture}.sha256"));
            if path.exists() {
                println!("cargo::rerun-if-changed={}", path.display());
                let digest = fs::read_to_string(digest)?.trim().to_owned();
                let path = path.display().to_string();
                let _ = writeln!(
                    entries,
                    "    ({architecture:?}, {digest:?}, include_bytes!({path:?})),"
                );
            }
        }
    }
    let code = format!(
        "/// Architecture, digest and compressed program of every embedded agent.\npub(crate) const EMBEDDED: &[(&str, &str, &[u8])] = &[\n{entries}];\n"
    );
    fs::write(out.join("agents.rs"), code)
}
