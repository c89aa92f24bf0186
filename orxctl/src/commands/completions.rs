//! `orxctl completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::failure::{Failure, Status};

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl completions bash > ~/.local/share/bash-completion/completions/orxctl
  orxctl completions zsh > ~/.zfunc/_orxctl
  orxctl completions fish > ~/.config/fish/completions/orxctl.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

pub(crate) fn run(context: &Context, arguments: &Completions) -> Result<Status, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "orxctl", &mut script);
    context.output.bytes(&script)?;
    Ok(Status::Done)
}
