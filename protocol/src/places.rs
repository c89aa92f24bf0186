//! Where things are: the contract's variables and their defaults, resolved from a lookup so that it can be tested.
//!
//! Precedence is flag, then variable, then file, then default; a caller puts its flags before the lookup.

use std::path::PathBuf;

/// Names of the variables.
pub mod variable {
    /// State of the daemon.
    pub const HOME: &str = "ORX_HOME";
    /// The daemon's settings file.
    pub const CONFIG: &str = "ORX_CONFIG";
    /// The daemon's Unix socket.
    pub const SOCKET: &str = "ORX_SOCKET";
    /// The daemon's HTTP address, or `off`.
    pub const HTTP: &str = "ORX_HTTP";
    /// The token for HTTP and WebSocket.
    pub const TOKEN: &str = "ORX_TOKEN";
    /// The log filter.
    pub const LOG: &str = "ORX_LOG";
    /// Inside a session: its identifier.
    pub const SESSION: &str = "ORX_SESSION";
}

/// The HTTP address where none is set.
pub const DEFAULT_HTTP: &str = "127.0.0.1:8090";

/// The places of one daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// `ORX_HOME`.
    pub home: PathBuf,
    /// `ORX_CONFIG`.
    pub config: PathBuf,
    /// `ORX_SOCKET`.
    pub socket: PathBuf,
}

/// Neither the place's own variable nor `HOME` is set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("neither {variable} nor HOME is set, so there is no place for orx's files: set {variable} to a directory")]
pub struct NoPlace {
    /// The variable that would say it.
    pub variable: &'static str,
}

impl Places {
    /// Resolves the places from environment variables; an empty variable counts as not set.
    ///
    /// # Errors
    /// [`NoPlace`] when nothing says where the user's files are.
    pub fn resolve(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, NoPlace> {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let under_home =
            |own: &'static str, path: &str| get("HOME").map(|home| home.join(path)).ok_or(NoPlace { variable: own });
        let home = match (get(variable::HOME), get("XDG_STATE_HOME")) {
            (Some(home), _) => home,
            (None, Some(state)) => state.join("orx"),
            (None, None) => under_home(variable::HOME, ".local/state/orx")?,
        };
        let config = match (get(variable::CONFIG), get("XDG_CONFIG_HOME")) {
            (Some(config), _) => config,
            (None, Some(base)) => base.join("orx/orchestratord.yaml"),
            (None, None) => match under_home(variable::CONFIG, ".config/orx/orchestratord.yaml") {
                Ok(config) => config,
                Err(_) => home.join("orchestratord.yaml"),
            },
        };
        let socket = match (get(variable::SOCKET), get("XDG_RUNTIME_DIR")) {
            (Some(socket), _) => socket,
            (None, Some(runtime)) => runtime.join("orx/orchestratord.sock"),
            (None, None) => home.join("run/orchestratord.sock"),
        };
        Ok(Self { home, config, socket })
    }

    /// The local user's token.
    #[must_use]
    pub fn token(&self) -> PathBuf {
        self.home.join("token")
    }

    /// The daemon's database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.home.join("orx.db")
    }

    /// Directories of the sessions.
    #[must_use]
    pub fn sessions(&self) -> PathBuf {
        self.home.join("sessions")
    }

    /// Git directories of the runs, out of the agents' reach.
    #[must_use]
    pub fn repositories(&self) -> PathBuf {
        self.home.join("repositories")
    }

    /// Private homes of engines under a scripted or routed model.
    #[must_use]
    pub fn engines(&self) -> PathBuf {
        self.home.join("engines")
    }

    /// Logs of the processes that `orxctl up` put in the background.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.home.join("logs")
    }

    /// Directory of the holders' sockets, beside the daemon's own so that one length limit covers both.
    #[must_use]
    pub fn holder_sockets(&self) -> PathBuf {
        self.socket.parent().map_or_else(|| PathBuf::from("s"), |directory| directory.join("s"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(set: &[(&str, &str)]) -> Result<Places, NoPlace> {
        Places::resolve(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn defaults_follow_the_contract() {
        let places = resolve(&[("HOME", "/h")]).unwrap();
        assert_eq!(places.home, PathBuf::from("/h/.local/state/orx"));
        assert_eq!(places.config, PathBuf::from("/h/.config/orx/orchestratord.yaml"));
        assert_eq!(places.socket, PathBuf::from("/h/.local/state/orx/run/orchestratord.sock"));
        let places =
            resolve(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r"), ("XDG_STATE_HOME", "/s"), ("XDG_CONFIG_HOME", "/c")])
                .unwrap();
        assert_eq!(places.home, PathBuf::from("/s/orx"));
        assert_eq!(places.config, PathBuf::from("/c/orx/orchestratord.yaml"));
        assert_eq!(places.socket, PathBuf::from("/r/orx/orchestratord.sock"));
    }

    #[test]
    fn own_variables_win_and_empty_ones_do_not_count() {
        let places =
            resolve(&[("HOME", "/h"), ("ORX_HOME", "/o"), ("ORX_SOCKET", ""), ("XDG_RUNTIME_DIR", "/r")]).unwrap();
        assert_eq!(places.home, PathBuf::from("/o"));
        assert_eq!(places.socket, PathBuf::from("/r/orx/orchestratord.sock"));
    }

    #[test]
    fn no_home_at_all_is_an_error_that_names_the_variable() {
        assert_eq!(resolve(&[]), Err(NoPlace { variable: "ORX_HOME" }));
    }
}
