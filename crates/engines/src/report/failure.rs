//! Telling from an engine's own words what kind of trouble it met.

use crate::report::stream;

/// Why a run is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFailure {
    /// What kind of trouble.
    pub kind: FailureKind,
    /// A sentence for a person.
    pub message: String,
}

/// Kinds of trouble, as far as they call for different reactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Nobody is logged in, or the key was refused.
    NotLoggedIn,
    /// The provider's limit is reached.
    RateLimited {
        /// When to try again, in milliseconds, where it was said.
        retry_after_ms: Option<u64>,
    },
    /// The provider is overloaded, failing or out of reach; trying again later can help.
    Overloaded,
    /// The deadline passed.
    TimedOut,
    /// The program died, was ended, or reported an error of its own.
    Crashed,
    /// The model or the provider refused the request; trying again does not help.
    Refused,
    /// It ended in good order and said nothing that can be used.
    BadOutput,
}

impl FailureKind {
    /// Whether the same call can succeed later without anybody doing anything.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::RateLimited { .. } | Self::Overloaded)
    }
}

/// Characters of an engine's message that are kept.
const MESSAGE_MAX: usize = 2000;

/// Words by which a kind is known, in lower case, and the HTTP statuses. The kinds are tried in this order: a limit may
/// be told as a refused login, and a refusal in the words of an error.
const LIMITED: (&[&str], &[u16]) = (
    &[
        "rate limit",
        "rate_limit",
        "ratelimit",
        "usage limit",
        "limit reached",
        "hit your limit",
        "quota",
        "resource_exhausted",
        "too many requests",
        "credit balance",
    ],
    &[429],
);
const LOGGED_OUT: (&[&str], &[u16]) = (
    &[
        "not logged in",
        "please run /login",
        "invalid api key",
        "invalid x-api-key",
        "incorrect api key",
        "api key not valid",
        "api_key_invalid",
        "invalid_api_key",
        "authentication",
        "unauthorized",
        "unauthenticated",
        "please set an auth method",
        "missing environment variable",
        "oauth token",
        "must specify the gemini_api_key",
        "api key is missing",
    ],
    &[401],
);
const OVERLOADED: (&[&str], &[u16]) = (
    &[
        "overloaded",
        "internal server error",
        "service unavailable",
        "bad gateway",
        "gateway timeout",
        "server_error",
        "stream disconnected",
        "connection refused",
        "connection error",
        "connection reset",
        "econnrefused",
        "econnreset",
        "etimedout",
        "fetch failed",
        "error sending request",
        "unable to connect",
        "network error",
        "socket hang up",
        "high demand",
    ],
    &[500, 502, 503, 504, 529],
);
const REFUSED: (&[&str], &[u16]) = (
    &[
        "invalid_request",
        "invalid_argument",
        "prompt is too long",
        "context length",
        "context window",
        "content policy",
        "usage policy",
        "safety",
        "permission_denied",
        "model not found",
        "model_not_found",
        "not_found_error",
        "unknown model",
        "no longer available",
    ],
    &[400, 403, 404, 413, 422],
);

/// An error that the engine reported, with the HTTP status where it names one.
pub(crate) fn told(message: &str, status: Option<u64>) -> EngineFailure {
    let lower = message.to_lowercase();
    let fits = |(words, statuses): (&[&str], &[u16])| match status {
        Some(status) => statuses.iter().any(|known| u64::from(*known) == status),
        None => words.iter().any(|word| lower.contains(word)) || statuses.iter().any(|known| names(&lower, *known)),
    };
    let kind = if fits(LIMITED) {
        FailureKind::RateLimited { retry_after_ms: retry_after_ms(&lower) }
    } else if fits(LOGGED_OUT) {
        FailureKind::NotLoggedIn
    } else if fits(OVERLOADED) {
        FailureKind::Overloaded
    } else if fits(REFUSED) {
        FailureKind::Refused
    } else {
        FailureKind::Crashed
    };
    EngineFailure { kind, message: shortened(message) }
}

/// A process that failed and told nothing but on standard error.
pub(crate) fn of_stderr(what: &str, stderr: &[u8]) -> EngineFailure {
    let kind = told(&String::from_utf8_lossy(stderr), None).kind;
    EngineFailure { kind, message: sentence(what, stderr) }
}

