//! The daemon's settings of sandboxes and limits: `sandbox` and `caps` in `orchestratord.yaml`.

use std::path::PathBuf;

use orx_protocol::api::confinement::{LimitParams, Mechanism, Network, SandboxMode, bytes};
use serde::Deserialize;

/// `sandbox`, as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FileSandbox {
    mode: Option<SandboxMode>,
    commands: Option<SandboxMode>,
    network: Option<Network>,
    mechanism: Option<FileMechanism>,
    write: Vec<PathBuf>,
    hide: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FileMechanism {
    #[default]
    Auto,
    Landlock,
    Bubblewrap,
}

/// `caps`, as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FileCaps {
    memory: Option<String>,
    cpu_percent: Option<u32>,
    processes: Option<u32>,
}

/// What applies to sessions that wish nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinements {
    /// What happens to an engine whose sandbox cannot be had.
    pub mode: SandboxMode,
    /// The same for sessions of a plain command, which are the person's own programs.
    pub commands: SandboxMode,
    /// What is reached over the network.
    pub network: Network,
    /// The one mechanism that may be used; `None` takes the best.
    pub mechanism: Option<Mechanism>,
    /// Further paths that every session may write.
    pub write: Vec<PathBuf>,
    /// Further paths that no session may read.
    pub hide: Vec<PathBuf>,
    /// Limits of every session.
    pub caps: LimitParams,
}

impl Confinements {
    /// Checks what is written.
    ///
    /// # Errors
    /// The key, and what is wrong with its value.
    pub(crate) fn read(sandbox: FileSandbox, caps: &FileCaps) -> Result<Self, (&'static str, String)> {
        for (name, paths) in [("sandbox.write", &sandbox.write), ("sandbox.hide", &sandbox.hide)] {
            if let Some(path) = paths.iter().find(|path| path.is_relative()) {
                return Err((name, format!("`{}` is no absolute path", path.display())));
            }
        }
        let memory_bytes = caps.memory.as_deref().map(bytes).transpose().map_err(|why| ("caps.memory", why))?;
        let caps = LimitParams { memory_bytes, cpu_percent: caps.cpu_percent, processes: caps.processes };
        orx_sandbox::limits::check(&caps).map_err(|why| ("caps", why))?;
        Ok(Self {
            mode: sandbox.mode.unwrap_or_default(),
            commands: sandbox.commands.unwrap_or(SandboxMode::Off),
            network: sandbox.network.unwrap_or_default(),
            mechanism: match sandbox.mechanism.unwrap_or_default() {
                FileMechanism::Auto => None,
                FileMechanism::Landlock => Some(Mechanism::Landlock),
                FileMechanism::Bubblewrap => Some(Mechanism::Bubblewrap),
            },
            write: sandbox.write,
            hide: sandbox.hide,
            caps,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sandbox: &str, caps: &str) -> Result<Confinements, (&'static str, String)> {
        let caps = serde_saphyr::from_str(caps).unwrap();
        Confinements::read(serde_saphyr::from_str(sandbox).unwrap(), &caps)
    }

    #[test]
    fn engines_are_confined_and_commands_are_not_unless_told() {
        let plain = read("{}", "{}").unwrap();
        assert_eq!((plain.mode, plain.commands), (SandboxMode::Required, SandboxMode::Off));
        let told = read(
            "mode: off\ncommands: required\nnetwork: off\nmechanism: landlock\nwrite: [/srv]\n",
            "memory: 2G\ncpu_percent: 150\n",
        )
        .unwrap();
        assert_eq!((told.mode, told.commands), (SandboxMode::Off, SandboxMode::Required));
        assert_eq!((told.network, told.mechanism), (Network::Off, Some(Mechanism::Landlock)));
        assert_eq!((told.caps.memory_bytes, told.caps.cpu_percent), (Some(2 << 30), Some(150)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (sandbox, caps, key) in [
            ("write: [srv]", "{}", "sandbox.write"),
            ("hide: [x]", "{}", "sandbox.hide"),
            ("{}", "memory: lots", "caps.memory"),
            ("{}", "memory: 1M", "caps"),
            ("{}", "cpu_percent: 0", "caps"),
        ] {
            assert_eq!(read(sandbox, caps).unwrap_err().0, key);
        }
        assert!(serde_saphyr::from_str::<FileSandbox>("mode: sometimes").is_err());
    }
}
