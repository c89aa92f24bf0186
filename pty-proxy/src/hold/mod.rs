//! Holding one session: from the description that the daemon left in the session's directory to the record of its end.

mod finish;
mod holder;
mod pipes;
mod requests;
mod settings;
mod signals;
mod terminal;
mod viewers;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::stat::{Mode, umask};
use orx_protocol::clock::now_ms;
use orx_protocol::hold::{Ended, Started, file};
use orx_protocol::process::EndReason;

use crate::journal;
use crate::process::detach::{Report, Side, detach};
use settings::{Settings, SettingsError};

/// Why a session was not started.
#[derive(Debug, thiserror::Error)]
enum StartFailure {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Detach(#[from] crate::process::detach::DetachError),
}

/// Holds the session of `directory`: detaches, starts the program, and says on standard output in one line of JSON how
/// that went ([`Started`]). The process that was started ends then; the holder lives on.
#[must_use]
pub fn hold(directory: &Path) -> ExitCode {
    match start(directory) {
        Ok(Some(started)) => say(&started),
        Ok(None) => ExitCode::SUCCESS,
        Err(failure) => say(&Started::Failed(failure.to_string())),
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

fn start(directory: &Path) -> Result<Option<Started>, StartFailure> {
    close_inherited();
    umask(Mode::from_bits_truncate(0o077));
    let settings = Settings::load(directory)?;
    match detach(&settings.directory)? {
        Side::Starter(started) => {
            // Dropped, the lock would be given up for the holder too, which shares it.
            std::mem::forget(settings.lock);
            Ok(Some(started))
        }
        Side::Holder(report) => {
            run(settings, report);
            Ok(None)
        }
    }
}

/// Starts the program and serves it to its end.
fn run(settings: Settings, report: Report) {
    // The holder stays in nobody's way: no directory is kept busy by it, and it leaves no core behind.
    let _ = std::env::set_current_dir("/");
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
    let directory = settings.directory.clone();
    match holder::Holder::start(settings) {
        Ok(holder) => {
            report.send(&Started::Running(holder.record()));
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
            report.send(&Started::Failed(sentence));
        }
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

/// Closes descriptors that came from the starter: a holder must not keep its sockets alive.
fn close_inherited() {
    #[cfg(target_os = "linux")]
    let listing = "/proc/self/fd";
    #[cfg(not(target_os = "linux"))]
    let listing = "/dev/fd";
    let Ok(entries) = std::fs::read_dir(listing) else { return };
    let descriptors: Vec<i32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for descriptor in descriptors.into_iter().filter(|descriptor| *descriptor > 2) {
        // One of them was the listing's own and is closed already; that is refused and does no harm.
        let _ = nix::unistd::close(descriptor);
    }
}
