//! Holding one session: from the description that the daemon left in the session's directory to the record of its end.

mod ahead;
mod finish;
mod holder;
mod pipes;
mod requests;
mod settings;
mod signals;
mod state;
mod take_over;
mod terminal;
mod unsaved;
mod upgrade;
mod viewers;
mod watch;

use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::stat::{Mode, umask};
use orx_protocol::clock::now_ms;
use orx_protocol::hold::{Ended, Started, file};
use orx_protocol::process::EndReason;

use crate::journal;
use crate::process::detach::{Detached, Side, close_others, detach};
use holder::{HoldError, Holder};
use settings::{Settings, SettingsError};
use take_over::Given;
use upgrade::About;

/// Why a session was not started.
#[derive(Debug, thiserror::Error)]
enum StartFailure {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Detach(#[from] crate::process::detach::DetachError),
    #[error(transparent)]
    Hold(#[from] HoldError),
}

/// Holds the session of `directory`: detaches, starts the program, and says on standard output in one line of JSON how
/// that went ([`Started`]). The process that was started ends then; the holder lives on.
///
/// With `take_over`, the number of a descriptor, it goes on where another holder stopped, as the file behind that says.
#[must_use]
pub fn hold(directory: &Path, take_over: Option<i32>) -> ExitCode {
    let done = match take_over {
        None => {
            close_others(&[]);
            begin(directory)
        }
        Some(number) => go_on(directory, number),
    };
    match done {
        Ok(Done::Ended(code)) => code,
        Ok(Done::Started(started)) => say(&started),
        Err(failure) => {
            if take_over.is_some() {
                journal::note(&failure.to_string());
            }
            say(&Started::Failed(failure.to_string()))
        }
    }
}

/// What has become of this process.
enum Done {
    /// It started a holder, or could not.
    Started(Started),
    /// It was the holder or its keeper, and the session is over.
    Ended(ExitCode),
}

/// Prints what this program is.
#[must_use]
pub fn about() -> ExitCode {
    let line = serde_json::to_string(&About::own()).unwrap_or_default();
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints the line that the starter waits for.
fn say(started: &Started) -> ExitCode {
    let line = serde_json::to_string(started).unwrap_or_default();
    // A starter that does not listen loses only the line.
    let _ = writeln!(std::io::stdout(), "{line}");
    match started {
        Started::Running(_) => ExitCode::SUCCESS,
        Started::Failed(_) => ExitCode::FAILURE,
    }
}

/// Starts a session.
fn begin(directory: &Path) -> Result<Done, StartFailure> {
    umask(Mode::from_bits_truncate(0o077));
    let settings = Settings::load(directory, None)?;
    apart(settings, |settings, detached| {
        let directory = settings.directory.clone();
        match Holder::start(settings, detached.link, detached.keeper, detached.starter) {
            Ok(holder) => {
                detached.report.send(&Started::Running(holder.record()));
                holder.serve();
            }
            Err(error) => {
                let sentence = error.to_string();
                let ended = Ended {
                    exit: None,
                    reason: EndReason::SpawnFailed,
                    message: Some(sentence.clone()),
                    ended_at_ms: now_ms(),
                };
                record_end(&directory, &ended);
                detached.report.send(&Started::Failed(sentence));
            }
        }
    })
}

/// Goes on with a session.
fn go_on(directory: &Path, number: i32) -> Result<Done, StartFailure> {
    umask(Mode::from_bits_truncate(0o077));
    let mut given = Given::take(number)?;
    let settings = Settings::load(directory, given.lock.take())?;
    if given.is_in_place() {
        settle();
        Holder::take_over(settings, given, None)?.serve();
        return Ok(Done::Ended(ExitCode::SUCCESS));
    }
    apart(settings, |settings, detached| {
        given.set_keeper(detached.link, detached.keeper);
        match Holder::take_over(settings, given, detached.starter) {
            Ok(holder) => {
                detached.report.send(&Started::Running(holder.record()));
                holder.serve();
            }
            // The session itself is as it was: its terminal is kept by whoever handed it over.
            Err(error) => detached.report.send(&Started::Failed(error.to_string())),
        }
    })
}

/// Detaches, and lets the holder do its work there.
fn apart(settings: Settings, work: impl FnOnce(Settings, Detached)) -> Result<Done, StartFailure> {
    match detach(&settings.directory, settings.lock.as_fd())? {
        Side::Starter(started) => {
            // Dropped, the lock would be given up for the holder too, which shares it.
            std::mem::forget(settings.lock);
            Ok(Done::Started(started))
        }
        Side::Keeper(code) => {
            std::mem::forget(settings.lock);
            Ok(Done::Ended(code))
        }
        Side::Holder(detached) => {
            settle();
            work(settings, detached);
            Ok(Done::Ended(ExitCode::SUCCESS))
        }
    }
}

/// Stays in nobody's way: no directory is kept busy by a holder, it leaves no core behind, and no agent looks into it.
fn settle() {
    let _ = std::env::set_current_dir("/");
    if let Err(error) = orx_sandbox::hardening::close_to_others() {
        journal::note(&format!("other processes of this user can look into this one: {error}"));
    }
}

/// Writes the record of the end.
fn record_end(directory: &Path, ended: &Ended) -> bool {
    let path: PathBuf = directory.join(file::ENDED);
    let written = serde_json::to_vec(ended)
        .map_err(std::io::Error::other)
        .and_then(|text| orx_sandbox::file::replace(&path, &text));
    if let Err(error) = &written {
        journal::note(&format!("{} could not be written: {error}", path.display()));
    }
    written.is_ok()
}
