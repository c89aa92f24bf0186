//! S1's envelope `{id, interface, agent, action, data}` and its answers, translated at the door so that nothing behind
//! the door knows them.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

use crate::error::{ErrorData, RpcError};
use crate::rpc::CallId;

/// A request as S1's clients send it.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// The request's identifier; S1's clients send a text.
    pub id: Option<CallId>,
    /// The role, in S1's or our spelling.
    pub agent: Cow<'a, str>,
    /// The action.
    pub action: Cow<'a, str>,
    /// `data`, or its alias `params`.
    pub params: Option<&'a RawValue>,
}

impl Envelope<'_> {
    /// The method that this envelope calls.
    #[must_use]
    pub fn method(&self) -> String {
        format!("{}.{}", role(&self.agent), self.action)
    }
}

/// Our name of a role that S1 spells differently.
#[must_use]
pub fn role(name: &str) -> &str {
    match name {
        "struct" => "structure",
        other => other,
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    id: Option<&'a CallId>,
    success: bool,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_detail: Option<Detail<'a>>,
    /// Milliseconds since the epoch.
    timestamp: u64,
}

#[derive(Serialize)]
struct Detail<'a> {
    code: i32,
    message: &'a str,
    details: &'a ErrorData,
    retryable: bool,
}

/// The body that answers an envelope in S1's shape; `now_ms` is milliseconds since the epoch.
#[must_use]
pub fn answer(id: Option<&CallId>, outcome: Result<&RawValue, &RpcError>, now_ms: u64) -> Bytes {
    let answer = match outcome {
        Ok(data) => Answer {
            id,
            success: true,
            status: "success",
            data: Some(data),
            error: None,
            error_detail: None,
            timestamp: now_ms,
        },
        Err(error) => Answer {
            id,
            success: false,
            status: "error",
            data: None,
            error: Some(&error.message),
            error_detail: Some(Detail {
                code: error.code,
                message: &error.message,
                details: &error.data,
                retryable: error.data.retryable,
            }),
            timestamp: now_ms,
        },
    };
    Bytes::from(serde_json::to_vec(&answer).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use crate::rpc::Incoming;

    #[test]
    fn an_envelope_becomes_a_method_of_our_role() {
        let body = br#"{"id":"r1","interface":"web","agent":"struct","action":"create_structure","data":{"name":"x"}}"#;
        let Ok(Incoming::Legacy(envelope)) = Incoming::parse(body) else { unreachable!() };
        assert_eq!(envelope.method(), "structure.create_structure");
        assert_eq!(envelope.params.unwrap().get(), "{\"name\":\"x\"}");
    }
}
