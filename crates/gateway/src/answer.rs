//! What a caller gets: a body that is whole or comes in pieces, and errors in the caller's own dialect.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};

use crate::dialect::Dialect;
use crate::dialect::error::{ApiError, ErrorKind};
use crate::stream::{Broken, Passing};

/// The body of an answer.
#[derive(Debug)]
pub enum Answer {
    /// It is there as a whole.
    Whole(Option<Bytes>),
    /// It comes in pieces.
    Stream(Box<Passing>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(passing) => passing.poll(cx).map(|next| next.map(|next| next.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// What a call was answered by, as headers say it.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The call.
    pub call: &'a str,
    /// The provider and its model; empty where none was asked.
    pub route: (&'a str, &'a str),
    /// Attempts that were made.
    pub attempts: u64,
    /// What it cost in micro-dollars, where that is known already.
    pub cost: Option<u64>,
}

/// Puts what a call was answered by among the headers.
pub fn say(headers: &mut HeaderMap, said: Said<'_>) {
    let mut set = |name: &'static str, value: &str| {
        // A model's name is the operator's own text: one that no header can carry is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-orx-request-id", said.call);
    if !said.route.0.is_empty() {
        set("x-orx-provider", said.route.0);
        set("x-orx-model", said.route.1);
    }
    if said.attempts > 1 {
        set("x-orx-attempts", itoa::Buffer::new().format(said.attempts));
    }
    if let Some(cost) = said.cost {
        set("x-orx-cost-usd", &format!("{}.{:06}", cost / 1_000_000, cost % 1_000_000));
    }
}

/// A JSON answer.
#[must_use]
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Answer> {
    let mut response = Response::new(Answer::Whole(Some(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error in the caller's dialect.
#[must_use]
pub fn error(dialect: Dialect, error: &ApiError) -> Response<Answer> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = json(status, error.body(dialect));
    if let Some(wait) = error.retry_after.as_deref().and_then(|wait| HeaderValue::from_str(wait).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}

/// An error of the gateway's own; what to do about it is told with it.
#[must_use]
pub fn own(kind: ErrorKind, message: &str, hint: &str) -> ApiError {
    ApiError::new(kind, &if hint.is_empty() { message.to_owned() } else { format!("{message} ({hint})") })
}
