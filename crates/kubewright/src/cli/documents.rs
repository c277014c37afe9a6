//! The commands in the documents are commands of this program: each is parsed as if it had been typed.
//!
//! Looked at are the lines of ```` ```sh ```` blocks and every piece of code in a sentence that begins with `kubewright`.
//! Blocks of another kind (`text`) are examples of what no reader can type as it is.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use clap::error::ErrorKind;

use super::Cli;

#[test]
fn every_command_in_the_documents_can_be_typed() {
    let (mut found, mut wrong) = (0, Vec::new());
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for command in commands(&text) {
            found += 1;
            if let Some(problem) = problem(&command) {
                wrong.push(format!(
                    "{}: {}: {problem}",
                    document.display(),
                    command.join(" ")
                ));
            }
        }
    }
    assert!(found > 100, "only {found} commands were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_command_that_cannot_be_typed_is_noticed() {
    let text = "Run `kubewright mend` or `kubewright apply`.\n```sh\nx=1 # kubewright no\n./kubewright -f a.yaml plan --loud | less\n\
                sudo kubewright status && kubewright \\\n  frob > out\n```\n```text\nkubewright nonsense\n```\n";
    let said: Vec<String> = commands(text)
        .iter()
        .filter(|command| problem(command).is_some())
        .map(|command| command.join(" "))
        .collect();
    assert_eq!(
        said,
        [
            "kubewright -f a.yaml plan --loud",
            "kubewright frob",
            "kubewright mend"
        ]
    );
    assert_eq!(commands(text).len(), 5);
}

/// Why a command line is none of this program's.
fn problem(command: &[String]) -> Option<String> {
    let error = Cli::try_parse_from(command).err()?;
    match error.kind() {
        // `kubewright apply` in a sentence may leave out what the command needs; `help` is an error to the parser.
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::MissingRequiredArgument
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => None,
        _ => Some(error.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

/// Every Markdown file of the repository, but for what is built or hidden.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                if name != "target" && !name.to_string_lossy().starts_with('.') {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The command lines of a document that call kubewright, as words.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut block: Option<&str> = None;
    let mut continued = String::new();
    let mut prose = String::new();
    for line in text.lines() {
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            block = if block.is_some() { None } else { Some(kind.trim()) };
        } else if block == Some("sh") {
            match line.strip_suffix('\\') {
                Some(begun) => continued.push_str(begun),
                None => found.extend(typed(&(std::mem::take(&mut continued) + line))),
            }
        } else if block.is_none() {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    for code in prose.split('`').skip(1).step_by(2) {
        if code.starts_with("kubewright ") {
            found.extend(typed(code));
        }
    }
    found
}

/// The calls of kubewright in a shell's line, without what the shell does with them.
fn typed(line: &str) -> Vec<Vec<String>> {
    let line = line.split(" #").next().unwrap_or_default();
    let simple = line
        .split(['|', ';', '>', '<', '(', ')'])
        .flat_map(|part| part.split("&&"));
    simple
        .filter_map(|part| {
            let words: Vec<&str> = part.split_whitespace().collect();
            let begins = |word: &&str| *word == "kubewright" || word.ends_with("/kubewright");
            let is_called = |index: usize| {
                words[..index]
                    .iter()
                    .all(|word| *word == "sudo" || word.contains('='))
            };
            let at = words.iter().position(begins).filter(|index| is_called(*index))?;
            let mut command = vec!["kubewright".to_owned()];
            command.extend(words[at + 1..].iter().map(|word| (*word).to_owned()));
            Some(command)
        })
        .collect()
}