/// The sentence, and what standard error said last.
pub(crate) fn sentence(what: &str, stderr: &[u8]) -> String {
    let stderr = String::from_utf8_lossy(stderr);
    let last: Vec<String> =
        stderr.lines().rev().map(stream::first_line).filter(|line| !line.is_empty()).take(5).collect();
    if last.is_empty() {
        return what.to_owned();
    }
    let said: Vec<String> = last.into_iter().rev().collect();
    shortened(&format!("{what}: {}", said.join("; ")))
}

fn shortened(message: &str) -> String {
    let plain: String = message.trim().chars().filter(|c| !c.is_control() || *c == '\n').collect();
    if plain.chars().count() <= MESSAGE_MAX {
        return plain;
    }
    let mut cut: String = plain.chars().take(MESSAGE_MAX - 1).collect();
    cut.push('…');
    cut
}

/// Whether a text names an HTTP status: the number by itself, as the first word or near a word that says so.
fn names(text: &str, status: u16) -> bool {
    let number = status.to_string();
    let is_first = text.split_whitespace().next().is_some_and(|word| word.trim_end_matches(':') == number);
    is_first
        || [
            "status ",
            "status: ",
            "status code ",
            "status code: ",
            "error ",
            "error: ",
            "error (",
            "message\":\"",
            "code\":",
            "code\": ",
            "http ",
        ]
        .iter()
        .any(|before| {
            let wanted = format!("{before}{number}");
            text.match_indices(&wanted).any(|(at, found)| {
                !text.get(at + found.len()..).unwrap_or_default().starts_with(|c: char| c.is_ascii_digit())
            })
        })
}

/// When to try again, where the message says so: "try again in 1m30s", "retry after 20 seconds".
fn retry_after_ms(lower: &str) -> Option<u64> {
    let rest = ["try again in ", "retry after ", "retry-after: ", "retry in ", "retrydelay\":\"", "retrydelay\": \""]
        .iter()
        .find_map(|before| lower.split_once(before).map(|(_, rest)| rest))?;
    let mut total: Option<f64> = None;
    let mut rest = rest;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let Ok(number) = number.trim_end_matches('.').parse::<f64>() else { break };
        let after = after.trim_start();
        let unit = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let factor = match unit {
            "ms" | "millisecond" | "milliseconds" => 1.0,
            "" | "s" | "sec" | "second" | "seconds" => 1000.0,
            "m" | "min" | "minute" | "minutes" => 60_000.0,
            "h" | "hour" | "hours" => 3_600_000.0,
            _ => break,
        };
        total = Some(total.unwrap_or(0.0) + number * factor);
        rest = after.trim_start();
    }
    total.filter(|total| (0.0..=86_400_000.0).contains(total)).map(|total| total.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, status: Option<u64>, kind: FailureKind) {
        assert_eq!(told(message, status).kind, kind, "{message}");
    }

    #[test]
    fn the_words_of_the_clis_are_understood() {
        let limited = |retry_after_ms| FailureKind::RateLimited { retry_after_ms };
        check("API Error: 429 {\"type\":\"error\"}", Some(429), limited(None));
        check("exceeded retry limit, last status: 429 Too Many Requests", None, limited(None));
        check("Rate limit reached. Please try again in 1m30s.", None, limited(Some(90_000)));
        check("You've hit your usage limit. Try again in 2 hours 5 minutes.", None, limited(Some(7_500_000)));
        check("quota exceeded, please retry in 21.5s", None, limited(Some(21_500)));
        check("Invalid API key · Please run /login", None, FailureKind::NotLoggedIn);
        check("unexpected status 401 Unauthorized: nope", None, FailureKind::NotLoggedIn);
        check("API Error: 529 Overloaded", None, FailureKind::Overloaded);
        check("stream disconnected before completion", None, FailureKind::Overloaded);
        check("prompt is too long: 210000 tokens", None, FailureKind::Refused);
        check("something else, 4290 of them", None, FailureKind::Crashed);
        check("401 No such key", None, FailureKind::NotLoggedIn);
        check("", None, FailureKind::Crashed);
    }

    #[test]
    fn a_stated_status_wins_over_words() {
        check("authentication of the overloaded quota", Some(400), FailureKind::Refused);
    }

    #[test]
    fn a_hostile_message_stays_short_and_plain() {
        let failure = told(&"\u{1b}[2J\u{0}x".repeat(5000), None);
        assert!(failure.message.chars().count() <= MESSAGE_MAX);
        assert!(!failure.message.contains(['\u{1b}', '\u{0}']));
    }
}
