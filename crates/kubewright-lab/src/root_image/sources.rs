//! Where this computer gets its Debian packages from; the machines' root comes from the same place.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// A Debian mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirror {
    pub(super) address: String,
    /// The keyring that verifies it, when apt is told one.
    pub(super) keyring: Option<PathBuf>,
}

/// The mirror that apt uses for this suite, or what `KUBEWRIGHT_LAB_MIRROR` says.
pub(super) fn mirror(suite: &str) -> Result<Mirror> {
    if let Ok(address) = std::env::var("KUBEWRIGHT_LAB_MIRROR") {
        return Ok(Mirror {
            address,
            keyring: None,
        });
    }
    for path in source_files() {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let deb822 = path.extension().is_some_and(|extension| extension == "sources");
        let found = if deb822 {
            from_deb822(&text, suite)
        } else {
            from_lines(&text, suite)
        };
        if let Some(mirror) = found {
            return Ok(mirror);
        }
    }
    bail!(
        "no mirror of Debian {suite} in /etc/apt/sources.list or /etc/apt/sources.list.d: \
         set KUBEWRIGHT_LAB_MIRROR to the address of one"
    );
}

/// The proxies apt goes through, as environment for debootstrap's downloader.
pub(super) fn proxies() -> Vec<(&'static str, String)> {
    let arguments = [
        "shell",
        "http_proxy",
        "Acquire::http::Proxy",
        "https_proxy",
        "Acquire::https::Proxy",
    ];
    let Ok(text) = crate::tool::run("apt-config", arguments) else {
        return Vec::new();
    };
    let value = |name: &str| {
        let quoted = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(quoted.trim_matches('\'').to_owned()).filter(|value| !value.is_empty())
    };
    ["http_proxy", "https_proxy"]
        .into_iter()
        .filter_map(|name| Some((name, value(name)?)))
        .collect()
}

fn source_files() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(directory) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut more: Vec<PathBuf> = directory.flatten().map(|file| file.path()).collect();
        more.sort();
        files.extend(more);
    }
    files
}

/// Reads one-line entries: `deb [options] ADDRESS SUITE COMPONENT…`.
fn from_lines(text: &str, suite: &str) -> Option<Mirror> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']')?,
            None => ("", rest),
        };
        let words: Vec<&str> = rest.split_whitespace().collect();
        let [address, found, components @ ..] = words.as_slice() else {
            return None;
        };
        if *found != suite || !components.contains(&"main") {
            return None;
        }
        let keyring = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="));
        Some(Mirror {
            address: (*address).to_owned(),
            keyring: keyring_path(keyring),
        })
    })
}

/// Reads paragraphs of `Key: value` lines.
fn from_deb822(text: &str, suite: &str) -> Option<Mirror> {
    text.split("\n\n").find_map(|paragraph| {
        let words = |key: &str| -> Vec<&str> {
            paragraph
                .lines()
                .find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case(key)
                        .then(|| value.split_whitespace().collect())
                })
                .unwrap_or_default()
        };
        let enabled = words("Enabled").first().is_none_or(|word| *word != "no");
        let fits = words("Types").contains(&"deb")
            && words("Suites").contains(&suite)
            && words("Components").contains(&"main");
        let address = words("URIs").first().map(|address| (*address).to_owned());
        let keyring = keyring_path(words("Signed-By").first().copied());
        address
            .filter(|_| enabled && fits)
            .map(|address| Mirror { address, keyring })
    })
}

fn keyring_path(text: Option<&str>) -> Option<PathBuf> {
    text.map(Path::new)
        .filter(|path| path.is_absolute())
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_mirror_from_paragraphs() {
        let text = "Types: deb\n# a comment\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\n\n\
                    Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n\
                    Components: main\nSigned-By: /usr/share/keyrings/k.gpg\n";
        let mirror = from_deb822(text, "bookworm").unwrap();
        assert_eq!(mirror.address, "http://mirror.example/debian");
        assert_eq!(mirror.keyring, Some("/usr/share/keyrings/k.gpg".into()));
        assert_eq!(from_deb822(text, "trixie"), None);
    }

    #[test]
    fn skips_disabled_paragraphs() {
        let text = "Enabled: no\nTypes: deb\nURIs: http://a.example\nSuites: bookworm\nComponents: main\n";
        assert_eq!(from_deb822(text, "bookworm"), None);
    }

    #[test]
    fn reads_the_mirror_from_lines() {
        let text = "# deb http://no.example bookworm main\n\
                    deb http://third.example/tool bookworm stable\n\
                    deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian bookworm main contrib\n";
        let mirror = from_lines(text, "bookworm").unwrap();
        assert_eq!(
            mirror,
            Mirror {
                address: "https://mirror.example/debian".into(),
                keyring: Some("/k.gpg".into())
            }
        );
    }
}
