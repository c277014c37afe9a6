//! Names of labs and machines, and the directory a lab may live in.
//!
//! All of them end up in mount options, bind arguments, cgroup paths and ssh_config, which quote differently or not at
//! all. So the rule is strict, and nothing needs quoting.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// The longest lab name; it is part of cgroup paths and of interface aliases.
const LAB_NAME_LIMIT: usize = 32;

/// The longest machine name: a host name label.
const MACHINE_NAME_LIMIT: usize = 63;

/// The name of a lab.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct LabName(String);

/// The name of a machine, which is its host name as well.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct MachineName(String);

impl LabName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl MachineName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LabName {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        check_label("lab", text, LAB_NAME_LIMIT)?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for MachineName {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        check_label("machine", text, MACHINE_NAME_LIMIT)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for MachineName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn check_label(what: &str, text: &str, limit: usize) -> Result<()> {
    ensure!(!text.is_empty(), "a {what} name cannot be empty");
    ensure!(
        text.len() <= limit,
        "{what} name {text:?} is longer than {limit} characters"
    );
    let good = text
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !good || text.starts_with('-') || text.ends_with('-') {
        bail!("{what} name {text:?}: use small letters, digits and inner hyphens only");
    }
    Ok(())
}

/// Makes a lab directory absolute and refuses what mount options could not carry.
pub(crate) fn check_directory(directory: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(directory)?;
    let text = absolute.to_string_lossy();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+@-".contains(&byte);
    if let Some(character) = text
        .chars()
        .find(|character| !u8::try_from(*character).is_ok_and(good))
    {
        bail!(
            "lab directory {text}: {character:?} cannot be part of an overlay mount; choose another with --dir"
        );
    }
    Ok(absolute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_host_name_labels() {
        for text in ["demo", "ha-bootstrap-42", "a", "1"] {
            assert!(text.parse::<LabName>().is_ok(), "{text}");
            assert!(text.parse::<MachineName>().is_ok(), "{text}");
        }
    }

    #[test]
    fn refuses_what_would_need_quoting() {
        for text in ["", "-a", "a-", "A", "a.b", "a/b", "a b", "a:b", "ä", "../x"] {
            assert!(text.parse::<LabName>().is_err(), "{text}");
            assert!(text.parse::<MachineName>().is_err(), "{text}");
        }
        assert!("x".repeat(33).parse::<LabName>().is_err());
        assert!("x".repeat(64).parse::<MachineName>().is_err());
    }

    #[test]
    fn refuses_directories_that_mount_options_cannot_carry() {
        assert!(check_directory(Path::new("/srv/a,b")).is_err());
        assert!(check_directory(Path::new("/srv/a:b")).is_err());
        let error = check_directory(Path::new("/srv/my labs"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "lab directory /srv/my labs: ' ' cannot be part of an overlay mount; choose another with --dir"
        );
        assert_eq!(
            check_directory(Path::new("/srv/./x")).unwrap(),
            Path::new("/srv/x")
        );
    }
}
