//! One file a command: its arguments, and what it does with them.

pub(crate) mod adopt;
pub(crate) mod allow;
pub(crate) mod attach;
pub(crate) mod budget;
pub(crate) mod call;
pub(crate) mod cancel;
pub(crate) mod checkpoint;
pub(crate) mod clean;
pub(crate) mod completions;
pub(crate) mod cost;
pub(crate) mod deny;
pub(crate) mod detect;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod hook;
pub(crate) mod inbox;
pub(crate) mod init;
pub(crate) mod interrupt;
pub(crate) mod key;
pub(crate) mod keys;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod new;
pub(crate) mod notifications;
pub(crate) mod pause;
pub(crate) mod providers;
pub(crate) mod replay;
pub(crate) mod resume;
pub(crate) mod retry;
pub(crate) mod rule;
pub(crate) mod run;
pub(crate) mod screen;
pub(crate) mod scrollback;
pub(crate) mod send;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod token;
pub(crate) mod up;
pub(crate) mod upgrade;
pub(crate) mod wait;
pub(crate) mod workers;

use crate::arguments::Command;
use crate::context::Context;
use crate::failure::{Failure, Status};

/// Does what the command line says.
pub(crate) async fn run(command: Command, context: &Context) -> Result<Status, Failure> {
    match command {
        Command::Up(arguments) => up::run(context, &arguments).await,
        Command::Upgrade(arguments) => upgrade::run(context, &arguments).await,
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
        Command::Interrupt(arguments) => interrupt::run(context, &arguments).await,
        Command::Keys(arguments) => keys::run(context, arguments).await,
        Command::Screen(arguments) => screen::run(context, &arguments).await,
        Command::Scrollback(arguments) => scrollback::run(context, &arguments).await,
        Command::Replay(arguments) => replay::run(context, &arguments).await,
        Command::Logs(arguments) => logs::run(context, &arguments).await,
        Command::Wait(arguments) => wait::run(context, &arguments).await,
        Command::Explain(arguments) => explain::run(context, &arguments).await,
        Command::Detect(arguments) => detect::run(context, arguments).await,
        Command::Stop(arguments) => stop::run(context, &arguments).await,
        Command::Pause(arguments) => pause::pause(context, &arguments).await,
        Command::Continue(arguments) => pause::go_on(context, &arguments).await,
        Command::Retry(arguments) => retry::run(context, &arguments).await,
        Command::Checkpoint(arguments) => checkpoint::take(context, &arguments).await,
        Command::Restore(arguments) => checkpoint::restore(context, &arguments).await,
        Command::Inbox(arguments) => inbox::run(context, &arguments).await,
        Command::Allow(arguments) => allow::run(context, &arguments).await,
        Command::Deny(arguments) => deny::run(context, &arguments).await,
        Command::Rule(arguments) => rule::run(context, arguments).await,
        Command::Hook(arguments) => hook::run(context, &arguments).await,
        Command::Adopt(arguments) => adopt::run(context, &arguments).await,
        Command::Notifications(arguments) => notifications::run(context, &arguments).await,
        Command::Events(arguments) => events::run(context, arguments).await,
        Command::Workers(arguments) => workers::run(context, &arguments).await,
        Command::Cost(arguments) => cost::run(context, &arguments).await,
        Command::Budget(arguments) => budget::run(context, &arguments).await,
        Command::Key(arguments) => key::run(context, arguments).await,
        Command::Providers(arguments) => providers::run(context, &arguments).await,
        Command::Call(arguments) => call::run(context, &arguments).await,
        Command::Token(arguments) => token::run(context, &arguments),
        Command::Completions(arguments) => completions::run(context, &arguments),
    }
}
