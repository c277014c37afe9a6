//! Reading an Ansible inventory: by `ansible-inventory` where that is installed, else by our own reader, with the files of
//! `group_vars` and `host_vars` beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kubewright_core::shown::{count, sentence};
use kubewright_core::spec::{self, ClusterName, InventoryError, InventoryFiles, Starter, VariableFile};

use crate::failure::{ErrorId, Failure};
use crate::ui::Ui;

/// The most variable files that are read, and the most bytes of each.
const MOST_FILES: usize = 2000;
const LONGEST_FILE: u64 = 1024 * 1024;

/// Reads an inventory into the beginning of a cluster file.
pub(super) fn read(path: &Path, name: &ClusterName, ui: &Ui) -> Result<Starter, Failure> {
    let path = &file_of(path)?;
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let files = if text.trim_start().starts_with('{') {
        InventoryFiles {
            text,
            ..InventoryFiles::default()
        }
    } else if let Some(listed) = listed_by_ansible(path, ui) {
        InventoryFiles {
            text: listed,
            ..InventoryFiles::default()
        }
    } else {
        let directory = path.parent().unwrap_or(Path::new(""));
        InventoryFiles {
            text,
            group_variables: variable_files(&directory.join("group_vars"))?,
            host_variables: variable_files(&directory.join("host_vars"))?,
        }
    };
    spec::from_inventory(&files, name).map_err(|error| refused(path, &error))
}

/// Returns the inventory's file: kubespray keeps each inventory in a directory.
fn file_of(path: &Path) -> Result<PathBuf, Failure> {
    const NAMES: [&str; 5] = ["inventory.ini", "hosts.yaml", "hosts.yml", "hosts.ini", "hosts"];
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let mut found = NAMES
        .iter()
        .map(|name| path.join(name))
        .filter(|path| path.is_file());
    match (found.next(), found.next()) {
        (Some(file), None) => Ok(file),
        (first, _) => {
            let what = if first.is_some() {
                "several inventories are"
            } else {
                "no inventory is"
            };
            Err(Failure::named(
                ErrorId::FileUnreadable,
                format!("{what} in directory {}", path.display()),
            )
            .hint("name the inventory's file with --from-inventory"))
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::named(ErrorId::FileUnreadable, format!("read {}", path.display())).because(error.to_string())
}

/// Returns what `ansible-inventory --list` prints of the file; `None` where it is not installed, or cannot read it.
fn listed_by_ansible(path: &Path, ui: &Ui) -> Option<String> {
    let output = Command::new("ansible-inventory")
        .arg("--inventory")
        .arg(path)
        .arg("--list")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    if output.status.success()
        && let Ok(text) = String::from_utf8(output.stdout)
    {
        ui.say(&format!("{} was read by ansible-inventory", path.display()));
        return Some(text);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("nothing was said");
    ui.say(&format!(
        "ansible-inventory cannot read {}, so that it is read without: {}",
        path.display(),
        sentence(said)
    ));
    None
}

/// Returns the files of a directory such as `group_vars`, by what they are about. A group may have one file or a directory
/// of files; later ones win.
fn variable_files(directory: &Path) -> Result<Vec<VariableFile>, Failure> {
    let mut files = Vec::new();
    for (of, path) in entries(directory)? {
        if path.is_dir() {
            add_directory(&of, &path, &mut files)?;
        } else {
            add_file(&of, &path, &mut files)?;
        }
    }
    Ok(files)
}

fn add_directory(of: &str, directory: &Path, files: &mut Vec<VariableFile>) -> Result<(), Failure> {
    for (_, path) in entries(directory)? {
        if path.is_dir() {
            add_directory(of, &path, files)?;
        } else {
            add_file(of, &path, files)?;
        }
    }
    Ok(())
}

fn add_file(of: &str, path: &Path, files: &mut Vec<VariableFile>) -> Result<(), Failure> {
    let length = path.metadata().map_err(|error| unreadable(path, &error))?.len();
    if files.len() >= MOST_FILES || length > LONGEST_FILE {
        let why = if length > LONGEST_FILE {
            "it is larger than 1 MiB"
        } else {
            "there are too many variable files"
        };
        return Err(
            Failure::named(ErrorId::FileUnreadable, format!("read {}", path.display()))
                .because(why)
                .hint("give what `ansible-inventory --list` prints as --from-inventory FILE"),
        );
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    files.push(VariableFile {
        of: of.to_owned(),
        path: path.display().to_string(),
        text,
    });
    Ok(())
}

/// Returns what is in a directory, in the order of names, each with its name without the ending of a variable file. There
/// is nothing where there is no directory.
fn entries(directory: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let Ok(listed) = std::fs::read_dir(directory) else {
        return Ok(Vec::new());
    };
    let mut entries = Vec::new();
    for entry in listed {
        let entry = entry.map_err(|error| unreadable(directory, &error))?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let of = [".yml", ".yaml", ".json"]
            .iter()
            .find_map(|ending| name.strip_suffix(ending));
        if !name.starts_with('.') && !name.ends_with('~') {
            entries.push((of.unwrap_or(&name).to_owned(), entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

/// Every reason against an inventory, in the form of the mistakes of a cluster file.
fn refused(path: &Path, error: &InventoryError) -> Failure {
    let name = path.display();
    let text = error.problems.iter().fold(String::new(), |mut text, problem| {
        let _ = writeln!(text, "error: {name}: {}\n  = {}", problem.problem, problem.hint);
        text
    });
    let count = count(error.problems.len(), "error");
    Failure::named(ErrorId::InventoryInvalid, format!("{name} has {count}"))
        .findings(text, &error.problems)
        .hint(
            "correct what is shown above, or write addresses: kubewright init --control-plane ADDR,ADDR,ADDR --worker \
             ADDR,ADDR",
        )
}
