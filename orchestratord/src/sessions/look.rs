//! Looking into what a session left behind it: lines that scrolled away, and the screens of its recording. A living holder is
//! asked; where there is none, and for recordings, the holder's program reads the session's directory.

use orx_protocol::api::session::{Recorded, ScrollbackPage};
use orx_protocol::hold::{ScrollbackParams, method};
use orx_protocol::{ErrorKind, RpcError, SessionId};
use orx_sandbox::capture::{self, Program};
use orx_sandbox::environment;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Sessions, holder};

/// How long reading may take: a long recording is played from its last picture on.
const LIMIT: Duration = Duration::from_secs(30);
/// Most bytes of an answer.
const ANSWER: usize = 8 * 1024 * 1024;

impl Sessions {
    /// A page of the lines that scrolled out of a session's screen; the last ones without `from`.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` for a session on pipes; `Storage` when they cannot be read.
    pub async fn scrollback(
        &self,
        session: SessionId,
        from: Option<u64>,
        limit: u32,
        styled: bool,
    ) -> Result<ScrollbackPage, RpcError> {
        let row = self.on_terminal(session).await?;
        if !row.session.state.is_final() {
            let params = ScrollbackParams { from, limit, styled };
            let page = holder::ask_now(Path::new(&row.socket), method::SCROLLBACK, &params).await;
            // It may have ended between the look and the question.
            if page.is_ok() || !self.row(session).await?.session.state.is_final() {
                return page;
            }
        }
        let mut arguments = vec!["--limit".to_owned(), limit.to_string()];
        arguments.extend(from.into_iter().flat_map(|from| ["--from".to_owned(), from.to_string()]));
        arguments.extend(styled.then(|| "--styled".to_owned()));
        self.look("scrollback", session, arguments).await
    }

    /// The screen of a session's recording at a moment, or at its end.
    ///
    /// # Errors
    /// As [`Self::scrollback`].
    pub async fn recorded(&self, session: SessionId, at_ms: Option<u64>) -> Result<Recorded, RpcError> {
        self.on_terminal(session).await?;
        let arguments = at_ms.into_iter().flat_map(|at| ["--at-ms".to_owned(), at.to_string()]).collect();
        self.look("recorded", session, arguments).await
    }

    async fn on_terminal(&self, session: SessionId) -> Result<orx_store::SessionRow, RpcError> {
        let row = self.row(session).await?;
        if row.session.cols == 0 {
            let message = format!("session {session} runs on pipes and has no screen");
            return Err(
                RpcError::new(ErrorKind::FailedPrecondition, message).with_hint("`session.log` reads what it writes")
            );
        }
        Ok(row)
    }

    /// Asks the holder's program what is in the session's directory.
    async fn look<T: DeserializeOwned>(
        &self,
        what: &str,
        session: SessionId,
        arguments: Vec<String>,
    ) -> Result<T, RpcError> {
        let failed = |why: String| {
            RpcError::new(ErrorKind::Storage, format!("the {what} of session {session} cannot be read: {why}"))
        };
        let directory: PathBuf = self.directory(session);
        let mut argv = vec![
            self.0.program.to_string_lossy().into_owned(),
            what.to_owned(),
            "--directory".to_owned(),
            directory.to_string_lossy().into_owned(),
        ];
        argv.extend(arguments);
        let program = Program {
            argv,
            cwd: PathBuf::from("/"),
            environment: environment::base(&environment::own()),
            input: None,
            deadline: LIMIT,
            output_limit: ANSWER,
        };
        let captured = capture::capture(program).await.map_err(|error| failed(error.to_string()))?;
        if captured.timed_out {
            return Err(failed(format!("it took longer than {} s", LIMIT.as_secs())));
        }
        if !captured.is_success() {
            return Err(failed(captured.stderr_text().trim().to_owned()));
        }
        serde_json::from_slice(&captured.stdout).map_err(|error| failed(error.to_string()))
    }
}
