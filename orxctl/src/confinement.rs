//! Options that say what a session may touch and use.

use clap::Args;
use orx_protocol::api::confinement::{LimitParams, Network, SandboxMode, SandboxParams, bytes};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The options.
#[derive(Debug, Default, Args)]
pub struct Confinement {
    /// Refuse to start without a sandbox
    #[arg(long, conflicts_with = "no_sandbox")]
    pub sandbox: bool,
    /// Start without a sandbox: it can do all that you can
    #[arg(long)]
    pub no_sandbox: bool,
    /// What it reaches over the network: on, off, or gateway for the configured model endpoint alone
    #[arg(long, value_name = "on|off|gateway", value_parser = network, conflicts_with = "no_sandbox")]
    pub network: Option<Network>,
    /// A further path that it may write; may be repeated
    #[arg(long, value_name = "PATH", conflicts_with = "no_sandbox")]
    pub write: Vec<PathBuf>,
    /// Most memory of all its processes, such as 2G
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub memory: Option<u64>,
    /// Most processor time, in processors: 1.5 is one and a half
    #[arg(long, value_name = "PROCESSORS", value_parser = percent)]
    pub cpu: Option<u32>,
    /// Most processes and threads
    #[arg(long, value_name = "COUNT")]
    pub processes: Option<u32>,
}

fn network(text: &str) -> Result<Network, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|_| format!("`{text}` is none of on, off, gateway"))
}

/// Reads processors as hundredths of one.
fn percent(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{text}` is no number of processors such as 1, 0.5 or 1.5");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 2 || !part.chars().all(|digit| digit.is_ascii_digit()) {
        return Err(wrong());
    }
    let whole: u32 = whole.parse().map_err(|_| wrong())?;
    let part: u32 = format!("{part:0<2}").parse().map_err(|_| wrong())?;
    whole
        .checked_mul(100)
        .and_then(|percent| percent.checked_add(part))
        .filter(|percent| *percent > 0)
        .ok_or_else(wrong)
}

/// The path from the root, without links.
fn real(path: &Path) -> Result<String, Failure> {
    let real =
        std::fs::canonicalize(path).map_err(|error| Failure::usage(format!("--write {}: {error}", path.display())))?;
    real.into_os_string()
        .into_string()
        .map_err(|path| Failure::usage(format!("the path {} is not UTF-8", path.to_string_lossy())))
}

impl Confinement {
    /// The wishes of `session.create`.
    ///
    /// # Errors
    /// For a path that cannot be made absolute.
    pub(crate) fn params(self) -> Result<(SandboxParams, LimitParams), Failure> {
        let mode = match (self.sandbox, self.no_sandbox) {
            (true, _) => Some(SandboxMode::Required),
            (false, true) => Some(SandboxMode::Off),
            (false, false) => None,
        };
        let write = self.write.iter().map(|path| real(path)).collect::<Result<_, _>>()?;
        let limits = LimitParams { memory_bytes: self.memory, cpu_percent: self.cpu, processes: self.processes };
        Ok((SandboxParams { mode, network: self.network, write }, limits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_read_as_hundredths() {
        for (text, count) in [("1", 100), ("1.5", 150), ("0.25", 25), ("16", 1600)] {
            assert_eq!(percent(text), Ok(count), "{text}");
        }
        for text in ["", "0", "-1", "1.555", "a", "1.x", "99999999999"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
