//! What a lab writes down about itself: `lab.json` in its directory.
//!
//! It tells names, addresses and paths. Whether a machine lives is never read from here, only observed.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{LabName, MachineName, Subnet};

/// The version of the file's format.
const FORMAT: u32 = 1;

/// One lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Lab {
    format: u32,
    pub(crate) name: LabName,
    pub(crate) directory: PathBuf,
    pub(crate) subnet: Subnet,
    /// The Debian root all machines' overlays stand on.
    pub(crate) root_image: PathBuf,
    pub(crate) phase: Phase,
    pub(crate) machines: Vec<MachineRecord>,
}

/// How far `up` came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// `up` has begun and not ended; if the lab's lock is free, it crashed here.
    Creating,
    /// All machines answered once.
    Up,
}

/// One machine of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MachineRecord {
    pub(crate) name: MachineName,
    pub(crate) role: Role,
    pub(crate) address: Ipv4Addr,
    /// The position in the lab from one; it makes the machine's short name.
    pub(crate) number: usize,
}

/// What a machine is meant for; it changes nothing on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// To run the control plane.
    ControlPlane,
    /// To run workloads only.
    Worker,
}

impl Role {
    /// The word used in cluster.yaml and in inventories.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::Worker => "worker",
        }
    }
}

impl Lab {
    /// Describes a lab whose machines are yet to be made.
    pub(crate) fn new(
        name: LabName,
        directory: PathBuf,
        subnet: Subnet,
        root_image: PathBuf,
        machines: &[(MachineName, Role)],
    ) -> Result<Self> {
        let machines = machines
            .iter()
            .enumerate()
            .map(|(position, (name, role))| {
                let address = subnet
                    .machine(position)
                    .context("too many machines for one lab")?;
                Ok(MachineRecord {
                    name: name.clone(),
                    role: *role,
                    address,
                    number: position + 1,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            format: FORMAT,
            name,
            directory,
            subnet,
            root_image,
            phase: Phase::Creating,
            machines,
        })
    }

    /// Reads the description from a lab's directory; none is not an error.
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join("lab.json");
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text)
                .with_context(|| format!("read {}", path.display()))
                .map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_json::from_str(text)?;
        if version.format != FORMAT {
            bail!(
                "format {} is not the known {FORMAT}: take the lab down with the program that made it",
                version.format
            );
        }
        Ok(serde_json::from_str(text)?)
    }

    /// Writes the description into the lab's directory.
    pub(crate) fn write(&self) -> Result<()> {
        write_atomically(&self.directory.join("lab.json"), &to_json(self)?)
    }

    /// Where a machine's disk and console log are.
    pub(crate) fn directory_of(&self, machine: &MachineRecord) -> PathBuf {
        self.directory.join("machines").join(machine.name.as_str())
    }

    /// A machine's root file system as it is mounted on this computer.
    pub(crate) fn root_of(&self, machine: &MachineRecord) -> PathBuf {
        self.directory_of(machine).join("root")
    }

    /// The machine with this name.
    pub(crate) fn machine(&self, name: &MachineName) -> Result<&MachineRecord> {
        self.machines
            .iter()
            .find(|machine| machine.name == *name)
            .with_context(|| {
                let names: Vec<&str> = self
                    .machines
                    .iter()
                    .map(|machine| machine.name.as_str())
                    .collect();
                format!(
                    "lab {} has no machine {name}; it has {}",
                    self.name,
                    names.join(", ")
                )
            })
    }
}

/// Renders a value as indented JSON that ends with a line break.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Writes a file so that a reader sees either the old or the new content, also after a crash.
pub(crate) fn write_atomically(path: &Path, content: &str) -> Result<()> {
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&temporary)?;
        std::io::Write::write_all(&mut file, content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().with_context(|| format!("write {}", path.display()))
}

/// The temporary files that interrupted writes of a file left beside it.
pub(crate) fn temporary_files(path: &Path) -> Vec<PathBuf> {
    let (Some(directory), Some(stem)) = (path.parent(), path.file_stem()) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let is_temporary = |name: &str| {
        let rest = name.strip_prefix(&*stem.to_string_lossy());
        let pid = rest.and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".new"));
        pid.is_some_and(|pid| !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let temporary = entries
        .flatten()
        .filter(|entry| is_temporary(&entry.file_name().to_string_lossy()));
    temporary.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn lab(directory: &Path) -> Lab {
        let subnet = Subnet::allocate(&BTreeSet::new(), &[]).unwrap();
        let machines = [
            ("cp-1".parse().unwrap(), Role::ControlPlane),
            ("w-1".parse().unwrap(), Role::Worker),
        ];
        Lab::new(
            "demo".parse().unwrap(),
            directory.to_owned(),
            subnet,
            "/cache/root".into(),
            &machines,
        )
        .unwrap()
    }

    #[test]
    fn a_written_lab_reads_back_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let lab = lab(directory.path());
        lab.write().unwrap();
        assert_eq!(Lab::read(directory.path()).unwrap(), Some(lab));
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn what_an_interrupted_write_left_is_found_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            "lab.12.new",
            "lab.json",
            "lab.new",
            "lab.x.new",
            "laboratory.12.new",
        ] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let found = temporary_files(&directory.path().join("lab.json"));
        assert_eq!(found, [directory.path().join("lab.12.new")]);
    }

    #[test]
    fn an_empty_directory_holds_no_lab() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Lab::read(directory.path()).unwrap(), None);
    }

    #[test]
    fn refuses_another_format_and_damaged_files() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(
            directory.path().join("lab.json"),
            r#"{"format": 9, "future": true}"#,
        )
        .unwrap();
        let error = format!("{:#}", Lab::read(directory.path()).unwrap_err());
        assert!(error.contains("format 9 is not the known 1"), "{error}");
        fs::write(directory.path().join("lab.json"), "{").unwrap();
        assert!(Lab::read(directory.path()).is_err());
    }

    #[test]
    fn machines_get_addresses_and_numbers_in_order() {
        let lab = lab(Path::new("/x"));
        let addresses: Vec<String> = lab
            .machines
            .iter()
            .map(|m| format!("{} {}", m.number, m.address))
            .collect();
        assert_eq!(addresses, ["1 10.83.1.11", "2 10.83.1.12"]);
    }

    #[test]
    fn an_unknown_machine_is_answered_with_the_known_ones() {
        let error = lab(Path::new("/x"))
            .machine(&"cp-9".parse().unwrap())
            .unwrap_err()
            .to_string();
        assert_eq!(error, "lab demo has no machine cp-9; it has cp-1, w-1");
    }
}
