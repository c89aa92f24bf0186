//! How a process ended, and which process is meant: a pid alone is reused by the kernel, a pid with its start time is not.

use serde::{Deserialize, Serialize};

/// A process, told from any later one that has the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process id.
    pub pid: i32,
    /// Start time in the kernel's own unit (Linux: clock ticks since boot, field 22 of `/proc/<pid>/stat`).
    pub start_time: u64,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// Whether the process reported success.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Why a held process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// It ended by itself.
    Exited,
    /// Somebody asked for its end.
    Stopped,
    /// Its deadline passed and the whole tree was ended.
    Deadline,
    /// It never started.
    SpawnFailed,
    /// The holder disappeared: how the process ended is not known.
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_written_as_the_contract_says() {
        assert_eq!(serde_json::to_string(&Exit::Code(3)).unwrap(), r#"{"code":3}"#);
        assert_eq!(serde_json::to_string(&Exit::Signal(9)).unwrap(), r#"{"signal":9}"#);
    }
}
