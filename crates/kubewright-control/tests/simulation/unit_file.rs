//! What the simulated init system understands of a unit's file: enough of systemd.service(5) for what kubewright writes.

/// When a unit counts as up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// The process says so.
    Notify,
    /// The process runs.
    Running,
    /// Its commands have run.
    Finished,
}

/// A command of a unit.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) may_fail: bool,
    pub(crate) words: Vec<String>,
}

/// A unit's file, read.
#[derive(Clone, Debug)]
pub(crate) struct UnitFile {
    pub(crate) readiness: Readiness,
    /// One of these must exist.
    pub(crate) asserts: Vec<String>,
    pub(crate) before: Vec<Command>,
    pub(crate) start: Vec<Command>,
    pub(crate) after_start: Vec<Command>,
    pub(crate) environment_file: Option<String>,
}

impl UnitFile {
    pub(crate) fn parse(text: &str) -> Self {
        let mut file = Self {
            readiness: Readiness::Running,
            asserts: Vec::new(),
            before: Vec::new(),
            start: Vec::new(),
            after_start: Vec::new(),
            environment_file: None,
        };
        let joined = text.replace("\\\n", " ");
        for (key, value) in joined.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "Type" => {
                    file.readiness = match value {
                        "notify" => Readiness::Notify,
                        "oneshot" => Readiness::Finished,
                        _ => Readiness::Running,
                    };
                }
                "AssertPathExists" => file.asserts.push(value.trim_start_matches('|').to_owned()),
                "EnvironmentFile" => {
                    file.environment_file = Some(value.trim_start_matches('-').to_owned());
                }
                "ExecStartPre" => file.before.push(command(value)),
                "ExecStart" => file.start.push(command(value)),
                "ExecStartPost" => file.after_start.push(command(value)),
                _ => {}
            }
        }
        file
    }

    /// The files on the process's command line, and its program.
    pub(crate) fn named_files(&self) -> Vec<String> {
        let words = self.start.iter().flat_map(|command| &command.words);
        words
            .map(|word| word.split_once('=').map_or(word.as_str(), |(_, value)| value))
            .filter(|word| word.starts_with('/'))
            .map(str::to_owned)
            .collect()
    }

    /// The value of an argument, as in `--name=VALUE`.
    pub(crate) fn argument(&self, name: &str) -> Option<&str> {
        let prefix = format!("--{name}=");
        let mut words = self.start.iter().flat_map(|command| &command.words);
        words.find_map(|word| word.strip_prefix(&prefix))
    }
}

fn command(text: &str) -> Command {
    let plain = text.trim_start_matches(['-', '+']);
    Command {
        may_fail: text[..text.len() - plain.len()].contains('-'),
        words: plain
            .split_whitespace()
            .map(|word| word.trim_matches('"').to_owned())
            .collect(),
    }
}
