//! How much of a vendor's own quota is left, as its answers say, and until when a session waits that has used it up. Headers
//! and bodies are a vendor's word: what cannot be read in them is not there.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::retry;

/// Windows that are read of one answer.
const MOST: usize = 32;
/// The longest name of a window that is kept.
const LONGEST_NAME: usize = 40;

/// A window of a quota.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// What it counts, in the vendor's words, as in `tokens`, `5h` or `codex-primary`.
    pub name: String,
    /// What may be used; `None` where it is not said.
    pub limit: Option<u64>,
    /// What is left; `None` where it is not said.
    pub remaining: Option<u64>,
    /// How much is used, per mille; `None` where it is not said.
    pub used_per_mille: Option<u64>,
    /// When it begins anew, in milliseconds since the epoch; `None` where it is not said.
    pub resets_at_ms: Option<u64>,
    /// How long it is, in milliseconds; `None` where it is not said.
    pub length_ms: Option<u64>,
    /// Whether the vendor says that it refuses calls for it.
    pub refused: bool,
}

impl Window {
    /// Whether nothing is left of it.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.refused || self.remaining == Some(0) || self.used_per_mille.is_some_and(|used| used >= 1000)
    }
}

/// What an answer says of its vendor's quota.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Its windows.
    pub windows: Vec<Window>,
    /// When to come again, in milliseconds since the epoch; `None` where it is not said.
    pub retry_at_ms: Option<u64>,
}

/// Until when a session waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Park {
    /// When it goes on, in milliseconds since the epoch.
    pub until_ms: u64,
    /// The window that is used up; `None` where the vendor only said when to come again.
    pub window: Option<String>,
}

/// A wait below this is a pause between two attempts and no reason to park a session, unless the operator says otherwise.
pub const SHORT_MS: u64 = 60_000;

