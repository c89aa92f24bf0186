//! JSON-RPC 2.0 bodies. Parameters and results stay unparsed text until the one who needs them reads them.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

use crate::error::{ErrorKind, RpcError};

/// The identifier that pairs an answer with its request; chosen by the caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CallId {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

/// Any body that may arrive on a connection, classified by [`Incoming::parse`].
#[derive(Debug)]
pub enum Incoming<'a> {
    /// A request or, without `id`, a notification.
    Call {
        /// `None` for a notification.
        id: Option<CallId>,
        /// The method's name.
        method: Cow<'a, str>,
        /// The parameters as they came; `None` when absent.
        params: Option<&'a RawValue>,
    },
    /// The answer to a request that this side sent.
    Answer {
        /// The request's identifier.
        id: CallId,
        /// The result as it came, or the error.
        outcome: Result<&'a RawValue, RpcError>,
    },
    /// S1's envelope: see [`crate::legacy`].
    Legacy(crate::legacy::Envelope<'a>),
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    agent: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    action: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// A body that is no request: the error to answer with, and the identifier to answer to where one could be read.
#[derive(Debug)]
pub struct BadBody {
    /// The request's identifier, when it was readable.
    pub id: Option<CallId>,
    /// What is wrong.
    pub error: RpcError,
}

impl<'a> Incoming<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// `Parse` for what is not UTF-8 JSON, `InvalidRequest` for JSON that is neither request nor answer.
    pub fn parse(body: &'a [u8]) -> Result<Self, BadBody> {
        let text = std::str::from_utf8(body).map_err(|error| BadBody {
            id: None,
            error: RpcError::new(
                ErrorKind::Parse,
                format!("the body is not UTF-8: bad byte at offset {}", error.valid_up_to()),
            ),
        })?;
        let body: Body<'a> = serde_json::from_str(text).map_err(|error| {
            let kind = if error.is_data() { ErrorKind::InvalidRequest } else { ErrorKind::Parse };
            let what = if error.is_data() { "the body is JSON but not a request" } else { "the body is not JSON" };
            BadBody {
                id: None,
                error: RpcError::new(kind, format!("{what}: {error}")).with_hint(
                    "send one object {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"health\",\"params\":{}} a frame",
                ),
            }
        })?;
        let bad = |id: Option<CallId>, message: &str| BadBody {
            id,
            error: RpcError::new(ErrorKind::InvalidRequest, message),
        };
        let raw_id = body.id.filter(|raw| raw.get() != "null");
        let id: Option<CallId> = match raw_id {
            None => None,
            Some(raw) => {
                Some(serde_json::from_str(raw.get()).map_err(|_| bad(None, "`id` must be a whole number or a text"))?)
            }
        };
        if let (Some(agent), Some(action), None) = (&body.agent, &body.action, &body.method) {
            return Ok(Self::Legacy(crate::legacy::Envelope {
                id,
                agent: agent.clone(),
                action: action.clone(),
                params: body.data.or(body.params),
            }));
        }
        if body.jsonrpc.as_deref().is_some_and(|version| version != "2.0") {
            return Err(bad(id, "`jsonrpc` must be \"2.0\""));
        }
        if let Some(method) = body.method {
            return Ok(Self::Call { id, method, params: body.params.or(body.data) });
        }
        match (id, body.result, body.error) {
            (Some(id), Some(result), None) => Ok(Self::Answer { id, outcome: Ok(result) }),
            (Some(id), None, Some(error)) => {
                let error = serde_json::from_str(error.get()).unwrap_or_else(|_| {
                    RpcError::new(
                        ErrorKind::Upstream,
                        format!("an error of another shape was answered: {}", error.get()),
                    )
                });
                Ok(Self::Answer { id, outcome: Err(error) })
            }
            (id, _, _) => Err(bad(id, "the body has no `method`, and no `result` or `error` with an `id`")),
        }
    }
}

/// Appends a JSON value to a buffer; a type that cannot be written as JSON is a defect of orx and says so.
fn put_json<T: Serialize + ?Sized>(out: &mut BytesMut, value: &T) -> Result<(), RpcError> {
    serde_json::to_writer(out.writer(), value)
        .map_err(|error| RpcError::new(ErrorKind::Internal, format!("a value could not be written as JSON: {error}")))
}

/// The body of a request or, without `id`, of a notification.
///
/// # Errors
/// `Internal` when `params` cannot be written as JSON.
pub fn call<P: Serialize + ?Sized>(id: Option<&CallId>, method: &str, params: &P) -> Result<Bytes, RpcError> {
    let mut out = BytesMut::with_capacity(128);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        put_json(&mut out, id)?;
    }
    out.extend_from_slice(b",\"method\":");
    put_json(&mut out, method)?;
    out.extend_from_slice(b",\"params\":");
    put_json(&mut out, params)?;
    out.extend_from_slice(b"}");
    Ok(out.freeze())
}

