//! Fetches upstream's own programs, and takes nothing that has not the expected digest.
//!
//! The digest is the recipe's; where the recipe has none, upstream's published one is fetched over the same TLS.
//! Attempts are bounded and only repeated where repeating can help: a broken connection or a server in trouble,
//! never a missing file or a wrong digest. `curl` does the fetching, since it honours the user's proxy settings.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;

use super::build::check_version;
use super::platform::Platform;
use super::recipe::{Download, Project};
use super::{digest, process};

/// More than any program of a cluster has.
const LARGEST_PROGRAM_BYTES: u64 = 1 << 30;
const LARGEST_CHECKSUM_FILE_BYTES: u64 = 1 << 20;
const ATTEMPTS: u32 = 3;
/// curl: the server answered with an error status.
const CURL_HTTP_ERROR: i32 = 22;
/// curl: larger than allowed.
const CURL_TOO_LARGE: i32 = 63;

/// How files are fetched.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    /// Protocols that curl may use, also after a redirect.
    pub(crate) protocols: &'static str,
    /// Waited before the second attempt, twice as long before the third.
    pub(crate) pause: Duration,
}

impl Default for Fetcher {
    fn default() -> Self {
        Self {
            protocols: "=https",
            pause: Duration::from_secs(2),
        }
    }
}

impl Fetcher {
    /// Fetches and unpacks every program of a project into a directory.
    pub(crate) fn fill(
        &self,
        project: &Project,
        platform: Platform,
        into: &Path,
        report: &dyn Fn(&str),
    ) -> Result<()> {
        for download in &project.recipe.downloads {
            let started = Instant::now();
            report(&format!("downloading {}", download.url));
            let fetched = into.join(".download");
            self.fetch_verified(download, platform, &fetched)?;
            place(download, &fetched, into).with_context(|| format!("unpack {}", download.url))?;
            let seconds = started.elapsed().as_secs_f64();
            report(&format!(
                "downloaded {} in {seconds:.1} s",
                file_name(&download.url)
            ));
        }
        for binary in &project.recipe.binaries {
            check_version(binary, &into.join(&binary.name))?;
        }
        Ok(())
    }

    /// Says whether a URL answers a HEAD request within a few seconds.
    pub(crate) fn can_reach(&self, url: &str) -> bool {
        let mut command = self.curl(Path::new("/dev/null"), LARGEST_CHECKSUM_FILE_BYTES);
        command.args(["--head", "--max-time", "4", "--", url]);
        process::output(&mut command).is_ok_and(|ended| ended.success)
    }

    fn fetch_verified(&self, download: &Download, platform: Platform, to: &Path) -> Result<()> {
        let expected = match download.sha256.get(platform.architecture) {
            Some(known) => known.clone(),
            None => self.fetch_digest(download, to)?,
        };
        self.fetch(&download.url, to, LARGEST_PROGRAM_BYTES)?;
        let (found, size) = digest::of_file(to)?;
        ensure!(
            found == expected,
            "{}: sha256 of the {size} bytes received is {found}, expected {expected}",
            download.url
        );
        Ok(())
    }

    fn fetch_digest(&self, download: &Download, to: &Path) -> Result<String> {
        let Some(url) = &download.published else {
            bail!("no digest is known for {}", download.url);
        };
        self.fetch(url, to, LARGEST_CHECKSUM_FILE_BYTES)?;
        let text = std::fs::read_to_string(to).with_context(|| format!("read {url}"))?;
        digest_in(&text, file_name(&download.url))
            .with_context(|| format!("{url} has no sha256 for {}", file_name(&download.url)))
    }