impl Quota {
    /// Reads the headers of an answer that came at `now_ms` (since the epoch). Names of headers may be of any case.
    pub fn read<'h>(headers: impl IntoIterator<Item = (&'h str, &'h str)>, now_ms: u64) -> Self {
        let mut quota = Self::default();
        for (name, value) in headers {
            quota.header(name, value.trim(), now_ms);
        }
        quota
    }

    /// Adds what the body of a refusal says: Google's `RetryInfo`, and the times that Codex's service gives.
    pub fn read_body(&mut self, body: &[u8], now_ms: u64) {
        let Ok(body) = serde_json::from_slice::<Body>(body) else { return };
        let Some(error) = body.error else { return };
        for detail in error.details.unwrap_or_default() {
            if detail.kind.as_deref().is_some_and(|kind| kind.ends_with("google.rpc.RetryInfo"))
                && let Some(wait) = detail.retry_delay.as_deref().and_then(duration)
            {
                self.retry_at(now_ms.saturating_add(wait));
            }
        }
        if error.kind.as_deref() == Some("usage_limit_reached") {
            let after = error.resets_in_seconds.map(|wait| now_ms.saturating_add(wait.saturating_mul(1000)));
            if let Some(at) = error.resets_at.map(|at| at.saturating_mul(1000)).or(after) {
                self.retry_at(bounded(at, now_ms));
            }
        }
    }

    /// The window of this name.
    #[must_use]
    pub fn window(&self, name: &str) -> Option<&Window> {
        self.windows.iter().find(|window| window.name == name)
    }

    /// Whether a session whose call was answered with `status` at `now_ms` is to be parked, and until when: the vendor refused
    /// it, and the wait is `shortest_ms` or longer.
    #[must_use]
    pub fn park(&self, status: u16, now_ms: u64, shortest_ms: u64) -> Option<Park> {
        if status != 429 {
            return None;
        }
        let used_up = self
            .windows
            .iter()
            .filter(|window| window.is_used_up())
            .filter_map(|window| Some((window.resets_at_ms?, window)))
            .max_by_key(|(at, _)| *at);
        // Of several that are used up the last to begin anew decides; `Retry-After` may know better than they.
        let (until_ms, window) = match (used_up, self.retry_at_ms) {
            (Some((at, window)), Some(retry)) if at >= retry => (at, Some(window)),
            (Some((_, window)), Some(retry)) => (retry, Some(window)),
            (Some((at, window)), None) => (at, Some(window)),
            (None, Some(retry)) => (retry, None),
            (None, None) => return None,
        };
        (until_ms.saturating_sub(now_ms) >= shortest_ms.max(1))
            .then(|| Park { until_ms, window: window.map(|window| window.name.clone()) })
    }

    /// Whether calls are left: no window is used up that has not begun anew at `now_ms`.
    #[must_use]
    pub fn has_left(&self, now_ms: u64) -> bool {
        !self.windows.iter().any(|window| window.is_used_up() && window.resets_at_ms.is_some_and(|at| at > now_ms))
    }

    fn header(&mut self, name: &str, value: &str, now_ms: u64) {
        if let Some(rest) = strip(name, "anthropic-ratelimit-") {
            self.anthropic(rest, value, now_ms);
        } else if let Some(rest) = strip(name, "x-ratelimit-") {
            self.openai(rest, value, now_ms);
        } else if let Some(rest) = strip(name, "x-codex-") {
            self.codex(rest, value, now_ms);
        } else if name.eq_ignore_ascii_case("retry-after") {
            if let Some(wait) = retry::retry_after(value, now_ms) {
                self.retry_at(now_ms.saturating_add(wait));
            }
        } else if name.eq_ignore_ascii_case("retry-after-ms")
            && let Ok(wait) = value.parse::<u64>()
        {
            self.retry_at(now_ms.saturating_add(wait.min(retry::LONGEST_MS)));
        }
    }

    /// `<what>-limit|remaining|reset`, and `unified-<window>-utilization|reset|status` of subscriptions.
    fn anthropic(&mut self, rest: &str, value: &str, now_ms: u64) {
        let Some((what, field)) = rest.rsplit_once('-') else { return };
        let what = strip(what, "unified-").unwrap_or(what);
        if what.eq_ignore_ascii_case("unified") && field.eq_ignore_ascii_case("reset") {
            return; // The reset of whichever window is nearest its end: that one says so itself.
        }
        let length_ms = match what {
            "5h" => Some(5 * 3_600_000),
            _ if what.starts_with("7d") => Some(7 * 24 * 3_600_000),
            "requests" | "tokens" | "input-tokens" | "output-tokens" => Some(60_000),
            _ => None,
        };
        match field.to_ascii_lowercase().as_str() {
            "limit" => self.set(what, |window| window.limit = value.parse().ok()),
            "remaining" => self.set(what, |window| window.remaining = value.parse().ok()),
            "reset" => {
                self.set(what, |window| (window.resets_at_ms, window.length_ms) = (instant(value, now_ms), length_ms))
            }
            "utilization" => self.set(what, |window| window.used_per_mille = per_mille(value, 1000)),
            // `allowed`, `allowed_warning`, `rejected`.
            "status" if !what.eq_ignore_ascii_case("overage") => {
                self.set(what, |window| window.refused = matches!(value, "rejected" | "rate_limited"));
            }
            _ => {}
        }
    }

    /// `limit|remaining|reset-<what>`.
    fn openai(&mut self, rest: &str, value: &str, now_ms: u64) {
        let Some((field, what)) = rest.split_once('-') else { return };
        match field.to_ascii_lowercase().as_str() {
            "limit" => self.set(what, |window| window.limit = value.parse().ok()),
            "remaining" => self.set(what, |window| window.remaining = value.parse().ok()),
            "reset" => self.set(what, |window| {
                window.resets_at_ms = duration(value).map(|wait| now_ms.saturating_add(wait));
            }),
            _ => {}
        }
    }

    /// `[<family>-]primary|secondary-used-percent|window-minutes|reset-at|reset-after-seconds`.
    fn codex(&mut self, rest: &str, value: &str, now_ms: u64) {
        let rest = rest.to_ascii_lowercase();
        for field in ["used-percent", "window-minutes", "reset-at", "reset-after-seconds"] {
            let Some(what) = rest.strip_suffix(field).and_then(|what| what.strip_suffix('-')) else { continue };
            if !(what.ends_with("primary") || what.ends_with("secondary")) {
                return; // `primary-over-secondary-limit-percent` and the like are no windows.
            }
            let name = format!("codex-{what}");
            match field {
                "used-percent" => self.set(&name, |window| window.used_per_mille = per_mille(value, 10)),
                "window-minutes" => self.set(&name, |window| {
                    let minutes = value.parse::<u64>().ok().filter(|minutes| *minutes > 0);
                    window.length_ms = minutes.map(|minutes| minutes.saturating_mul(60_000));
                }),
                "reset-at" => {
                    self.set(&name, |window| window.resets_at_ms = instant(value, now_ms).or(window.resets_at_ms))
                }
                // The older form: the time itself is better, whichever of them comes first.
                _ => self.set(&name, |window| {
                    let wait = retry::seconds(value);
                    window.resets_at_ms = window.resets_at_ms.or(wait.map(|wait| now_ms.saturating_add(wait)));
                }),
            }
            return;
        }
    }

    fn set(&mut self, name: &str, change: impl FnOnce(&mut Window)) {
        if let Some(window) = self.windows.iter_mut().find(|window| window.name.eq_ignore_ascii_case(name)) {
            change(window);
        } else if self.windows.len() < MOST && !name.is_empty() && name.len() <= LONGEST_NAME {
            let mut window = Window { name: name.to_ascii_lowercase(), ..Window::default() };
            change(&mut window);
            self.windows.push(window);
        }
    }

    fn retry_at(&mut self, at_ms: u64) {
        self.retry_at_ms = self.retry_at_ms.max(Some(at_ms));
    }
}

