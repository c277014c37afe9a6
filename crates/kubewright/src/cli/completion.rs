//! `kubewright completion SHELL`.

use clap_complete::Shell;

use crate::ui::Ui;

/// Arguments of `completion`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The shell to complete in
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(arguments: &Arguments, command: &mut clap::Command, ui: &Ui) {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, "kubewright", &mut script);
    ui.data(&String::from_utf8_lossy(&script));
}
