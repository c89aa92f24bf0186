//! Keys of the gateway. A session's key says which session it is of and carries orx's seal on that, so that none is kept anywhere
//! and a daemon that began anew knows them all. Whether the session still runs is asked elsewhere.

use orx_protocol::{KeyId, SessionId};
use ring::hmac;
use subtle::ConstantTimeEq;

/// What every key of orx begins with.
const PREFIX: &str = "orx-";
/// What a key is sealed for: a seal for another purpose is none here.
const PURPOSE: &[u8] = b"orx gateway session key 1\0";
/// The same of keys with names.
const NAMED: &[u8] = b"orx gateway named key 1\0";
/// Bytes of a seal that are in a key.
const SEAL: usize = 16;
/// How each session's key ends. Claude Code remembers a key that was accepted by its last 20 characters, and sessions of one
/// directory share that memory.
const TAIL: &str = "-the-key-of-a-session";
/// What stands in an engine's launch where its session's key is to be put.
pub const PLACEHOLDER: &str = "orx-of-the-session-that-this-will-be-the-key-of-a-session";

/// Who a key says that its bearer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// A session.
    Session(SessionId),
    /// Whoever has a key with a name.
    Named(KeyId),
    /// The local user.
    User,
    /// It looks like a key of orx, and is none.
    Forged,
    /// It is no key of orx: a login of the caller's own, perhaps.
    Foreign,
}

/// Bytes as digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes and reads keys.
#[derive(Clone)]
pub struct Keys {
    seal: hmac::Key,
    user: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys([redacted])")
    }
}

impl Keys {
    /// Keys under the local user's token: another token makes all of them void.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self { seal: hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes()), user: token.to_owned() }
    }

    /// A seal for another purpose, of this user's and void with the token too.
    #[must_use]
    pub fn seal_for(&self, purpose: &[u8]) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&self.seal, purpose).as_ref())
    }

    /// The key of a session.
    #[must_use]
    pub fn of_session(&self, session: SessionId) -> String {
        let session = session.to_string();
        format!("{PREFIX}{session}-{}{TAIL}", self.sealed(PURPOSE, &session))
    }

    /// A key with a name. Whether it is in force is asked elsewhere.
    #[must_use]
    pub fn named(&self, key: KeyId) -> String {
        let key = key.to_string();
        format!("{PREFIX}{key}-{}", self.sealed(NAMED, &key))
    }

    fn sealed(&self, purpose: &[u8], name: &str) -> String {
        let mut context = hmac::Context::with_key(&self.seal);
        context.update(purpose);
        context.update(name.as_bytes());
        hex(context.sign().as_ref().get(..SEAL).unwrap_or_default())
    }

    /// Who presents this.
    #[must_use]
    pub fn read(&self, presented: &str) -> Bearer {
        if bool::from(presented.as_bytes().ct_eq(self.user.as_bytes())) {
            return Bearer::User;
        }
        let Some(rest) = presented.strip_prefix(PREFIX) else { return Bearer::Foreign };
        let is_sealed = |purpose: &[u8], name: &str, seal: &str| {
            bool::from(seal.as_bytes().ct_eq(self.sealed(purpose, name).as_bytes()))
        };
        let of_session = rest.strip_suffix(TAIL).and_then(|rest| rest.rsplit_once('-'));
        let (purpose, (name, seal)) = match (of_session, rest.rsplit_once('-')) {
            (Some(parts), _) => (PURPOSE, parts),
            (None, Some(parts)) => (NAMED, parts),
            (None, None) => return Bearer::Forged,
        };
        if !is_sealed(purpose, name, seal) {
            return Bearer::Forged;
        }
        // What is sealed was a name when it was.
        match (purpose == PURPOSE, name.parse(), name.parse()) {
            (true, Ok(session), _) => Bearer::Session(session),
            (false, _, Ok(key)) => Bearer::Named(key),
            _ => Bearer::Forged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_by_whoever_has_the_token_alone() {
        let keys = Keys::new("a token of 32 characters or more.");
        let (one, other) = (SessionId::generate(), SessionId::generate());
        let key = keys.of_session(one);
        assert_eq!(keys.read(&key), Bearer::Session(one));
        assert_eq!(Keys::new("another token").read(&key), Bearer::Forged);
        assert_eq!(keys.read(&key.replace(&one.to_string(), &other.to_string())), Bearer::Forged);
        assert_eq!(keys.read(&key.replace(TAIL, "")), Bearer::Forged);
        assert_eq!(keys.read("a token of 32 characters or more."), Bearer::User);
        for foreign in ["", "sk-ant-oat01-abc", "AIza"] {
            assert_eq!(keys.read(foreign), Bearer::Foreign, "{foreign}");
        }
    }

    #[test]
    fn a_key_with_a_name_is_none_of_a_session_and_of_no_other_token() {
        let keys = Keys::new("a token of 32 characters or more.");
        let id = KeyId::generate();
        let key = keys.named(id);
        assert_eq!(keys.read(&key), Bearer::Named(id));
        assert_eq!(keys.read(&format!("{key}{TAIL}")), Bearer::Forged, "the seal is for one purpose alone");
        assert_eq!(keys.read(&keys.of_session(SessionId::generate()).replace(TAIL, "")), Bearer::Forged);
        assert_eq!(keys.read(&key.replace(&id.to_string(), &KeyId::generate().to_string())), Bearer::Forged);
        assert_eq!(Keys::new("another token").read(&key), Bearer::Forged);
        for forged in ["orx-", "orx-key_", "orx-key_01ARZ3NDEKTSV4RRFFQ69G5FAV-", "orx--"] {
            assert_eq!(keys.read(forged), Bearer::Forged, "{forged}");
        }
    }

    #[test]
    fn keys_of_all_sessions_end_alike() {
        let keys = Keys::new("token");
        let tail = |key: String| key.chars().rev().take(20).collect::<String>();
        assert_eq!(tail(keys.of_session(SessionId::generate())), tail(keys.of_session(SessionId::generate())));
        assert_eq!(tail(keys.of_session(SessionId::generate())), tail(PLACEHOLDER.to_owned()));
        assert_eq!(keys.read(PLACEHOLDER), Bearer::Forged);
    }
}