#[derive(Deserialize)]
struct Body {
    error: Option<BodyError>,
}

#[derive(Deserialize)]
struct BodyError {
    #[serde(default)]
    details: Option<Vec<Detail>>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    resets_at: Option<u64>,
    #[serde(default)]
    resets_in_seconds: Option<u64>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default, rename = "@type")]
    kind: Option<String>,
    #[serde(default, rename = "retryDelay")]
    retry_delay: Option<String>,
}

fn strip<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// A time as RFC 3339 or as seconds since the epoch, in milliseconds since the epoch, no further off than is believed.
fn instant(value: &str, now_ms: u64) -> Option<u64> {
    let at_ms = match value.parse::<u64>() {
        Ok(seconds) => seconds.saturating_mul(1000),
        Err(_) => u64::try_from(value.parse::<Timestamp>().ok()?.as_millisecond()).ok()?,
    };
    Some(bounded(at_ms, now_ms))
}

/// A month is as far off as any quota begins anew.
fn bounded(at_ms: u64, now_ms: u64) -> u64 {
    at_ms.min(now_ms.saturating_add(31 * 24 * 3_600_000))
}

/// A duration such as `6m0s`, `120ms`, `1h2m3.5s` or `31s`, in milliseconds.
fn duration(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at_checked(end)?;
        let length = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, after) = unit.split_at_checked(length)?;
        // In thousandths of the unit.
        let amount = retry::seconds(number)?;
        sum = sum.saturating_add(match unit {
            "d" => amount.saturating_mul(24 * 3_600),
            "h" => amount.saturating_mul(3_600),
            "m" => amount.saturating_mul(60),
            "s" => amount,
            "ms" => amount.div_ceil(1000),
            "us" | "µs" | "ns" => 1,
            _ => return None,
        });
        rest = after;
    }
    Some(sum.min(retry::LONGEST_MS))
}