/// The body that answers `id` with a result.
///
/// # Errors
/// `Internal` when `result` cannot be written as JSON.
pub fn success<R: Serialize + ?Sized>(id: &CallId, result: &R) -> Result<Bytes, RpcError> {
    let mut out = BytesMut::with_capacity(128);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    put_json(&mut out, id)?;
    out.extend_from_slice(b",\"result\":");
    put_json(&mut out, result)?;
    out.extend_from_slice(b"}");
    Ok(out.freeze())
}

/// The body that answers `id` with an error; a request whose `id` could not be read is answered to `null`.
#[must_use]
pub fn failure(id: Option<&CallId>, error: &RpcError) -> Bytes {
    #[derive(Serialize)]
    struct Failure<'a> {
        jsonrpc: &'a str,
        id: Option<&'a CallId>,
        error: &'a RpcError,
    }
    let body = serde_json::to_vec(&Failure { jsonrpc: "2.0", id, error }).unwrap_or_default();
    Bytes::from(body)
}

/// Reads parameters into their type; absent parameters are an empty object.
///
/// # Errors
/// `InvalidParams`, naming the method and the member that does not fit.
pub fn params<'a, P: Deserialize<'a>>(method: &str, raw: Option<&'a RawValue>) -> Result<P, RpcError> {
    let text = raw.map_or("{}", RawValue::get);
    let text = if text == "null" { "{}" } else { text };
    serde_json::from_str(text).map_err(|error| {
        // Read a second time, now noting the way to the member: only a request that is refused pays for it.
        let located: Result<P, _> = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text));
        let what = match located {
            Err(located) if located.path().iter().next().is_some() => format!("`{}` does not fit", located.path()),
            Err(_) | Ok(_) => "the parameters do not fit".to_owned(),
        };
        RpcError::new(ErrorKind::InvalidParams, format!("`{method}`: {what}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(body: &[u8]) -> ErrorKind {
        Incoming::parse(body).unwrap_err().error.kind()
    }

    #[test]
    fn bodies_that_are_no_requests_are_named() {
        assert_eq!(kind(b"\xff\xfe"), ErrorKind::Parse);
        assert_eq!(kind(b"{"), ErrorKind::Parse);
        assert_eq!(kind(b"[]"), ErrorKind::InvalidRequest);
        assert_eq!(kind(b"{}"), ErrorKind::InvalidRequest);
        assert_eq!(kind(b"7"), ErrorKind::InvalidRequest);
        assert_eq!(kind(br#"{"jsonrpc":"1.0","id":1,"method":"health"}"#), ErrorKind::InvalidRequest);
        assert_eq!(kind(br#"{"id":{},"method":"health"}"#), ErrorKind::InvalidRequest);
    }

    #[test]
    fn a_request_is_read_with_its_parameters_untouched() {
        let body = br#"{"jsonrpc":"2.0","id":"a","method":"x.y","params":{"n": 1.50}}"#;
        let Ok(Incoming::Call { id, method, params }) = Incoming::parse(body) else { unreachable!() };
        assert_eq!(id, Some(CallId::Text("a".into())));
        assert_eq!(method, "x.y");
        assert_eq!(params.unwrap().get(), "{\"n\": 1.50}");
    }

    #[test]
    fn data_and_params_are_aliases() {
        let body = br#"{"id":1,"method":"x.y","data":{"n":1}}"#;
        let Ok(Incoming::Call { params, .. }) = Incoming::parse(body) else { unreachable!() };
        assert_eq!(params.unwrap().get(), "{\"n\":1}");
    }

    #[test]
    fn a_member_that_does_not_fit_is_named() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wanted {
            #[allow(dead_code)] // It is read by serde alone.
            size: Option<Vec<u32>>,
        }
        let read = |text: &str| {
            let raw = RawValue::from_string(text.to_owned()).unwrap();
            params::<Wanted>("x.y", Some(&raw)).unwrap_err().message
        };
        assert!(
            read(r#"{"size":[1,"a"]}"#).starts_with("`x.y`: `size[1]` does not fit: invalid type"),
            "{}",
            read(r#"{"size":[1,"a"]}"#)
        );
        assert!(read(r#"{"colour":1}"#).contains("colour"));
        assert!(read("[[1],2,3]").starts_with("`x.y`: the parameters do not fit"), "{}", read("[[1],2,3]"));
    }

    #[test]
    fn answers_are_told_from_requests() {
        let body = success(&CallId::Number(4), &serde_json::json!({"ok": true})).unwrap();
        assert!(matches!(Incoming::parse(&body), Ok(Incoming::Answer { id: CallId::Number(4), outcome: Ok(_) })));
        let body = failure(Some(&CallId::Number(5)), &RpcError::new(ErrorKind::NotFound, "no"));
        let Ok(Incoming::Answer { outcome: Err(error), .. }) = Incoming::parse(&body) else { unreachable!() };
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
