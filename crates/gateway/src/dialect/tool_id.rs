//! Identifiers of tool calls where a dialect has none, and a place in them for what a caller's dialect has no field for.
//!
//! Gemini signs its function calls and refuses a conversation in which a signature is missing; no other dialect has a field for it.
//! Every client sends back the identifier of a call, so the signature travels at its end.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const MARK: &str = "__sig__";

/// The identifier that a caller of another dialect sees. Letters, digits, `_` and `-` alone, which every dialect takes.
pub(crate) fn with_signature<'t>(id: &'t str, signature: Option<&str>) -> Cow<'t, str> {
    match signature {
        Some(signature) => Cow::Owned(format!("{id}{MARK}{}", URL_SAFE_NO_PAD.encode(signature))),
        None => Cow::Borrowed(id),
    }
}

/// The identifier without what travelled in it, and that.
pub(crate) fn split(id: &str) -> (&str, Option<String>) {
    let Some((plain, signature)) = id.split_once(MARK) else { return (id, None) };
    let decoded = URL_SAFE_NO_PAD.decode(signature).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded {
        Some(signature) => (plain, Some(signature)),
        None => (id, None),
    }
}

/// An identifier for the nth call of an answer whose provider gave none. `seed` is unique to the answer.
pub(crate) fn made(seed: &str, index: usize) -> String {
    let seed: String = seed.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    format!("call_{seed}_{index}")
}

/// Identifiers for calls and results of a conversation whose dialect has none: a result answers the oldest call of its tool that
/// has no result yet. The same conversation gets the same identifiers each time.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    open: Vec<(String, String)>,
    next: usize,
}

impl Matcher {
    /// The identifier of a call.
    pub(crate) fn call(&mut self, own: Option<&str>, name: &str) -> String {
        let id = own.map_or_else(|| format!("call_{}", self.next), str::to_owned);
        self.next += 1;
        self.open.push((name.to_owned(), id.clone()));
        id
    }

    /// The identifier of the call that a result answers; `None` where there is none.
    pub(crate) fn result(&mut self, own: Option<&str>, name: Option<&str>) -> Option<String> {
        let fits = |open: &(String, String)| match (own, name) {
            (Some(own), _) => open.1 == own,
            (None, Some(name)) => open.0 == name,
            (None, None) => true,
        };
        let place = self.open.iter().position(fits)?;
        Some(self.open.remove(place).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_answer_the_oldest_call_of_their_tool() {
        let mut matcher = Matcher::default();
        let ids =
            [matcher.call(None, "a"), matcher.call(None, "b"), matcher.call(None, "a"), matcher.call(Some("x"), "a")];
        assert_eq!(matcher.result(None, Some("b")).as_ref(), Some(&ids[1]));
        assert_eq!(matcher.result(Some("x"), Some("a")).as_deref(), Some("x"));
        assert_eq!(matcher.result(None, Some("a")).as_ref(), Some(&ids[0]));
        assert_eq!(matcher.result(None, None).as_ref(), Some(&ids[2]));
        assert_eq!(matcher.result(None, Some("a")), None);
    }

    #[test]
    fn a_signature_travels_in_an_identifier() {
        let id = with_signature("call_1", Some("a+/=b"));
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'), "{id}");
        assert_eq!(split(&id), ("call_1", Some("a+/=b".to_owned())));
        assert_eq!(split("call_1"), ("call_1", None));
        assert_eq!(split("a__sig__!"), ("a__sig__!", None));
    }
}
