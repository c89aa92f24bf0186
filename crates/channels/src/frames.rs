//! JSON-RPC bodies as both Codex and ACP use them, with and without the member `jsonrpc`.

use serde_json::{Map, Value, json};

/// A body, sorted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Frame {
    /// The other end asks and waits for an answer.
    Request {
        /// Its name for the request, a number or a text.
        id: Value,
        /// The method.
        method: String,
        /// The parameters.
        params: Value,
    },
    /// The other end tells.
    Notification {
        /// The method.
        method: String,
        /// The parameters.
        params: Value,
    },
    /// The answer to a request of this end.
    Answer {
        /// The request.
        id: u64,
        /// The result, or why there is none.
        outcome: Result<Value, Failure>,
    },
    /// None of these.
    Other,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The number of the sort of error.
    pub(crate) code: i64,
    /// A sentence.
    pub(crate) message: String,
}

/// No such method.
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
/// ACP: the user must log in.
pub(crate) const AUTHENTICATION: i64 = -32000;

/// Sorts a body.
pub(crate) fn sort(body: Value) -> Frame {
    let Value::Object(mut body) = body else { return Frame::Other };
    let params = |body: &mut Map<String, Value>| body.remove("params").unwrap_or(Value::Null);
    let id = body.remove("id").filter(|id| !id.is_null());
    match (body.remove("method"), id) {
        (Some(Value::String(method)), Some(id)) => Frame::Request { id, method, params: params(&mut body) },
        (Some(Value::String(method)), None) => Frame::Notification { method, params: params(&mut body) },
        (None, Some(id)) => match id.as_u64() {
            Some(id) => Frame::Answer { id, outcome: outcome(&mut body) },
            None => Frame::Other,
        },
        _ => Frame::Other,
    }
}

fn outcome(body: &mut Map<String, Value>) -> Result<Value, Failure> {
    match body.remove("error") {
        Some(error) if !error.is_null() => {
            let message = error["message"].as_str().unwrap_or("it gives no reason");
            // Some put what matters into `data`.
            let more = error["data"]["details"].as_str().or_else(|| error["data"].as_str());
            let message = more.map_or_else(|| message.to_owned(), |more| format!("{message}: {more}"));
            Err(Failure { code: error["code"].as_i64().unwrap_or_default(), message })
        }
        _ => Ok(body.remove("result").unwrap_or(Value::Null)),
    }
}

/// A request of this end, without `jsonrpc`.
pub(crate) fn request(id: u64, method: &str, params: Value) -> Value {
    json!({"id": id, "method": method, "params": params})
}

/// An answer of this end, without `jsonrpc`.
pub(crate) fn answer(id: &Value, result: Value) -> Value {
    json!({"id": id, "result": result})
}

/// A refusal of this end, without `jsonrpc`.
pub(crate) fn refusal(id: &Value, code: i64, message: &str) -> Value {
    json!({"id": id, "error": {"code": code, "message": message}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_sorted_whatever_they_hold() {
        for (body, expected) in [
            (
                json!({"id": "a", "method": "m"}),
                Frame::Request { id: json!("a"), method: "m".into(), params: Value::Null },
            ),
            (
                json!({"id": null, "method": "m", "params": 1}),
                Frame::Notification { method: "m".into(), params: json!(1) },
            ),
            (json!({"id": 3, "result": {}}), Frame::Answer { id: 3, outcome: Ok(json!({})) }),
            (json!({"id": 3}), Frame::Answer { id: 3, outcome: Ok(Value::Null) }),
            (
                json!({"id": 3, "error": {"code": -1, "message": "no", "data": {"details": "why"}}}),
                Frame::Answer { id: 3, outcome: Err(Failure { code: -1, message: "no: why".into() }) },
            ),
            (
                json!({"id": 3, "error": 7}),
                Frame::Answer { id: 3, outcome: Err(Failure { code: 0, message: "it gives no reason".into() }) },
            ),
            (json!({"id": -3, "result": 1}), Frame::Other),
            (json!({"method": 5}), Frame::Other),
            (json!([1]), Frame::Other),
            (json!("text"), Frame::Other),
        ] {
            assert_eq!(sort(body.clone()), expected, "{body}");
        }
    }
}
