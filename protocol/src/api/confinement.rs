//! What a session may touch and use: the wish of `session.create`, what was made of it, and the plan that the holder
//! carries out. What is enforced how belongs to `orx_sandbox::confine` and `orx_sandbox::limits`.

use serde::{Deserialize, Serialize};

/// What happens to a session whose sandbox cannot be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxMode {
    /// It is refused.
    #[default]
    Required,
    /// It runs without one, and that is said wherever it is shown.
    Preferred,
    /// It runs without one, as it was told to.
    Off,
}

/// What a session reaches over the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// All that the user reaches.
    #[default]
    On,
    /// Nothing.
    Off,
    /// The configured model endpoint on this machine alone.
    Gateway,
}

impl Network {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Gateway => "gateway",
        }
    }
}

/// By what a session is confined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// By nothing: it has its user's rights.
    #[default]
    None,
    /// By the kernel's Landlock alone.
    Landlock,
    /// By namespaces that bubblewrap makes, and Landlock's scopes where the kernel has them.
    Bubblewrap,
}

impl Mechanism {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Landlock => "landlock",
            Self::Bubblewrap => "bubblewrap",
        }
    }
}

/// A caller's wish for a sandbox; what is absent is as the daemon's settings say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxParams {
    /// What happens without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<SandboxMode>,
    /// What is reached over the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Further paths that may be written, absolute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
}

/// A caller's wish for limits of the whole process tree; what is absent is as the daemon's settings say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitParams {
    /// Most memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Most processor time, in hundredths of one processor: 150 is one and a half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u32>,
    /// Most processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
}

impl LimitParams {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The sandbox that a session has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// By what it is enforced.
    pub mechanism: Mechanism,
    /// What is reached over the network.
    pub network: Network,
    /// Paths that may be written.
    #[serde(default)]
    pub write: Vec<String>,
    /// What the mechanism cannot keep from the session, a sentence each; empty when nothing is known.
    #[serde(default)]
    pub not_enforced: Vec<String>,
    /// Why there is none, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// By what limits are enforced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcer {
    /// By nothing.
    #[default]
    None,
    /// By a control group: the whole tree together.
    Cgroup,
    /// By limits of each process by itself.
    Rlimit,
}

/// The limits that a session has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most memory, in bytes; `None` when it is not limited.
    pub memory_bytes: Option<u64>,
    /// Most processor time, in hundredths of one processor; `None` when it is not limited.
    pub cpu_percent: Option<u32>,
    /// Most processes and threads; `None` when they are not limited.
    pub processes: Option<u32>,
    /// By what that is enforced.
    pub enforced_by: Enforcer,
    /// What was wished and is not enforced, and why; `None` when all of it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How a holder confines its program: paths that exist, each with its links resolved. A deeper path goes before one
/// that contains it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// By what.
    pub mechanism: Mechanism,
    /// What is reached over the network.
    pub network: Network,
    /// The `bwrap` program; empty without it.
    #[serde(default)]
    pub bubblewrap: String,
    /// What may be written.
    pub write: Vec<String>,
    /// What may be read and not written although what contains it is hidden or may be written.
    pub read: Vec<String>,
    /// What may be neither read nor written.
    pub hidden: Vec<String>,
    /// The session's own directory for temporary files.
    pub temporary: String,
    /// The port on loopback that is reached when the network is [`Network::Gateway`].
    #[serde(default)]
    pub gateway_port: Option<u16>,
}

/// How a holder limits its program's tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    /// What was wished.
    pub wished: LimitParams,
    /// Control groups that the tree is put into, made by the daemon: absolute paths.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Most private memory of each process, in bytes, where no group limits it.
    #[serde(default)]
    pub data_bytes: Option<u64>,
    /// Niceness, where no group limits the processor time.
    #[serde(default)]
    pub niceness: Option<i32>,
}

/// Reads a number of bytes as a person writes it: `2G`, `512MiB`, `1073741824`. Units are powers of 1024.
///
/// # Errors
/// A sentence that says what would be right.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no number of bytes such as 2G, 512M or 1073741824");
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let places = u32::try_from(part.len()).map_err(|_| wrong())?;
    let scale = 10_u64.checked_pow(places).ok_or_else(wrong)?;
    let part: u64 = part.parse().map_err(|_| wrong())?;
    let unit = 1_u64 << shift;
    let fraction = u128::from(part) * u128::from(unit) / u128::from(scale);
    let fraction = u64::try_from(fraction).map_err(|_| wrong())?;
    whole.checked_mul(unit).and_then(|bytes| bytes.checked_add(fraction)).ok_or_else(wrong)
}

/// A number of bytes as a person reads it.
#[must_use]
pub fn shown_bytes(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| bytes >> shift > 0) {
        None => format!("{bytes} bytes"),
        Some((shift, unit)) => {
            let tenths = u128::from(bytes) * 10 / (1_u128 << shift);
            let (whole, tenth) = (tenths / 10, tenths % 10);
            if tenth == 0 { format!("{whole} {unit}") } else { format!("{whole}.{tenth} {unit}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown_as_people_write_them() {
        for (text, count) in [
            ("2G", 2 << 30),
            ("1.5 GiB", 3 << 29),
            ("512mb", 512 << 20),
            ("64k", 64 << 10),
            ("1073741824", 1 << 30),
            ("0.5M", 512 << 10),
        ] {
            assert_eq!(bytes(text), Ok(count), "{text}");
        }
        for text in ["", "G", "2X", "-1G", "1.2.3G", "99999999999T", "1.00000000000000000000001G"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!(shown_bytes(2 << 30), "2 GiB");
        assert_eq!(shown_bytes(3 << 29), "1.5 GiB");
        assert_eq!(shown_bytes(100), "100 bytes");
    }
}
