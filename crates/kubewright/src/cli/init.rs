//! `kubewright init`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use kubewright_core::spec::{self, ClusterName, NodeName, ValueError};

use crate::failure::{ErrorId, Failure, Kind};
use crate::settings::GlobalFlags;
use crate::ui::Ui;

/// Arguments of `init`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Addresses of the control planes, separated by commas (an odd number)
    #[arg(
        long,
        value_name = "ADDR,…",
        value_delimiter = ',',
        required_unless_present = "from_inventory"
    )]
    control_plane: Vec<IpAddr>,
    /// Addresses of the workers, separated by commas
    #[arg(long, value_name = "ADDR,…", value_delimiter = ',')]
    worker: Vec<IpAddr>,
    /// The cluster's name
    #[arg(long, default_value = "cluster")]
    name: String,
    /// Read the machines from an Ansible inventory (groups of kubespray or dabealu/k8s-ansible, INI or YAML)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["control_plane", "worker"])]
    from_inventory: Option<PathBuf>,
}

/// Writes the file, unless there is one.
pub(crate) fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let text = match &arguments.from_inventory {
        Some(path) => from_inventory(path, &arguments.name, ui)?,
        None => starter(arguments)?,
    };
    let path = &flags.file;
    if path.as_os_str() == "-" {
        ui.data(&text);
        return Ok(());
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| {
            let failure = Failure::named(ErrorId::LocalFailure, format!("write {}", path.display()))
                .because(error.to_string());
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                failure
                    .id(ErrorId::FileExists)
                    .hint("it was not changed; move it away, or write another one with --file NAME")
            } else {
                failure.hint("choose another path with --file")
            }
        })?;
    file.write_all(text.as_bytes()).map_err(|error| {
        Failure::named(ErrorId::LocalFailure, format!("write {}", path.display())).because(error.to_string())
    })?;
    ui.say(&format!(
        "wrote {}; read it, then run: kubewright check && kubewright apply",
        path.display()
    ));
    Ok(())
}

fn starter(arguments: &Arguments) -> Result<String, Failure> {
    let named = |prefix: &str, addresses: &[IpAddr]| -> Result<Vec<(NodeName, IpAddr)>, Failure> {
        addresses
            .iter()
            .enumerate()
            .map(|(index, address)| Ok((value(&format!("{prefix}-{}", index + 1))?, *address)))
            .collect()
    };
    let control_planes = named("cp", &arguments.control_plane)?;
    let workers = named("w", &arguments.worker)?;
    Ok(spec::starter(
        &control_planes,
        &workers,
        &value::<ClusterName>(&arguments.name)?,
    ))
}

fn from_inventory(path: &PathBuf, name: &str, ui: &Ui) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::named(ErrorId::FileUnreadable, format!("read {}", path.display())).because(error.to_string())
    })?;
    let starter = spec::from_inventory(&text, &value::<ClusterName>(name)?)
        .map_err(|error| Failure::from_error(Kind::User, &error))?;
    for note in &starter.notes {
        ui.say(note);
    }
    Ok(starter.render())
}

/// Reads a name of the file's kind.
fn value<T: std::str::FromStr<Err = ValueError>>(text: &str) -> Result<T, Failure> {
    text.parse()
        .map_err(|error: ValueError| Failure::new(Kind::User, error.to_string()).hint(error.hint))
}
