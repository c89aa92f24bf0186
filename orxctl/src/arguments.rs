//! The command line: what every command takes, and the list of commands. Each command's own arguments are in its file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;

/// The daemon beneath a fleet of coding agents, from the command line.
///
/// Sessions that nothing kills by accident, a worktree for each task, pipelines with gates that tell the truth.
#[derive(Debug, Parser)]
#[command(
    name = "orxctl",
    version,
    arg_required_else_help = true,
    after_help = "Examples:
  orxctl up                              start the daemon
  orxctl new claude                      an agent on a terminal that outlives this one (Ctrl+B d leaves it)
  orxctl ls                              what runs
  orxctl run \"add a --version flag\"      a task through plan, implementation, gates and review
  orxctl status 5FAV --follow            what a run does, by the end of its identifier

Exit codes: 0 done, 1 the work failed, 2 usage, 69 daemon not reachable, 77 not allowed, 78 configuration.
Variables: ORX_HOME, ORX_CONFIG, ORX_SOCKET (a flag wins over its variable), NO_COLOR."
)]
pub struct Arguments {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The daemon's socket [variable: ORX_SOCKET]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Everywhere")]
    pub socket: Option<PathBuf>,
    /// The daemon's state [variable: ORX_HOME]
    #[arg(long, global = true, value_name = "DIRECTORY", help_heading = "Everywhere")]
    pub home: Option<PathBuf>,
    /// The daemon's settings file [variable: ORX_CONFIG]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub config: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the daemon in the background and wait until it is healthy
    Up(commands::up::Up),
    /// End the daemon; sessions live on
    Down(commands::down::Down),
    /// Let sessions go on in the version that is installed
    Upgrade(commands::upgrade::Upgrade),
    /// Show the daemon, or a run
    Status(commands::status::Status),
    /// Check everything that orx needs, and say what to do
    Doctor(commands::doctor::Doctor),
    /// Write a commented orx.yaml at the repository's root
    Init(commands::init::Init),
    /// Put a task through a pipeline
    Run(commands::run::Run),
    /// Take up a run that stopped, or the conversation of a session that ended
    Resume(commands::resume::Resume),
    /// End a run that is under way, or give a session up
    Cancel(commands::cancel::Cancel),
    /// Remove a run's worktree and files
    Clean(commands::clean::Clean),
    /// Start a session and attach to it
    New(commands::new::New),
    /// List sessions
    Ls(commands::ls::Ls),
    /// Show a session on this terminal and type into it
    Attach(commands::attach::Attach),
    /// Send a text to a session
    Send(commands::send::Send),
    /// Press keys in a session
    Keys(commands::keys::Keys),
    /// Stop what a session's agent works on
    Interrupt(commands::interrupt::Interrupt),
    /// Print what a session's screen shows
    Screen(commands::screen::Screen),
    /// Print what scrolled out of a session's screen
    Scrollback(commands::scrollback::Scrollback),
    /// Play a session's recording, or show its screen at a moment
    Replay(commands::replay::Replay),
    /// Print what a session has written
    Logs(commands::logs::Logs),
    /// Wait until a session runs, has ended, or its agent does something
    Wait(commands::wait::Wait),
    /// Say why a session is believed to do what it does
    Explain(commands::explain::Explain),
    /// Replay recordings, and list the rules over screens
    Detect(commands::detect::Detect),
    /// End a session with everything it started
    Stop(commands::stop::Stop),
    /// Hold a session's processes still
    Pause(commands::pause::Pause),
    /// Let a session that is held still go on
    Continue(commands::pause::Continue),
    /// Try a session again that ended badly
    Retry(commands::retry::Retry),
    /// Keep a session's files and conversation of this moment
    Checkpoint(commands::checkpoint::Checkpoint),
    /// Set a session back to a checkpoint
    Restore(commands::checkpoint::Restore),
    /// Show what agents ask permission for
    Inbox(commands::inbox::Inbox),
    /// Allow what agents ask, or answer a question
    Allow(commands::allow::Allow),
    /// Deny what agents ask
    Deny(commands::deny::Deny),
    /// Standing decisions about what agents ask
    Rule(commands::rule::Rule),
    /// Carry an engine's hook to the daemon; engines call this
    Hook(commands::hook::Hook),
    /// Look after something that runs or was begun elsewhere
    Adopt(commands::adopt::Adopt),
    /// List what you were told, and whether it arrived
    Notifications(commands::notifications::Notifications),
    /// Print events of the journal
    Events(commands::events::Events),
    /// List workers
    Workers(commands::workers::Workers),
    /// Say what calls of models used and cost
    Cost(commands::cost::Cost),
    /// Show the caps on that, and what is left
    Budget(commands::budget::Budget),
    /// Keys with names, with which programs call models
    Key(commands::key::Key),
    /// List providers of models, and mark them down or up
    Providers(commands::providers::Providers),
    /// Call any method of the daemon
    Call(commands::call::Call),
    /// Say where the local user's token is
    Token(commands::token::Token),
    /// Print a completion script for a shell
    Completions(commands::completions::Completions),
}
