//! Errors that providers answer, and how each dialect's callers are told one.

use super::json::{self, Json};
use super::redact::redact;
use super::write::Writer;
use super::{Dialect, DialectError};

/// What sort of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong: 400.
    InvalidRequest,
    /// No key, or a wrong one: 401.
    Authentication,
    /// Money is owed: 402.
    Billing,
    /// The key may not do this: 403.
    Permission,
    /// No such model or thing: 404.
    NotFound,
    /// The provider waited too long for the request: 408.
    Timeout,
    /// The body is too large: 413.
    TooLarge,
    /// Too many requests or tokens: 429.
    RateLimited,
    /// A defect of the provider: 500.
    Internal,
    /// What stands before the provider got no proper answer: 502.
    BadGateway,
    /// The provider does not serve now: 503.
    Unavailable,
    /// It was not done in time: 504.
    GatewayTimeout,
    /// The provider has too much to do: 529.
    Overloaded,
}

/// Kind, HTTP status, Anthropic's type, OpenAI's type, Gemini's status.
const KINDS: [(ErrorKind, u16, &str, &str, &str); 13] = [
    (ErrorKind::InvalidRequest, 400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
    (ErrorKind::Authentication, 401, "authentication_error", "authentication_error", "UNAUTHENTICATED"),
    (ErrorKind::Billing, 402, "billing_error", "insufficient_quota", "FAILED_PRECONDITION"),
    (ErrorKind::Permission, 403, "permission_error", "permission_error", "PERMISSION_DENIED"),
    (ErrorKind::NotFound, 404, "not_found_error", "not_found_error", "NOT_FOUND"),
    (ErrorKind::Timeout, 408, "timeout_error", "timeout_error", "DEADLINE_EXCEEDED"),
    (ErrorKind::TooLarge, 413, "request_too_large", "request_too_large", "OUT_OF_RANGE"),
    (ErrorKind::RateLimited, 429, "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    (ErrorKind::Internal, 500, "api_error", "server_error", "INTERNAL"),
    (ErrorKind::BadGateway, 502, "api_error", "server_error", "UNAVAILABLE"),
    (ErrorKind::Unavailable, 503, "api_error", "service_unavailable", "UNAVAILABLE"),
    (ErrorKind::GatewayTimeout, 504, "timeout_error", "timeout_error", "DEADLINE_EXCEEDED"),
    (ErrorKind::Overloaded, 529, "overloaded_error", "overloaded_error", "UNAVAILABLE"),
];

impl ErrorKind {
    fn row(self) -> (Self, u16, &'static str, &'static str, &'static str) {
        KINDS.into_iter().find(|row| row.0 == self).unwrap_or((self, 500, "api_error", "server_error", "INTERNAL"))
    }

    /// The HTTP status that a caller gets.
    #[must_use]
    pub fn status(self) -> u16 {
        self.row().1
    }

    /// The kind of an HTTP status.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match KINDS.into_iter().find(|row| row.1 == status) {
            Some(row) => row.0,
            None if (400..500).contains(&status) => Self::InvalidRequest,
            None => Self::Internal,
        }
    }

    /// OpenAI's word for it.
    pub(crate) fn openai_code(self) -> &'static str {
        if self == Self::RateLimited { "rate_limit_exceeded" } else { self.row().3 }
    }

    /// Whether another try, or another provider, may do better: the request itself is not at fault.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Timeout
            | Self::RateLimited
            | Self::Internal
            | Self::BadGateway
            | Self::Unavailable
            | Self::GatewayTimeout
            | Self::Overloaded => true,
            Self::InvalidRequest
            | Self::Authentication
            | Self::Billing
            | Self::Permission
            | Self::NotFound
            | Self::TooLarge => false,
        }
    }

    /// The kind that a provider's word for it stands for.
    fn of_word(word: &str) -> Option<Self> {
        if let Some(row) = KINDS.into_iter().find(|row| row.2 == word || row.3 == word || row.4 == word) {
            return Some(row.0);
        }
        match word {
            "rate_limit_exceeded" => Some(Self::RateLimited),
            "invalid_api_key" => Some(Self::Authentication),
            "model_not_found" => Some(Self::NotFound),
            "context_length_exceeded" => Some(Self::InvalidRequest),
            "server_overloaded" | "engine_overloaded" => Some(Self::Overloaded),
            _ => None,
        }
    }
}

/// An error of a provider, or of the gateway in a provider's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// What sort.
    pub kind: ErrorKind,
    /// The provider's status; the caller gets the same.
    pub status: u16,
    /// What it said, with keys redacted.
    pub message: String,
    /// The provider's own code, such as `context_length_exceeded`.
    pub code: Option<String>,
    /// The field that is wrong, where it was named.
    pub param: Option<String>,
    /// When to come back, as the header `Retry-After` says it.
    pub retry_after: Option<String>,
}

impl ApiError {
    /// One of the gateway's own.
    #[must_use]
    pub fn new(kind: ErrorKind, message: &str) -> Self {
        Self {
            kind,
            status: kind.status(),
            message: redact(message).into_owned(),
            code: None,
            param: None,
            retry_after: None,
        }
    }

