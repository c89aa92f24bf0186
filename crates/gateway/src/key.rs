//! Keys of the gateway. A session's key says which session it is of and carries orx's seal on that, so that none is kept anywhere
//! and a daemon that began anew knows them all. Whether the session still runs is asked elsewhere.

use orx_protocol::SessionId;
use ring::hmac;
use subtle::ConstantTimeEq;

/// What every key of orx begins with.
const PREFIX: &str = "orx-";
/// What a key is sealed for: a seal for another purpose is none here.
const PURPOSE: &[u8] = b"orx gateway session key 1\0";
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
    /// The local user.
    User,
    /// It looks like a key of orx, and is none.
    Forged,
    /// It is no key of orx: a login of the caller's own, perhaps.
    Foreign,
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
        let seal = self.sealed(&session);
        let mut key = format!("{PREFIX}{session}-");
        for byte in seal {
            key.push_str(&format!("{byte:02x}"));
        }
        key.push_str(TAIL);
        key
    }

    fn sealed(&self, session: &str) -> [u8; SEAL] {
        let mut context = hmac::Context::with_key(&self.seal);
        context.update(PURPOSE);
        context.update(session.as_bytes());
        let tag = context.sign();
        let mut seal = [0; SEAL];
        seal.iter_mut().zip(tag.as_ref()).for_each(|(into, from)| *into = *from);
        seal
    }

    /// Who presents this.
    #[must_use]
    pub fn read(&self, presented: &str) -> Bearer {
        if bool::from(presented.as_bytes().ct_eq(self.user.as_bytes())) {
            return Bearer::User;
        }
        let Some(rest) = presented.strip_prefix(PREFIX) else { return Bearer::Foreign };
        let parts = rest.strip_suffix(TAIL).and_then(|rest| rest.rsplit_once('-'));
        let Some((name, seal)) = parts else { return Bearer::Forged };
        let Ok(session) = name.parse::<SessionId>() else { return Bearer::Forged };
        let expected: String = self.sealed(name).iter().map(|byte| format!("{byte:02x}")).collect();
        if bool::from(seal.as_bytes().ct_eq(expected.as_bytes())) { Bearer::Session(session) } else { Bearer::Forged }
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
    fn keys_of_all_sessions_end_alike() {
        let keys = Keys::new("token");
        let tail = |key: String| key.chars().rev().take(20).collect::<String>();
        assert_eq!(tail(keys.of_session(SessionId::generate())), tail(keys.of_session(SessionId::generate())));
        assert_eq!(tail(keys.of_session(SessionId::generate())), tail(PLACEHOLDER.to_owned()));
        assert_eq!(keys.read(PLACEHOLDER), Bearer::Forged);
    }
}