    fn fetch(&self, url: &str, to: &Path, largest: u64) -> Result<()> {
        let mut attempt = 1;
        loop {
            let mut command = self.curl(to, largest);
            command.arg("--").arg(url);
            let ended = process::output(&mut command).context("curl is needed for downloading")?;
            if ended.success {
                return Ok(());
            }
            let said = ended.stderr.trim();
            if attempt == ATTEMPTS || !may_pass(ended.code, said) {
                bail!("download {url}: {said} ({attempt} of {ATTEMPTS} attempts made)");
            }
            thread::sleep(self.pause * attempt);
            attempt += 1;
        }
    }

    fn curl(&self, to: &Path, largest: u64) -> Command {
        let mut command = Command::new("curl");
        command
            .args([
                "--silent",
                "--show-error",
                "--fail",
                "--location",
                "--max-redirs",
                "5",
            ])
            .args(["--proto", self.protocols, "--proto-redir", self.protocols])
            .args([
                "--connect-timeout",
                "10",
                "--speed-limit",
                "1000",
                "--speed-time",
                "30",
            ])
            .args(["--max-time", "1800", "--max-filesize", &largest.to_string()])
            .arg("--output")
            .arg(to);
        command
    }
}

/// Says whether a failed attempt may go better next time.
fn may_pass(code: Option<i32>, said: &str) -> bool {
    match code {
        Some(CURL_HTTP_ERROR) => {
            said.contains("error: 5") || said.contains("error: 429") || said.contains("error: 408")
        }
        Some(CURL_TOO_LARGE) | None => false,
        Some(_) => true,
    }
}

/// Finds a file's digest in upstream's text: a bare digest, or lines of digest and file name.
fn digest_in(text: &str, file: &str) -> Option<String> {
    let is_digest = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lines = || {
        text.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
    };
    let found = lines().find_map(|words| match words[..] {
        [digest, name] if name.trim_start_matches('*') == file => Some(digest.to_owned()),
        _ => None,
    });
    let bare = || match text.split_whitespace().collect::<Vec<_>>()[..] {
        [digest] => Some(digest.to_owned()),
        _ => None,
    };
    found
        .or_else(bare)
        .filter(|digest| is_digest(digest))
        .map(|digest| digest.to_lowercase())
}

fn file_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// Puts the wanted programs of a fetched file into a directory and removes the rest.
fn place(download: &Download, fetched: &Path, into: &Path) -> Result<()> {
    let wanted: BTreeMap<PathBuf, &str> = download
        .files
        .iter()
        .map(|(name, member)| (plain(Path::new(member)), name.as_str()))
        .collect();
    if let Some(name) = wanted.get(Path::new("")) {
        std::fs::rename(fetched, into.join(name)).context("rename")?;
        return make_executable(&into.join(name));
    }
    let missing = unpack(fetched, &wanted, into)?;
    if let Some(member) = missing.keys().next() {
        bail!("the archive has no file {}", member.display());
    }
    std::fs::remove_file(fetched).context("remove archive")
}

/// Copies wanted regular files out of a compressed archive; the archive never chooses where something is written.
fn unpack<'a>(
    archive: &Path,
    wanted: &BTreeMap<PathBuf, &'a str>,
    into: &Path,
) -> Result<BTreeMap<PathBuf, &'a str>> {
    let mut missing = wanted.clone();
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(archive)?));
    for entry in archive.entries()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let Some(name) = missing.remove(&plain(&entry.path()?)) else {
            continue;
        };
        let path = into.join(name);
        let size = entry.size();
        ensure!(size <= LARGEST_PROGRAM_BYTES, "{name} has {size} bytes");
        let mut file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        let copied = io::copy(&mut entry.take(LARGEST_PROGRAM_BYTES), &mut file)?;
        ensure!(copied == size, "{name} ends after {copied} of {size} bytes");
        make_executable(&path)?;
    }
    Ok(missing)
}

/// Returns a path without `./` in it.
fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| *part != std::path::Component::CurDir)
        .collect()
}

fn make_executable(path: &Path) -> Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .with_context(|| format!("make {} executable", path.display()))
}

#[cfg(test)]
#[path = "download_tests.rs"]
pub(crate) mod tests;
