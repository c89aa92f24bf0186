//! What a recording shows, state by state: played by `pty-proxy`, the one program with a model of the screen, and held
//! against the same rules and the same fusion as a session that runs.

use orx_protocol::api::explain::{DetectParams, Detected, Detection};
use orx_protocol::hold::file;
use orx_protocol::process::{EndReason, Exit};
use orx_protocol::watch::Played;
use orx_protocol::{ErrorKind, RpcError, SessionId};
use orx_sandbox::environment::Environment;
use orx_session::activity::{Fusion, Observer};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::{Activities, engine};

/// Most states of one answer.
const STATES: usize = 5000;
/// How long a recording may take to be played.
const LIMIT: Duration = Duration::from_secs(120);
/// Most bytes of a complaint that are told.
const COMPLAINT: u64 = 4096;

impl Activities {
    /// Replays a recording and gives the states that would have been told.
    ///
    /// # Errors
    /// `InvalidParams` without an engine, for one that is not known, for a version or recording that cannot be read, with
    /// the line; `NotFound` for a session that is not there.
    pub async fn detect(&self, params: DetectParams) -> Result<Detection, RpcError> {
        let invalid = |why: String| RpcError::new(ErrorKind::InvalidParams, format!("`session.detect`: {why}"));
        let (path, own) = self.recording(&params.cast).await?;
        let name = params.engine.or(own).ok_or_else(|| {
            invalid("a recording does not tell whose it is; name the `engine`".to_owned())
                .with_hint("`orxctl detect replay <cast> --engine claude`")
        })?;
        let kind = engine(&name)?;
        let version = match &params.version {
            Some(text) => Some(text.parse().map_err(|error| invalid(format!("`version` is `{text}`: {error}")))?),
            None => None,
        };
        let observer = Observer::new(self.rules(kind.name()), version, Fusion::starting(0));
        let playing = self.play(&path, observer);
        let played = tokio::time::timeout(LIMIT, playing).await;
        let (states, length_ms, truncated) = played.map_err(|_| {
            RpcError::new(ErrorKind::DeadlineExceeded, format!("{} is too long to be replayed", path.display()))
        })??;
        Ok(Detection { engine: kind.name().to_owned(), states, length_ms, truncated })
    }

    /// Where a recording is, and whose it is where that is known.
    async fn recording(&self, cast: &str) -> Result<(PathBuf, Option<String>), RpcError> {
        if let Ok(session) = cast.parse::<SessionId>() {
            let row = self.0.sessions.row(session).await?;
            let path = self.0.sessions.directory(session).join(file::RECORDING);
            return Ok((path, Some(row.session.engine)));
        }
        let path = PathBuf::from(cast);
        if !path.is_absolute() {
            return Err(RpcError::new(
                ErrorKind::InvalidParams,
                format!("`session.detect`: `cast` is `{cast}`, it must be an absolute path or a session"),
            ));
        }
        Ok((path, None))
    }

    async fn play(&self, path: &Path, mut observer: Observer) -> Result<(Vec<Detected>, u64, bool), RpcError> {
        let failed = |why: String| RpcError::new(ErrorKind::Internal, format!("the replay failed: {why}"));
        let argv =
            [self.0.program.to_string_lossy().into_owned(), "replay".to_owned(), path.to_string_lossy().into_owned()];
        let streams = [Stdio::null(), Stdio::piped(), Stdio::piped()];
        let mut child = orx_sandbox::spawn::supervised(&argv, Path::new("/"), &Environment::new(), streams)
            .map_err(|error| failed(error.to_string()))?;
        let output = child.stdout.take().ok_or_else(|| failed("it has no output".to_owned()))?;
        let complaints = child.stderr.take().ok_or_else(|| failed("it has no error output".to_owned()))?;
        let mut lines = BufReader::new(output).lines();
        let mut told = Telling::default();
        told.tell(&mut observer, 0);
        while let Some(line) = lines.next_line().await.map_err(|error| failed(error.to_string()))? {
            match serde_json::from_str(&line).map_err(|error| failed(format!("it printed {line}: {error}")))? {
                Played::Changed(news) => {
                    let at_ms = news.at_ms;
                    told.wait(&mut observer, at_ms);
                    observer.changed(news);
                    told.tell(&mut observer, at_ms);
                }
                Played::Ended { length_ms, exit } => {
                    told.wait(&mut observer, length_ms);
                    if let Some(status) = exit {
                        observer.ended(EndReason::Exited, status.parse().ok().map(Exit::Code), length_ms);
                    }
                    told.tell(&mut observer, length_ms);
                    told.length_ms = Some(length_ms);
                }
            }
        }
        let mut complaint = String::new();
        // What cannot be read of a complaint is not needed.
        let _ = complaints.take(COMPLAINT).read_to_string(&mut complaint).await;
        let status = child.wait().await.map_err(|error| failed(error.to_string()))?;
        match told.length_ms {
            Some(length_ms) if status.success() => Ok((told.states, length_ms, told.truncated)),
            _ => Err(RpcError::new(ErrorKind::InvalidParams, format!("`session.detect`: {}", complaint.trim()))),
        }
    }
}

/// The states that were told.
#[derive(Default)]
struct Telling {
    states: Vec<Detected>,
    length_ms: Option<u64>,
    truncated: bool,
}

impl Telling {
    /// Lets time pass until `until`.
    fn wait(&mut self, observer: &mut Observer, until: u64) {
        while let Some(at) = observer.wakes_at().filter(|at| *at < until) {
            self.tell(observer, at);
        }
    }

    fn tell(&mut self, observer: &mut Observer, at_ms: u64) {
        observer.conclude(at_ms);
        let activity = observer.activity();
        let is_same =
            |last: &Detected| last.activity.state == activity.state && last.activity.reason == activity.reason;
        if self.states.last().is_some_and(is_same) {
            return;
        }
        if self.states.len() < STATES {
            self.states.push(Detected { at_ms, activity: activity.clone() });
        } else {
            self.truncated = true;
        }
    }
}
