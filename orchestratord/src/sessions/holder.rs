//! Starting a holder and talking to it.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use orx_client::{Client, ClientError};
use orx_protocol::hold::{Ended, HoldSpec, Holder, Started, Status, file, method};
use orx_protocol::{ErrorKind, RpcError};
use orx_sandbox::environment::Environment;
use orx_sandbox::identity;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};

/// How long a holder may take to report that its process runs: a loaded machine starts slowly.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a holder may take to answer what needs no waiting.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How often the end of a holder that does not answer is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long a holder may be at its start without its starter.
const STARTING_LIMIT: Duration = Duration::from_secs(10);
/// How often a holder is looked for that is just being started.
const LOOK_SOON: Duration = Duration::from_millis(20);
/// How long a holder may take to leave after the end of what it held: longer than its farewell.
const LEAVING_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait of one `hold.wait`; it is asked again after that.
const WAIT_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Starts a holder for `spec` and waits until its process runs.
///
/// # Errors
/// A sentence that says why nothing runs.
pub async fn start(
    program: &Path,
    directory: &Path,
    spec: &HoldSpec,
    input: Option<&str>,
    environment: &Environment,
) -> Result<Holder, String> {
    let prepared = (|| {
        orx_sandbox::file::private_directory(directory)?;
        if let Some(input) = input {
            orx_sandbox::file::replace(&directory.join(file::INPUT), input.as_bytes())?;
        }
        let spec = serde_json::to_vec(spec).map_err(std::io::Error::other)?;
        orx_sandbox::file::replace(&directory.join(file::SPEC), &spec)
    })();
    prepared.map_err(|error| format!("the session's directory {} cannot be used: {error}", directory.display()))?;
    report(program, directory, &[], environment, &[]).await
}

