//! Approvals, as far as they are a matter of thinking: what standing decisions make of a request, what "always" means for
//! one, when it expires, and how it is called in one line. Keeping, asking and telling is the daemon's.

mod answer;
mod pattern;
mod rules;
mod shell;
mod standing;
mod title;

pub use answer::{BadAnswer, check_answer};
pub use pattern::{BadPattern, escape};
pub use rules::{Located, Request, Rules, Verdict};
pub use shell::{Line, parts};
pub use standing::{NoRule, always, check};
pub use title::title;

use std::path::{Component, Path, PathBuf};

/// What becomes of a request that nobody decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expiry {
    /// How long it may wait, in milliseconds; `None`: as long as the agent does.
    pub after_ms: Option<u64>,
}

impl Expiry {
    /// When a request of this moment expires: the earlier of the asker's own limit and the setting.
    #[must_use]
    pub fn of(self, asked_at_ms: u64, own_limit_ms: Option<u64>) -> Option<u64> {
        let by_setting = self.after_ms.map(|after| asked_at_ms.saturating_add(after));
        match (by_setting, own_limit_ms) {
            (Some(setting), Some(own)) => Some(setting.min(own)),
            (setting, own) => setting.or(own),
        }
    }
}

/// The absolute path without `.`, `..` and doubled separators, links as they are; a relative one is taken from `cwd`.
#[must_use]
pub fn absolute(cwd: &str, path: &str) -> String {
    let mut whole = PathBuf::from("/");
    for component in Path::new(cwd).join(path).components() {
        match component {
            Component::Normal(name) => whole.push(name),
            Component::ParentDir => {
                whole.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    whole.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_of_two_limits_counts_and_no_limit_is_none() {
        assert_eq!(Expiry { after_ms: None }.of(100, None), None);
        assert_eq!(Expiry { after_ms: Some(50) }.of(100, None), Some(150));
        assert_eq!(Expiry { after_ms: Some(50) }.of(100, Some(120)), Some(120));
        assert_eq!(Expiry { after_ms: Some(u64::MAX) }.of(100, None), Some(u64::MAX));
    }

    #[test]
    fn paths_are_absolute_and_lead_nowhere_back() {
        for (path, wanted) in [
            ("src/../src/./a.rs", "/w/src/a.rs"),
            ("../../../etc/passwd", "/etc/passwd"),
            ("/x//y/../z", "/x/z"),
            ("", "/w"),
        ] {
            assert_eq!(absolute("/w", path), wanted, "{path}");
        }
    }
}
