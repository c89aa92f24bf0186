//! Signatures of reasoning, on their way through a caller of another dialect.
//!
//! A provider signs its reasoning and takes back only what it signed itself. A caller keeps a signature as an opaque text, so one
//! that is handed to a caller of another dialect carries the mark of its origin; when it comes back it goes to a provider of
//! that origin and to no other.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Dialect;

const MARK: &str = "orx.";

/// A signature (or encrypted reasoning) and the dialect of the provider that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature<'t> {
    /// Whose it is.
    pub origin: Dialect,
    /// The text that the provider gave; empty where a provider of that dialect gives none.
    pub value: Cow<'t, str>,
}

impl<'t> Signature<'t> {
    /// One that stands in a body of `dialect`: its own, unless it carries another's mark.
    #[must_use]
    pub fn read(dialect: Dialect, text: &'t str) -> Self {
        if let Some((origin, value)) = unmark(text) {
            return Self { origin, value: Cow::Borrowed(value) };
        }
        if dialect == Dialect::Gemini
            && let Ok(bytes) = STANDARD.decode(text)
            && let Ok(plain) = std::str::from_utf8(&bytes)
            && let Some((origin, value)) = unmark(plain)
        {
            return Self { origin, value: Cow::Owned(value.to_owned()) };
        }
        Self { origin: dialect, value: Cow::Borrowed(text) }
    }

    /// The text that stands for it in a body of `dialect`.
    #[must_use]
    pub fn written(&self, dialect: Dialect) -> Cow<'_, str> {
        if self.origin == dialect {
            return Cow::Borrowed(&self.value);
        }
        let marked = format!("{MARK}{}.{}", self.origin.name(), self.value);
        // Clients of Gemini decode this field as base64.
        if dialect == Dialect::Gemini { Cow::Owned(STANDARD.encode(marked)) } else { Cow::Owned(marked) }
    }
}

fn unmark(text: &str) -> Option<(Dialect, &str)> {
    let (name, value) = text.strip_prefix(MARK)?.split_once('.')?;
    Some((Dialect::from_name(name)?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_comes_back_as_it_went_through_every_caller() {
        for origin in Dialect::ALL {
            for caller in Dialect::ALL {
                let signature = Signature { origin, value: Cow::Borrowed("EqQBCgIYAh==.x") };
                let kept = signature.written(caller).into_owned();
                assert_eq!(Signature::read(caller, &kept), signature, "{origin} through {caller}");
            }
        }
    }

    #[test]
    fn a_callers_own_signature_is_its_dialects() {
        assert_eq!(Signature::read(Dialect::Anthropic, "EqQB").origin, Dialect::Anthropic);
        assert_eq!(Signature::read(Dialect::Gemini, "b3J4").origin, Dialect::Gemini);
    }
}
