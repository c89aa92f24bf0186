//! What can go wrong before an engine runs. What goes wrong while it runs is in [`crate::EngineFailure`].

use std::path::PathBuf;

use crate::EngineKind;

/// Why an engine cannot be launched.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No engine has that name.
    #[error("there is no engine `{name}`; there are {}", EngineKind::names())]
    UnknownEngine {
        /// The name.
        name: String,
    },
    /// Its program was not found.
    #[error("{engine} is not installed: no program `{program}` {searched}; install it with `{install}`")]
    NotInstalled {
        /// The engine.
        engine: EngineKind,
        /// The program that was looked for.
        program: String,
        /// Where it was looked for, as the end of a sentence.
        searched: String,
        /// What installs it.
        install: &'static str,
    },
    /// Its program says that nobody is logged in.
    #[error("nobody is logged in to {engine}")]
    NotLoggedIn {
        /// The engine.
        engine: EngineKind,
    },
    /// The engine `command` was asked for, and no arguments say which.
    #[error("the engine `command` needs the program and its arguments: {missing}")]
    NoCommand {
        /// Where they are to be given.
        missing: &'static str,
    },
    /// A prompt that is handed over as an argument, and arguments have a limit.
    #[error(
        "the prompt has {size} bytes, and {limit} at most can be handed over at the start; a session can be started without one and be sent the text"
    )]
    PromptTooLong {
        /// Bytes of the prompt.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// An argument of the settings that would undo one of orx's own.
    #[error("the extra argument `{argument}` of {engine} is refused: {why}")]
    ExtraArgument {
        /// The engine.
        engine: EngineKind,
        /// The argument.
        argument: String,
        /// Why.
        why: &'static str,
    },
    /// Text that no operating system takes as an argument or variable.
    #[error("{what} holds a NUL byte")]
    Nul {
        /// What holds it.
        what: &'static str,
    },
    /// A path must not depend on the daemon's own directory.
    #[error("{what} `{path}` is not an absolute path")]
    RelativePath {
        /// What the path is.
        what: &'static str,
        /// The path.
        path: String,
    },
    /// The private home could not be written.
    #[error("cannot prepare the private home of {engine}: {path}: {source}")]
    Prepare {
        /// The engine.
        engine: EngineKind,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file in the private home is not what orx or the engine writes there.
    #[error("cannot prepare the private home of {engine}: {path} holds no JSON object; remove it")]
    PrivateFile {
        /// The engine.
        engine: EngineKind,
        /// The file.
        path: PathBuf,
    },
    /// The engine cannot be launched with that conversation.
    #[error("{engine} cannot take the conversation `{}`: {why}", conversation.escape_debug())]
    Conversation {
        /// The engine.
        engine: EngineKind,
        /// Its name.
        conversation: String,
        /// Why.
        why: &'static str,
    },
    /// The engine has no such launch.
    #[error("{engine} {why}")]
    Unsuited {
        /// The engine.
        engine: EngineKind,
        /// What it cannot, as the end of a sentence.
        why: String,
    },
    /// The files in which the engine keeps its conversations cannot be looked at.
    #[error("cannot look for conversations of {engine}: {path}: {source}")]
    Transcripts {
        /// The engine.
        engine: EngineKind,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The engine's data file, which is part of the program, cannot be read.
    #[error("data/{engine}.yaml: {reason}")]
    Data {
        /// The engine.
        engine: EngineKind,
        /// What is wrong with it.
        reason: String,
    },
    /// The program was found and did not say its version.
    #[error("cannot tell the version of {engine} ({program}): {reason}")]
    Probe {
        /// The engine.
        engine: EngineKind,
        /// The program.
        program: PathBuf,
        /// What happened.
        reason: String,
    },
}

impl From<EngineError> for orx_protocol::RpcError {
    fn from(error: EngineError) -> Self {
        use orx_protocol::ErrorKind;
        let (kind, hint) = match &error {
            EngineError::NotInstalled { install, .. } => {
                (ErrorKind::EngineMissing, format!("install it with `{install}`"))
            }
            EngineError::NotLoggedIn { engine } => (ErrorKind::EngineLogin, engine.login().to_owned()),
            EngineError::UnknownEngine { .. }
            | EngineError::NoCommand { .. }
            | EngineError::PromptTooLong { .. }
            | EngineError::Nul { .. }
            | EngineError::ExtraArgument { .. }
            | EngineError::Conversation { .. }
            | EngineError::Unsuited { .. }
            | EngineError::RelativePath { .. } => (ErrorKind::InvalidParams, String::new()),
            EngineError::Prepare { .. } | EngineError::PrivateFile { .. } | EngineError::Transcripts { .. } => {
                (ErrorKind::Storage, String::new())
            }
            EngineError::Data { .. } => (ErrorKind::Internal, String::new()),
            EngineError::Probe { .. } => {
                (ErrorKind::Upstream, "run the program by hand to see what it says".to_owned())
            }
        };
        Self::new(kind, error.to_string()).with_hint(hint)
    }
}
