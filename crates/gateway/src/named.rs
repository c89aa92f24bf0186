//! Keys with names: which are in force, which are revoked, what each may spend. What a key looks like is in [`crate::key`]; what is
//! kept of it is the store's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use orx_protocol::KeyId;
use orx_protocol::api::key::{Key, KeyCap, Per};
use orx_router::MicroDollars;
use orx_router::budget::{AtLimit, Cap, Of, Period};

use crate::gateway::KeyError;
use crate::ledger::Ledger;

/// Longest name, in characters.
const NAME: usize = 64;
/// Names under which somebody else is counted.
const TAKEN: [&str; 2] = ["local", "anybody"];
/// People are told when so much of a key's cap is spent, per mille.
const ALERT: u16 = 800;
/// That a key was used is kept at most so often, in milliseconds.
const USED_MS: u64 = 60_000;

/// What is known of a key whose seal is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It may be used; its name.
    InForce(Arc<str>),
    /// It was revoked; its name.
    Revoked(Arc<str>),
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    is_revoked: bool,
    used_ms: AtomicU64,
    cap: Option<KeyCap>,
}

impl From<&Key> for Known {
    fn from(key: &Key) -> Self {
        Self {
            name: key.name.as_str().into(),
            is_revoked: key.revoked_ms.is_some(),
            used_ms: AtomicU64::new(key.last_used_ms.unwrap_or(0)),
            cap: key.cap.clone(),
        }
    }
}

/// All keys with names.
#[derive(Debug, Default)]
pub struct Named {
    known: RwLock<HashMap<KeyId, Known>>,
    ledger: Option<Ledger>,
}

impl Named {
    /// The keys that were kept; when they are used is noted in `ledger`.
    #[must_use]
    pub fn new(kept: Vec<Key>, ledger: Ledger) -> Self {
        let known = kept.iter().map(|key| (key.key, key.into())).collect();
        Self { known: RwLock::new(known), ledger: Some(ledger) }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<KeyId, Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<KeyId, Known>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a key; `None` when nothing is.
    #[must_use]
    pub fn standing(&self, key: KeyId) -> Option<Standing> {
        let known = self.read();
        let known = known.get(&key)?;
        let name = Arc::clone(&known.name);
        Some(if known.is_revoked { Standing::Revoked(name) } else { Standing::InForce(name) })
    }

    /// Notes that a key is used.
    pub fn used(&self, key: KeyId, now_ms: u64) {
        let known = self.read();
        let Some(known) = known.get(&key) else { return };
        let before = known.used_ms.load(Ordering::Relaxed);
        if now_ms.saturating_sub(before) >= USED_MS
            && known.used_ms.compare_exchange(before, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            && let Some(ledger) = &self.ledger
        {
            ledger.key_used(key, now_ms);
        }
    }

    pub(crate) fn add(&self, key: &Key) {
        self.write().insert(key.key, key.into());
    }

    pub(crate) fn revoke(&self, key: &Key) {
        if let Some(known) = self.write().get_mut(&key.key) {
            known.is_revoked = true;
        }
    }

    /// The caps of those that are in force, in the order of their names.
    pub(crate) fn caps(&self) -> Vec<Cap> {
        let known = self.read();
        let in_force = known.values().filter(|known| !known.is_revoked);
        let mut caps: Vec<Cap> = in_force.filter_map(|known| Some(cap(&known.name, known.cap.as_ref()?))).collect();
        caps.sort_by(|a, b| a.name.cmp(&b.name));
        caps
    }
}

/// The word `key` before a name would have it redacted in errors.
fn cap_name(name: &str) -> String {
    format!("own:{name}")
}

fn cap(name: &str, cap: &KeyCap) -> Cap {
    Cap {
        name: cap_name(name),
        of: Of::Key,
        only: Some(name.to_owned()),
        per: Some(match cap.per {
            Per::Day => Period::Day,
            Per::Month => Period::Month,
            Per::Ever => Period::Ever,
        }),
        micro_dollars: Some(MicroDollars(cap.micro_dollars)),
        tokens: None,
        alert_per_mille: ALERT,
        at_limit: AtLimit::Stop,
    }
}

/// Whether this can be the name of a key.
pub(crate) fn check(name: &str) -> Result<(), KeyError> {
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !is_word || !begins || name.len() > NAME {
        let shown: String = name.chars().take(NAME).collect();
        return Err(KeyError::Invalid(format!(
            "`{}` is no name of a key: it has 1 to {NAME} letters, digits, `.`, `_` and `-`, the first a letter or digit",
            shown.escape_debug()
        )));
    }
    // Callers are counted by the name of their session, key or user.
    if TAKEN.contains(&name) || name.starts_with("ses_") {
        return Err(KeyError::Invalid(format!(
            "a key cannot be named `{name}`: somebody else is counted by that name"
        )));
    }
    Ok(())
}

/// Whether a key can have this cap beside those of the settings.
pub(crate) fn check_cap(name: &str, cap: &KeyCap, others: &[Cap]) -> Result<(), KeyError> {
    if cap.micro_dollars == 0 {
        return Err(KeyError::Invalid("a cap of nothing lets no call through: leave the key out instead".to_owned()));
    }
    let cap = cap_name(name);
    if others.iter().any(|other| other.name == cap) {
        return Err(KeyError::Invalid(format!(
            "the settings have a cap `{cap}` already: the key cannot have one beside it"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, cap: Option<KeyCap>) -> Key {
        Key { key: KeyId::generate(), name: name.to_owned(), created_ms: 1, revoked_ms: None, last_used_ms: None, cap }
    }

    #[test]
    fn names_are_words_that_nobody_else_is_counted_by() {
        for name in ["ci", "CI.nightly_2", "a", "9-lives", &"x".repeat(64)] {
            check(name).unwrap();
        }
        for name in ["", "-x", ".x", "a b", "a/b", "ä", "a\n", "local", "anybody", "ses_1", &"x".repeat(65)] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_revoked_key_is_known_and_has_no_cap_any_more() {
        let named = Named::default();
        let (one, other) = (key("ci", Some(KeyCap { micro_dollars: 5, per: Per::Ever })), key("app", None));
        named.add(&one);
        named.add(&other);
        assert_eq!(named.standing(one.key), Some(Standing::InForce("ci".into())));
        let caps = named.caps();
        assert_eq!((caps.len(), caps[0].name.as_str(), caps[0].only.as_deref()), (1, "own:ci", Some("ci")));
        named.revoke(&one);
        assert_eq!(named.standing(one.key), Some(Standing::Revoked("ci".into())));
        assert_eq!((named.caps(), named.standing(KeyId::generate())), (Vec::new(), None));
        let cap = KeyCap { micro_dollars: 5, per: Per::Day };
        assert!(check_cap("ci", &cap, &caps).is_err() && check_cap("app", &cap, &caps).is_ok());
        assert!(check_cap("app", &KeyCap { micro_dollars: 0, ..cap }, &[]).is_err());
    }
}