/// A decimal number times `scale`, rounded up, as a share per mille.
fn per_mille(value: &str, scale: u64) -> Option<u64> {
    let thousandths = retry::seconds(value)?;
    Some(thousandths.saturating_mul(scale).div_ceil(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_779_440_000_000; // 2026-05-22T08:53:20Z

    fn read(headers: &[(&str, &str)]) -> Quota {
        Quota::read(headers.iter().copied(), NOW)
    }

    #[test]
    fn anthropics_windows_are_read() {
        let quota = read(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-05-22T08:54:20Z"),
            ("Anthropic-RateLimit-Input-Tokens-Remaining", "29000"),
        ]);
        assert_eq!(
            quota.window("requests"),
            Some(&Window {
                name: "requests".to_owned(),
                limit: Some(50),
                remaining: Some(0),
                resets_at_ms: Some(NOW + 60_000),
                length_ms: Some(60_000),
                ..Window::default()
            })
        );
        assert_eq!(quota.window("input-tokens").unwrap().remaining, Some(29_000));
        assert!(!quota.has_left(NOW) && quota.has_left(NOW + 60_000));
    }

    #[test]
    fn a_subscription_that_is_used_up_parks_its_session() {
        let quota = read(&[
            ("anthropic-ratelimit-unified-status", "rejected"),
            ("anthropic-ratelimit-unified-reset", "1779450000"),
            ("anthropic-ratelimit-unified-5h-utilization", "1.02"),
            ("anthropic-ratelimit-unified-5h-reset", "1779450000"),
            ("anthropic-ratelimit-unified-5h-status", "rejected"),
            ("anthropic-ratelimit-unified-7d-utilization", "0.5"),
            ("anthropic-ratelimit-unified-7d-reset", "1780000000"),
            ("anthropic-ratelimit-unified-overage-status", "rejected"),
            ("retry-after", "10000"),
        ]);
        assert_eq!(quota.window("5h").unwrap().used_per_mille, Some(1_020));
        assert_eq!(quota.window("7d").unwrap().used_per_mille, Some(500));
        assert!(!quota.window("7d").unwrap().is_used_up());
        let park = Park { until_ms: 1_779_450_000_000, window: Some("5h".to_owned()) };
        assert_eq!(quota.park(429, NOW, SHORT_MS), Some(park));
        assert_eq!(quota.park(200, NOW, SHORT_MS), None, "it was answered");
        assert_eq!(quota.park(529, NOW, SHORT_MS), None, "overload is not the session's");
    }

    #[test]
    fn openais_and_codexs_windows_are_read() {
        let quota = read(&[
            ("x-ratelimit-limit-requests", "10000"),
            ("x-ratelimit-remaining-requests", "9999"),
            ("x-ratelimit-reset-requests", "8.64s"),
            ("x-ratelimit-reset-tokens", "6m0s"),
            ("X-Codex-Primary-Used-Percent", "28.5"),
            ("X-Codex-Primary-Window-Minutes", "300"),
            ("X-Codex-Primary-Reset-After-Seconds", "60"),
            ("X-Codex-Primary-Reset-At", "1779443600"),
            ("x-codex-secondary-reset-after-seconds", "120"),
            ("x-codex-secondary-used-percent", "100"),
            ("x-codex-secondary-window-minutes", "0"),
            ("x-codex-primary-over-secondary-limit-percent", "3"),
            ("x-codex-bengalfox-primary-used-percent", "0"),
        ]);
        assert_eq!(quota.window("requests").unwrap().resets_at_ms, Some(NOW + 8_640));
        assert_eq!(quota.window("tokens").unwrap().resets_at_ms, Some(NOW + 360_000));
        let primary = quota.window("codex-primary").unwrap();
        assert_eq!(
            (primary.used_per_mille, primary.length_ms, primary.resets_at_ms),
            (Some(285), Some(18_000_000), Some(NOW + 3_600_000)),
            "the time itself is better than the countdown"
        );
        let secondary = quota.window("codex-secondary").unwrap();
        assert_eq!((secondary.length_ms, secondary.resets_at_ms), (None, Some(NOW + 120_000)));
        assert_eq!(quota.park(429, NOW, SHORT_MS).unwrap().window.as_deref(), Some("codex-secondary"));
        assert_eq!(quota.windows.len(), 5);
    }

    #[test]
    fn bodies_say_when_to_come_again() {
        let google = br#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[
            {"@type":"type.googleapis.com/google.rpc.Help"},
            {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"91.5s"}]}}"#;
        let mut quota = Quota::default();
        quota.read_body(google, NOW);
        assert_eq!(quota.park(429, NOW, SHORT_MS), Some(Park { until_ms: NOW + 91_500, window: None }));
        let mut quota = Quota::default();
        quota.read_body(br#"{"error":{"type":"usage_limit_reached","resets_in_seconds":7200}}"#, NOW);
        assert_eq!(quota.retry_at_ms, Some(NOW + 7_200_000));
        for body in
            [&b"nonsense"[..], b"{}", b"[]", br#"{"error":"x"}"#, br#"{"error":{"details":[{"retryDelay":"9s"}]}}"#]
        {
            let mut quota = Quota::default();
            quota.read_body(body, NOW);
            assert_eq!(quota, Quota::default());
        }
    }

    #[test]
    fn a_short_wait_parks_nobody_and_nonsense_is_nothing() {
        assert_eq!(read(&[("retry-after", "59")]).park(429, NOW, SHORT_MS), None);
        assert_eq!(
            read(&[("retry-after", "60")]).park(429, NOW, SHORT_MS),
            Some(Park { until_ms: NOW + 60_000, window: None })
        );
        assert_eq!(read(&[]).park(429, NOW, SHORT_MS), None);
        let odd = read(&[
            ("anthropic-ratelimit-tokens-remaining", "-1"),
            ("anthropic-ratelimit-tokens-reset", "tomorrow"),
            ("x-ratelimit-reset-tokens", "soon"),
            ("retry-after", "soon"),
        ]);
        assert_eq!(
            odd.window("tokens"),
            Some(&Window { name: "tokens".to_owned(), length_ms: Some(60_000), ..Window::default() })
        );
        assert_eq!(odd.retry_at_ms, None);
        let far = read(&[("anthropic-ratelimit-unified-5h-reset", "99999999999999")]);
        assert_eq!(far.window("5h").unwrap().resets_at_ms, Some(NOW + 31 * 24 * 3_600_000));
        let many: Vec<(String, String)> =
            (0..100).map(|at| (format!("x-ratelimit-limit-{at}"), "1".to_owned())).collect();
        let many = Quota::read(many.iter().map(|(name, value)| (name.as_str(), value.as_str())), NOW);
        assert_eq!(many.windows.len(), MOST);
    }

    #[test]
    fn durations_are_read() {
        for (text, expected) in [
            ("6m0s", Some(360_000)),
            ("1h2m3.5s", Some(3_723_500)),
            ("120ms", Some(120)),
            ("1.5ms", Some(2)),
            ("0s", Some(0)),
            ("2d", Some(172_800_000)),
            ("", None),
            ("5", None),
            ("s", None),
            ("5x", None),
            ("1s2", None),
        ] {
            assert_eq!(duration(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_vendor_says_brings_it_down(
            name in "(anthropic-ratelimit-|x-ratelimit-|x-codex-|retry-after)[a-zé-]{0,30}", value in ".{0,30}",
            body in prop::collection::vec(any::<u8>(), 0..100), now in any::<u64>(), status in any::<u16>()
        ) {
            let mut quota = Quota::read([(name.as_str(), value.as_str())], now);
            quota.read_body(&body, now);
            if let Some(park) = quota.park(status, now, SHORT_MS) {
                prop_assert!(park.until_ms >= now);
            }
        }
    }
}
