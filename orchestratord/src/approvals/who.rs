//! Who decides, as it is written down.

use crate::access::{Caller, Door};

/// Somebody who decides, as the journal names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decider(String);

impl Decider {
    /// A caller, by its door, process and user.
    #[must_use]
    pub fn caller(caller: &Caller) -> Self {
        let door = match caller.door {
            Door::Unix => "unix socket",
            Door::Http => "http",
            Door::WebSocket => "websocket",
        };
        let process = caller.pid.map_or_else(String::new, |pid| {
            let name = i32::try_from(pid).ok().and_then(orx_sandbox::descent::name);
            // A process chooses its own name, so it is shown as a name and nothing more.
            let name = name.map_or_else(String::new, |name| format!(" ({})", name.escape_debug()));
            format!(", process {pid}{name}")
        });
        Self(format!("{door}{process}, user {}", nix::unistd::geteuid()))
    }

    /// The words.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}
