//! `kubewright init`.
//!
//! What is written has been read back as `plan` would read it: a file with a mistake is never written.

mod inventory;
mod name;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use kubewright_core::shown::count;
use kubewright_core::spec::{self, Starter};

use crate::failure::{ErrorId, Failure};
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
    /// Addresses of the workers, separated by commas (an address in both lists is one node with both roles)
    #[arg(long, value_name = "ADDR,…", value_delimiter = ',')]
    worker: Vec<IpAddr>,
    /// The cluster's name (default: asked for in a terminal, else the name of the directory or inventory)
    #[arg(long)]
    name: Option<String>,
    /// Read the machines from an Ansible inventory: INI, YAML, or the JSON of `ansible-inventory --list`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["control_plane", "worker"])]
    from_inventory: Option<PathBuf>,
}

/// Writes the file, unless there is one.
pub(crate) fn run(arguments: &Arguments, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let starter = if let Some(path) = &arguments.from_inventory {
        let name = name::choose(arguments.name.as_deref(), name::of_inventory(path), ui)?;
        inventory::read(path, &name, ui)?
    } else {
        let name = name::choose(arguments.name.as_deref(), name::of_directory_of(&flags.file), ui)?;
        Starter::from_addresses(&arguments.control_plane, &arguments.worker, &name)
    };
    let text = starter.render();
    let warnings = read_back(&text, &flags.file.display().to_string())?;
    for note in &starter.notes {
        ui.say(&format!("note: {note}"));
    }
    for warning in warnings {
        ui.say(&format!("warning: {}: {}", warning.message, warning.hint));
    }
    write(&text, flags, ui)
}

/// Reads the text as every other command will; returns what they would warn of.
fn read_back(text: &str, name: &str) -> Result<Vec<spec::Finding>, Failure> {
    spec::parse(text, name)
        .map(|parsed| parsed.warnings)
        .map_err(|errors| {
            let shown = errors
                .findings
                .iter()
                .map(|finding| finding.render(name))
                .collect();
            let number = count(errors.error_count(), "error");
            Failure::named(
                ErrorId::FileInvalid,
                format!("{name} would have {number} and was not written"),
            )
            .findings(shown, &errors.findings)
            .hint("give addresses or an inventory without what is shown above")
        })
}

fn write(text: &str, flags: &GlobalFlags, ui: &Ui) -> Result<(), Failure> {
    let path = &flags.file;
    if path.as_os_str() == "-" {
        ui.data(text);
        return Ok(());
    }
    let doing = || format!("write {}", path.display());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| {
            let failure = Failure::named(ErrorId::LocalFailure, doing()).because(error.to_string());
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                failure
                    .id(ErrorId::FileExists)
                    .hint("it was not changed; move it away, or write another one with --file NAME")
            } else {
                failure.hint("choose another path with --file")
            }
        })?;
    file.write_all(text.as_bytes())
        .map_err(|error| Failure::named(ErrorId::LocalFailure, doing()).because(error.to_string()))?;
    ui.say(&format!(
        "wrote {}; read it, then run: kubewright check && kubewright apply",
        path.display()
    ));
    Ok(())
}
