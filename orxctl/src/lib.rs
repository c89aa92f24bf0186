//! `orxctl`: everything a person does with orx, as a plain client of the daemon's socket.
//!
//! It keeps no state and decides nothing that the daemon can decide: it reads arguments, calls methods, and shows what
//! comes back. Text that came from agents is shown without its control sequences, except on an attached terminal.

pub mod arguments;
mod commands;
mod confinement;
mod context;
pub mod failure;
mod figures;
mod follow;
mod methods;
mod names;
mod output;
mod progress;
mod render;
mod table;
mod terminal;
mod text;
mod visible;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::output::Output;

/// How long work that nobody waits for any more may hold up the end of the program.
const SHUTDOWN: Duration = Duration::from_millis(200);

/// Runs `orxctl` with these arguments, the first being the program's name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to tell a caller who closed both outputs.
            let _ = error.print();
            return if error.use_stderr() { Status::Usage.into() } else { Status::Done.into() };
        }
    };
    let output = Output::of_process(arguments.global.json);
    match run(arguments, output) {
        Ok(status) => status.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.status.into()
        }
    }
}

fn run(arguments: Arguments, output: Output) -> Result<Status, Failure> {
    let context = Context::new(&arguments.global, output)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime could not be started: {error}")))?;
    let result = runtime.block_on(Box::pin(commands::run(arguments.command, &context)));
    runtime.shutdown_timeout(SHUTDOWN);
    result
}
