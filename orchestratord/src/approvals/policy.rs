//! How approvals that nobody decides end, as `orchestratord.yaml` says it: `approvals: {expire_after: 8h, on_expiry: deny}`.

use orx_session::approval::Expiry;
use serde::Deserialize;

/// What the agent is told when nobody decided in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExpiry {
    /// No.
    #[default]
    Deny,
    /// Nothing: it goes on asking at its own terminal.
    Withdraw,
}

/// How approvals that nobody decides end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// When they expire.
    pub expiry: Expiry,
    /// What the agent is told then.
    pub on_expiry: OnExpiry,
}

/// The part of the settings file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileApprovals {
    expire_after: Option<String>,
    on_expiry: Option<OnExpiry>,
}

/// Longest time that may be set, in milliseconds: a year.
const LONGEST_MS: u64 = 365 * 24 * 3600 * 1000;

impl FileApprovals {
    /// Checks what the file says.
    ///
    /// # Errors
    /// The key, and what is wrong with it.
    pub fn read(self) -> Result<Policy, (&'static str, String)> {
        const KEY: &str = "approvals.expire_after";
        if self.on_expiry.is_some() && self.expire_after.is_none() {
            return Err(("approvals.on_expiry", format!("means nothing without `{KEY}`")));
        }
        let after_ms = match self.expire_after.as_deref() {
            None => None,
            Some(text) => Some(milliseconds(text).filter(|ms| (1000..=LONGEST_MS).contains(ms)).ok_or_else(|| {
                (KEY, format!("is `{text}`, it must be a time from 1s to 365d, such as 90s, 30m, 8h or 2d"))
            })?),
        };
        Ok(Policy { expiry: Expiry { after_ms }, on_expiry: self.on_expiry.unwrap_or_default() })
    }
}

/// A whole number with its unit.
fn milliseconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|character: char| !character.is_ascii_digit())?);
    let unit_ms = match unit {
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        "d" => 24 * 3600 * 1000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_limits() {
        let read = |after: Option<&str>, on: Option<OnExpiry>| {
            FileApprovals { expire_after: after.map(str::to_owned), on_expiry: on }.read()
        };
        assert_eq!(read(None, None), Ok(Policy::default()));
        for (text, ms) in [("90s", 90_000), ("30m", 1_800_000), ("8h", 28_800_000), ("2d", 172_800_000)] {
            assert_eq!(read(Some(text), None).map(|policy| policy.expiry.after_ms), Ok(Some(ms)), "{text}");
        }
        for text in ["", "90", "s", "0s", "1.5h", "-1s", "5w", "366d", "99999999999999999999d"] {
            assert_eq!(read(Some(text), None).map_err(|(key, _)| key), Err("approvals.expire_after"), "{text}");
        }
        assert_eq!(read(None, Some(OnExpiry::Deny)).map_err(|(key, _)| key), Err("approvals.on_expiry"));
        assert_eq!(read(Some("1h"), Some(OnExpiry::Withdraw)).map(|policy| policy.on_expiry), Ok(OnExpiry::Withdraw));
    }
}