/// Starts a holder of the session in `directory`, with further arguments and open files, and waits for its report.
///
/// # Errors
/// A sentence that says why nothing is held.
pub(super) async fn report(
    program: &Path,
    directory: &Path,
    further: &[&str],
    environment: &Environment,
    passed: &[BorrowedFd<'_>],
) -> Result<Holder, String> {
    let mut argv = vec![
        program.to_string_lossy().into_owned(),
        "hold".to_owned(),
        "--directory".to_owned(),
        directory.to_string_lossy().into_owned(),
    ];
    argv.extend(further.iter().map(|argument| (*argument).to_owned()));
    let streams = [Stdio::null(), Stdio::piped(), Stdio::inherit()];
    let before = read_holder(directory);
    let mut child = orx_sandbox::spawn::supervised_with(&argv, Path::new("/"), environment, streams, passed)
        .map_err(|error| error.to_string())?;
    let output = child.stdout.take().ok_or("the holder has no output to read from")?;
    let mut line = String::new();
    let reading = async {
        let read = BufReader::new(output).read_line(&mut line).await;
        // Its status says nothing that the line does not.
        let _ = child.wait().await;
        read
    };
    match tokio::time::timeout(START_LIMIT, reading).await {
        Err(_) => return Err(format!("the holder did not report within {} s", START_LIMIT.as_secs())),
        Ok(Err(error)) => return Err(format!("the holder's report could not be read: {error}")),
        Ok(Ok(_)) => {}
    }
    match serde_json::from_str(&line) {
        Ok(Started::Running(holder)) => Ok(holder),
        // It may have come up all the same, when one of those was killed that were to say so.
        Ok(Started::Failed(why)) => came_up_unsaid(directory, before.as_ref()).await.ok_or(why),
        Err(_) if line.is_empty() => came_up_unsaid(directory, before.as_ref())
            .await
            .ok_or_else(|| "the holder ended without a report; see holder.log in the session's directory".to_owned()),
        Err(error) => Err(format!("the holder's report is not understood: {error}")),
    }
}

/// Asks a holder.
///
/// # Errors
/// The holder's own error, or `Unavailable` when it cannot be reached.
pub async fn ask<P: Serialize + ?Sized, R: DeserializeOwned>(
    socket: &Path,
    method: &str,
    params: &P,
    limit: Duration,
) -> Result<R, RpcError> {
    let unreachable = |error: ClientError| match error {
        ClientError::Rpc(error) => error,
        other => RpcError::new(ErrorKind::Unavailable, format!("the session's holder does not answer: {other}"))
            .with_hint("`session.get` shows whether the session still runs"),
    };
    let client = Client::connect(socket).await.map_err(unreachable)?;
    client.call_with_deadline(method, params, limit).await.map_err(unreachable)
}

/// As [`ask`], for what a holder answers at once.
///
/// # Errors
/// As [`ask`].
pub async fn ask_now<P: Serialize + ?Sized, R: DeserializeOwned>(
    socket: &Path,
    method: &str,
    params: &P,
) -> Result<R, RpcError> {
    ask(socket, method, params, ANSWER_LIMIT).await
}

/// Ends the process tree.
///
/// # Errors
/// As [`ask`].
pub async fn stop(socket: &Path, grace: Duration, limit: Duration) -> Result<Ended, RpcError> {
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    ask(socket, method::STOP, &orx_protocol::hold::StopParams { grace_ms }, limit).await
}

/// Waits for the outcome of a start that somebody else began: whoever starts or holds a session has its directory locked.
pub async fn until_started(directory: &Path) {
    let give_up = Instant::now() + STARTING_LIMIT;
    while Instant::now() < give_up
        && read_holder(directory).is_none()
        && read_ended(directory).is_none()
        && is_locked(directory)
    {
        tokio::time::sleep(LOOK_SOON).await;
    }
}

/// Waits until the holder of a session that has ended is gone too: it takes its leave of those who are connected to it, and
/// no other can hold the directory before.
pub async fn until_left(directory: &Path) {
    let give_up = Instant::now() + LEAVING_LIMIT;
    while Instant::now() < give_up && is_locked(directory) {
        tokio::time::sleep(LOOK_SOON).await;
    }
}

fn is_locked(directory: &Path) -> bool {
    let Ok(opened) = std::fs::File::open(directory) else { return false };
    matches!(Flock::lock(opened, FlockArg::LockSharedNonblock), Err((_, Errno::EWOULDBLOCK)))
}

/// The holder that came up although its starter was killed before it could say so.
async fn came_up_unsaid(directory: &Path, before: Option<&Holder>) -> Option<Holder> {
    until_started(directory).await;
    read_holder(directory).filter(|holder| Some(holder) != before && identity::is_alive(holder.holder))
}

/// What a wait for a session's end came to.
#[derive(Debug)]
pub enum Outcome {
    /// The process has ended.
    Ended(Ended),
    /// Another holder holds it now.
    Replaced(Holder),
    /// Neither its holder nor its keeper is there any more, and there is no record of an end.
    Gone(Holder),
}

/// Waits until a session's process has ended, through the holder and, where that is gone, through what it left; or until
/// another holder than `known` has it.
pub async fn until_ended(socket: &Path, directory: &Path, known: &Holder) -> Outcome {
    let boot = identity::boot();
    loop {
        // Asked first, since another holder answers a connection that this one has left waiting.
        let status: Result<Status, RpcError> = ask_now(socket, method::STATUS, &orx_protocol::api::Empty {}).await;
        if let Ok(status) = status
            && status.holder.holder != known.holder
        {
            return Outcome::Replaced(status.holder);
        }
        let waited: Result<Ended, RpcError> = ask(socket, method::WAIT, &orx_protocol::api::Empty {}, WAIT_LIMIT).await;
        if let Ok(ended) = waited {
            return Outcome::Ended(ended);
        }
        if let Some(ended) = read_ended(directory) {
            return Outcome::Ended(ended);
        }
        let present = read_holder(directory).unwrap_or_else(|| known.clone());
        let is_of_this_boot = present.is_of_boot(boot.as_deref());
        let is_alive = |process| is_of_this_boot && identity::is_alive(process);
        if is_alive(present.holder) {
            if present.holder != known.holder {
                return Outcome::Replaced(present);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        } else if present.keeper.is_some_and(is_alive) {
            // It starts another one.
            tokio::time::sleep(LOOK_SOON).await;
        } else {
            // A record may have been written between the looks: of the end, or of another holder.
            match (read_ended(directory), read_holder(directory)) {
                (Some(ended), _) => return Outcome::Ended(ended),
                (None, Some(other)) if other != present => {}
                (None, _) => return Outcome::Gone(present),
            }
        }
    }
}

/// The record of the end, if the holder wrote one.
#[must_use]
pub fn read_ended(directory: &Path) -> Option<Ended> {
    read(&directory.join(file::ENDED))
}

/// The record of the processes, if the holder wrote one.
#[must_use]
pub fn read_holder(directory: &Path) -> Option<Holder> {
    read(&directory.join(file::HOLDER))
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
