//! Changing a member or two of a body and leaving every other byte as it was: caches of prompts are keyed by bytes.

use std::ops::Range;

use super::peek::Peek;
use super::write::Writer;
use super::{DialectError, scan};

/// Changes of a body that do not overlap, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Splice {
    edits: Vec<(Range<usize>, Vec<u8>)>,
}

/// A piece of the changed body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'s> {
    /// Bytes of the body as it came.
    Kept(Range<usize>),
    /// New bytes.
    New(&'s [u8]),
}

/// Names another model. A body that names none gets the member at its beginning.
#[must_use]
pub fn model(found: &Peek, name: &str) -> Splice {
    let mut writer = Writer::default();
    writer.string(name);
    let quoted = writer.into_bytes();
    let edit = match &found.model {
        Some(span) => (span.clone(), quoted),
        None => member(found, "model", &quoted),
    };
    Splice { edits: vec![edit] }
}

fn member(found: &Peek, key: &str, value: &[u8]) -> (Range<usize>, Vec<u8>) {
    let mut new = format!("\"{key}\":").into_bytes();
    new.extend_from_slice(value);
    if !found.is_empty {
        new.push(b',');
    }
    (found.opening..found.opening, new)
}

impl Splice {
    /// Asks a chat stream for its chunk of usage, without which nothing can be metered. The caller who did not ask must not see it.
    ///
    /// # Errors
    /// [`DialectError`] where `stream_options` is no object.
    pub fn include_usage(&mut self, body: &[u8], found: &Peek) -> Result<(), DialectError> {
        let edit = match &found.stream_options {
            None => member(found, "stream_options", br#"{"include_usage":true}"#),
            Some(span) => {
                let text = body.get(span.clone()).unwrap_or_default();
                if text == b"null" {
                    (span.clone(), br#"{"include_usage":true}"#.to_vec())
                } else {
                    let options: std::collections::BTreeMap<String, serde_json::Value> =
                        serde_json::from_slice(text)
                            .map_err(|_| DialectError::field("stream_options", "an object is needed here"))?;
                    match options.get("include_usage") {
                        Some(serde_json::Value::Bool(true)) => return Ok(()),
                        Some(_) => {
                            let mut options = options;
                            options.insert("include_usage".to_owned(), true.into());
                            (span.clone(), serde_json::to_vec(&options)?)
                        }
                        None => {
                            let comma = if options.is_empty() { "" } else { "," };
                            let inside = scan::spaces(body, span.start + 1);
                            (inside..inside, format!("\"include_usage\":true{comma}").into_bytes())
                        }
                    }
                }
            }
        };
        self.edits.push(edit);
        // Stable: of two that stand at the same place, the earlier asked for comes first.
        self.edits.sort_by_key(|(span, _)| span.start);
        Ok(())
    }

    /// The changed body in pieces, so that what is kept need not be copied.
    pub fn pieces(&self, length: usize) -> impl Iterator<Item = Piece<'_>> {
        let mut from = 0;
        let kept = self.edits.iter().flat_map(move |(span, new)| {
            let before = from..span.start;
            from = span.end;
            [Piece::Kept(before), Piece::New(new)]
        });
        let last = self.edits.last().map_or(0, |(span, _)| span.end);
        kept.chain([Piece::Kept(last..length)])
    }

    /// The length of the changed body, for `Content-Length`.
    #[must_use]
    pub fn len(&self, length: usize) -> usize {
        self.edits.iter().fold(length, |sum, (span, new)| sum + new.len() - span.len())
    }

    /// The changed body as one.
    #[must_use]
    pub fn to_vec(&self, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len(body.len()));
        for piece in self.pieces(body.len()) {
            match piece {
                Piece::Kept(span) => out.extend_from_slice(body.get(span).unwrap_or_default()),
                Piece::New(new) => out.extend_from_slice(new),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::peek::peek;

    fn spliced(body: &str, name: Option<&str>, usage: bool) -> String {
        let body = body.as_bytes();
        let found = peek(body).unwrap();
        let mut splice = name.map_or_else(Splice::default, |name| model(&found, name));
        if usage {
            splice.include_usage(body, &found).unwrap();
        }
        let new = splice.to_vec(body);
        assert_eq!(new.len(), splice.len(body.len()));
        String::from_utf8(new).unwrap()
    }

    #[test]
    fn every_other_byte_stays() {
        for (body, new) in [
            (
                "{ \"a\": 1.0e2,\n\"model\" :\"x\" , \"b\":\"\\u00e9\"}",
                "{ \"a\": 1.0e2,\n\"model\" :\"y\\\"\" , \"b\":\"\\u00e9\"}",
            ),
            ("{}", r#"{"model":"y\""}"#),
            (r#"{"a":1}"#, r#"{"model":"y\"","a":1}"#),
        ] {
            assert_eq!(spliced(body, Some("y\""), false), new);
        }
    }

    #[test]
    fn usage_is_asked_for() {
        for (body, new) in [
            (r#"{"model":"x"}"#, r#"{"stream_options":{"include_usage":true},"model":"x"}"#),
            (r#"{"stream_options":{},"model":"x"}"#, r#"{"stream_options":{"include_usage":true},"model":"x"}"#),
            (
                r#"{"stream_options":{ "a":1},"model":"x"}"#,
                r#"{"stream_options":{ "include_usage":true,"a":1},"model":"x"}"#,
            ),
            (r#"{"stream_options":{"include_usage":false}}"#, r#"{"stream_options":{"include_usage":true}}"#),
            (r#"{"stream_options":{"include_usage":true} }"#, r#"{"stream_options":{"include_usage":true} }"#),
            (r#"{"stream_options":null}"#, r#"{"stream_options":{"include_usage":true}}"#),
        ] {
            assert_eq!(spliced(body, None, true), new);
        }
        assert_eq!(
            spliced(r#"{"model":"x","n":1}"#, Some("y"), true),
            r#"{"stream_options":{"include_usage":true},"model":"y","n":1}"#
        );
        let body = br#"{"stream_options":7}"#;
        assert!(Splice::default().include_usage(body, &peek(body).unwrap()).is_err());
    }
}