    /// What a provider answered in place of a result. A body that is not of the dialect is quoted.
    #[must_use]
    pub fn read(status: u16, retry_after: Option<&str>, body: &[u8]) -> Self {
        let tree = json::parse(body).ok();
        let found = tree.as_ref().and_then(|tree| Self::of_body(tree, status));
        let mut error = found.unwrap_or_else(|| {
            let text = String::from_utf8_lossy(body.get(..2048).unwrap_or(body));
            let text = text.trim();
            let message = if text.is_empty() {
                format!("the provider answered {status} without a text")
            } else {
                text.to_owned()
            };
            Self { status, ..Self::new(ErrorKind::of_status(status), &message) }
        });
        error.retry_after = retry_after.map(str::to_owned).or_else(|| tree.as_ref().and_then(retry_delay));
        error
    }

    /// The error in a body, where it is one: in an answer of status 200 too.
    #[must_use]
    pub fn of_body(tree: &Json<'_>, status: u16) -> Option<Self> {
        // Gemini without server-sent events answers an array.
        if let Json::Array(elements) = tree {
            return Self::of_body(elements.first()?, status);
        }
        let error = match tree.get("error") {
            Some(Json::Null) | None => {
                // Some compatible servers put the error's members into the body itself, FastAPI puts it into `detail`.
                let bare = tree.get("object").and_then(Json::as_str) == Some("error");
                let detail = tree.get("detail").filter(|_| status >= 400);
                if bare || (status >= 400 && tree.get("message").is_some()) { tree } else { detail? }
            }
            Some(error) => error,
        };
        if let Some(text) = error.as_str() {
            return Some(Self { status, ..Self::new(ErrorKind::of_status(status), text) }.of_200());
        }
        let word = |key: &str| error.get(key).and_then(Json::as_str);
        let message = word("message").map_or_else(|| error.to_text(), str::to_owned);
        let said = [word("type"), word("status"), word("code")].into_iter().flatten().find_map(ErrorKind::of_word);
        let number = error.get("code").and_then(Json::as_u64).and_then(|code| u16::try_from(code).ok());
        let status = match number {
            Some(code) if status < 400 && (400..600).contains(&code) => code,
            _ => status,
        };
        let kind = match said {
            // The status is exact where both speak.
            _ if status >= 400 => ErrorKind::of_status(status),
            Some(kind) => kind,
            None => ErrorKind::Internal,
        };
        let kind = if status == 503 && said == Some(ErrorKind::Overloaded) { ErrorKind::Overloaded } else { kind };
        Some(
            Self {
                status,
                code: word("code").map(str::to_owned),
                param: word("param").map(str::to_owned),
                ..Self::new(kind, &message)
            }
            .of_200(),
        )
    }

    /// An error inside an answer of status 200 gets the status of its kind.
    fn of_200(mut self) -> Self {
        if self.status < 400 {
            if self.kind == ErrorKind::of_status(self.status) {
                self.kind = ErrorKind::Internal;
            }
            self.status = self.kind.status();
        }
        self
    }

    /// The body that a caller of `dialect` gets. Status and `Retry-After` go beside it.
    #[must_use]
    pub fn body(&self, dialect: Dialect) -> Vec<u8> {
        let mut writer = Writer::default();
        self.write(dialect, &mut writer);
        writer.into_bytes()
    }

    pub(crate) fn write(&self, dialect: Dialect, writer: &mut Writer) {
        let (_, _, anthropic, openai, gemini) = self.kind.row();
        writer.object(|w| match dialect {
            Dialect::Anthropic => {
                w.str_at("type", "error");
                w.object_at("error", |w| {
                    w.str_at("type", anthropic);
                    w.str_at("message", &self.message);
                });
            }
            Dialect::Chat | Dialect::Responses => w.object_at("error", |w| {
                w.str_at("message", &self.message);
                w.str_at("type", openai);
                match &self.param {
                    Some(param) => w.str_at("param", param),
                    None => w.null_at("param"),
                }
                w.str_at("code", self.code.as_deref().unwrap_or(openai));
            }),
            Dialect::Gemini => w.object_at("error", |w| {
                w.u64_at("code", u64::from(self.status));
                w.str_at("message", &self.message);
                w.str_at("status", gemini);
            }),
            Dialect::Ollama => w.str_at("error", &self.message),
        });
    }
}

impl From<&DialectError> for ApiError {
    fn from(error: &DialectError) -> Self {
        let kind = match error {
            DialectError::Json { .. } | DialectError::Field { .. } | DialectError::Impossible { .. } => {
                ErrorKind::InvalidRequest
            }
            DialectError::EventTooLarge { .. } => ErrorKind::BadGateway,
        };
        let param = match error {
            DialectError::Field { field, .. } | DialectError::Impossible { field, .. } => Some(field.clone()),
            DialectError::Json { .. } | DialectError::EventTooLarge { .. } => None,
        };
        Self { param, ..Self::new(kind, &format!("{error}: {}", error.hint())) }
    }
}

/// Gemini says in the body when to come back: `{"@type": "…RetryInfo", "retryDelay": "7s"}`.
fn retry_delay(tree: &Json<'_>) -> Option<String> {
    let body = if let Json::Array(elements) = tree { elements.first()? } else { tree };
    let details = body.get("error")?.get("details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay").and_then(Json::as_str))?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then(|| format!("{:.0}", seconds.ceil()))
}

#[cfg(test)]
mod tests;
