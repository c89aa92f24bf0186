//! One file a command: its arguments, and what it does with them.

pub(crate) mod attach;
pub(crate) mod call;
pub(crate) mod cancel;
pub(crate) mod checkpoint;
pub(crate) mod clean;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod events;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod new;
pub(crate) mod pause;
pub(crate) mod resume;
pub(crate) mod retry;
pub(crate) mod run;
pub(crate) mod screen;
pub(crate) mod send;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod token;
pub(crate) mod up;
pub(crate) mod wait;
pub(crate) mod workers;

use crate::arguments::Command;
use crate::context::Context;
use crate::failure::{Failure, Status};

/// Does what the command line says.
pub(crate) async fn run(command: Command, context: &Context) -> Result<Status, Failure> {
    match command {
        Command::Up(arguments) => up::run(context, &arguments).await,
        Command::Down(arguments) => down::run(context, &arguments).await,
        Command::Status(arguments) => status::run(context, &arguments).await,
        Command::Doctor(arguments) => doctor::run(context, &arguments).await,
        Command::Init(arguments) => init::run(context, &arguments).await,
        Command::Run(arguments) => run::run(context, &arguments).await,
        Command::Resume(arguments) => resume::run(context, &arguments).await,
        Command::Cancel(arguments) => cancel::run(context, &arguments).await,
        Command::Clean(arguments) => clean::run(context, &arguments).await,
        Command::New(arguments) => new::run(context, arguments).await,
        Command::Ls(arguments) => ls::run(context, &arguments).await,
        Command::Attach(arguments) => attach::run(context, &arguments).await,
        Command::Send(arguments) => send::run(context, &arguments).await,
        Command::Keys(arguments) => keys::run(context, arguments).await,
        Command::Screen(arguments) => screen::run(context, &arguments).await,
        Command::Logs(arguments) => logs::run(context, &arguments).await,
        Command::Wait(arguments) => wait::run(context, &arguments).await,
        Command::Stop(arguments) => stop::run(context, &arguments).await,
        Command::Pause(arguments) => pause::pause(context, &arguments).await,
        Command::Continue(arguments) => pause::go_on(context, &arguments).await,
        Command::Retry(arguments) => retry::run(context, &arguments).await,
        Command::Checkpoint(arguments) => checkpoint::take(context, &arguments).await,
        Command::Restore(arguments) => checkpoint::restore(context, &arguments).await,
        Command::Events(arguments) => events::run(context, arguments).await,
        Command::Workers(arguments) => workers::run(context, &arguments).await,
        Command::Call(arguments) => call::run(context, &arguments).await,
        Command::Token(arguments) => token::run(context, &arguments),
        Command::Completions(arguments) => completions::run(context, &arguments),
    }
}
