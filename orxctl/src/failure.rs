//! How a command ends: the exit codes of the contract, and errors that say what to do next.

use std::io;
use std::process::ExitCode;

use orx_client::ClientError;
use orx_protocol::error::{ErrorKind, RpcError};
use orx_protocol::limits::SOCKET_PATH;

use crate::{methods, text};

/// The exit codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Done,
    /// The work failed.
    Failed,
    /// The command line is wrong.
    Usage,
    /// The daemon is not reachable.
    NotReachable,
    /// The caller may not do this.
    NotAllowed,
    /// A settings file or variable is wrong.
    Configuration,
}

impl Status {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotReachable => 69,
            Self::NotAllowed => 77,
            Self::Configuration => 78,
        }
    }

    /// The status of work that succeeded or did not.
    #[must_use]
    pub const fn of_success(success: bool) -> Self {
        if success { Self::Done } else { Self::Failed }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status.code())
    }
}

/// Why a command ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub status: Status,
    /// What and where; empty when nothing is to be said.
    pub message: String,
    /// The next step; empty where there is none.
    pub hint: String,
    /// The error as the daemon gave it.
    pub rpc: Option<RpcError>,
}

impl Failure {
    fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), hint: String::new(), rpc: None }
    }

    /// The work failed.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Status::Failed, message)
    }

    /// The command line is wrong.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Status::Usage, message)
    }

    /// Something may not be done.
    #[must_use]
    pub fn not_allowed(message: impl Into<String>) -> Self {
        Self::new(Status::NotAllowed, message)
    }

    /// A settings file or variable is wrong.
    #[must_use]
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Status::Configuration, message)
    }

    /// Ends without a word: the reader of the output has left.
    #[must_use]
    pub fn quiet() -> Self {
        Self::new(Status::Done, "")
    }

    /// With a next step.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Standard output could not be written.
    #[must_use]
    pub fn of_output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::quiet(),
            _ => Self::failed(format!("standard output could not be written: {error}")),
        }
    }
}

/// The exit code for an error of the daemon.
const fn status_of(kind: ErrorKind) -> Status {
    match kind {
        ErrorKind::PermissionDenied | ErrorKind::Unauthenticated => Status::NotAllowed,
        ErrorKind::Configuration => Status::Configuration,
        ErrorKind::Parse
        | ErrorKind::InvalidRequest
        | ErrorKind::MethodNotFound
        | ErrorKind::InvalidParams
        | ErrorKind::Internal
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::FailedPrecondition
        | ErrorKind::Unavailable
        | ErrorKind::Overloaded
        | ErrorKind::DeadlineExceeded
        | ErrorKind::WorkerLost
        | ErrorKind::TooLarge
        | ErrorKind::Draining
        | ErrorKind::Storage
        | ErrorKind::UnsupportedVersion
        | ErrorKind::EngineMissing
        | ErrorKind::EngineLogin
        | ErrorKind::Upstream => Status::Failed,
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let hint = methods::as_commands(&text::clean_line(error.hint()));
        match error {
            ClientError::NotReachable { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                Self::not_allowed(format!("the socket {} may not be opened: {source}", path.display()))
                    .with_hint("the daemon serves the user that started it; see `orxctl doctor`")
            }
            ClientError::NotReachable { path, .. } if path.as_os_str().len() > SOCKET_PATH => {
                let (shown, length) = (path.display(), path.as_os_str().len());
                Self::configuration(format!("the socket's path {shown} has {length} bytes, {SOCKET_PATH} are possible"))
                    .with_hint("set ORX_SOCKET (or --socket) to a shorter path")
            }
            ClientError::NotReachable { path, source } => {
                Self::new(Status::NotReachable, format!("the daemon is not reachable at {}: {source}", path.display()))
                    .with_hint(hint)
            }
            ClientError::Closed => Self::new(Status::NotReachable, error.to_string()).with_hint(hint),
            ClientError::Rpc(error) => Self {
                status: status_of(error.kind()),
                message: methods::as_commands(&text::clean_line(&error.message)),
                hint,
                rpc: Some(error),
            },
            ClientError::Timeout { .. }
            | ClientError::TooLarge { .. }
            | ClientError::Lagged(_)
            | ClientError::Protocol(_) => Self::failed(text::clean_line(&error.to_string())).with_hint(hint),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_end_with_the_codes_of_the_contract() {
        let refused = |kind| Failure::from(ClientError::Rpc(RpcError::new(kind, "no"))).status.code();
        assert_eq!(refused(ErrorKind::PermissionDenied), 77);
        assert_eq!(refused(ErrorKind::Unauthenticated), 77);
        assert_eq!(refused(ErrorKind::Configuration), 78);
        assert_eq!(refused(ErrorKind::NotFound), 1);
        assert_eq!(refused(ErrorKind::InvalidParams), 1);
        let path = std::path::PathBuf::from("/s");
        let unreachable =
            |kind: io::ErrorKind| Failure::from(ClientError::NotReachable { path: path.clone(), source: kind.into() });
        assert_eq!(unreachable(io::ErrorKind::NotFound).status.code(), 69);
        assert_eq!(unreachable(io::ErrorKind::ConnectionRefused).status.code(), 69);
        assert_eq!(unreachable(io::ErrorKind::PermissionDenied).status.code(), 77);
        assert_eq!(Failure::from(ClientError::Closed).status.code(), 69);
        assert!(unreachable(io::ErrorKind::NotFound).hint.contains("orxctl up"));
    }

    #[test]
    fn a_closed_output_ends_quietly() {
        let failure = Failure::of_output(&io::ErrorKind::BrokenPipe.into());
        assert_eq!((failure.status.code(), failure.message.as_str()), (0, ""));
        assert_eq!(Failure::of_output(&io::ErrorKind::StorageFull.into()).status.code(), 1);
    }

    #[test]
    fn what_an_agent_put_into_an_error_is_shown_without_control_sequences() {
        let failure =
            Failure::from(ClientError::Rpc(RpcError::new(ErrorKind::Upstream, "\u{1b}[31mred\u{1b}]0;x\u{7}\nend")));
        assert_eq!(failure.message, "red end");
    }
}
