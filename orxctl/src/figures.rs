//! Figures for a person: durations, ages, tokens, money, sizes. What is not known is said as `unknown`.

use std::time::Duration;

use orx_protocol::api::run::Tokens;

/// What stands for a figure that nobody reported.
pub(crate) const UNKNOWN: &str = "unknown";

/// A duration of this many milliseconds.
#[must_use]
pub(crate) fn duration_ms(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds}ms"),
        1..=9 => format!("{}.{}s", seconds, milliseconds % 1000 / 100),
        10..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..=86_399 => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// How long ago a moment was, in one unit.
#[must_use]
pub(crate) fn age(then_ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(then_ms) / 1000;
    match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m", seconds / 60),
        3600..=86_399 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A count with `k`, `M` or `G`.
#[must_use]
pub(crate) fn count(number: u64) -> String {
    let scaled = |unit: u64, name: &str| format!("{}.{}{name}", number / unit, number % unit * 10 / unit);
    match number {
        0..=999 => number.to_string(),
        1_000..=999_999 => scaled(1_000, "k"),
        1_000_000..=999_999_999 => scaled(1_000_000, "M"),
        _ => scaled(1_000_000_000, "G"),
    }
}

/// Micro-dollars as dollars: two places from a dollar on, four below.
#[must_use]
pub(crate) fn money(micro_dollars: Option<u64>) -> String {
    match micro_dollars {
        None => UNKNOWN.to_owned(),
        Some(micro) if micro >= 1_000_000 => format!("${}.{:02}", micro / 1_000_000, micro % 1_000_000 / 10_000),
        // What costs something is never said to cost nothing.
        Some(1..100) => "<$0.0001".to_owned(),
        Some(micro) => format!("$0.{:04}", micro / 100),
    }
}

/// Tokens in and out.
#[must_use]
pub(crate) fn tokens(tokens: Tokens) -> String {
    if tokens == Tokens::default() {
        return UNKNOWN.to_owned();
    }
    let known = |figure: Option<u64>| figure.map_or_else(|| UNKNOWN.to_owned(), count);
    let cached = tokens.cached.map_or_else(String::new, |cached| format!(" ({} cached)", count(cached)));
    format!("{} in{cached}, {} out", known(tokens.input), known(tokens.output))
}

/// A size in bytes.
#[must_use]
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    UNITS.iter().find(|(unit, _)| bytes >= *unit).map_or_else(
        || format!("{bytes} B"),
        |(unit, name)| format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
    )
}

/// `1 session`, `2 sessions`, `3 processes`.
#[must_use]
pub(crate) fn plural(number: u64, one: &str) -> String {
    let end = if one.ends_with('s') { "es" } else { "s" };
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}{end}") }
}

/// A moment in UTC, to the millisecond.
#[must_use]
pub(crate) fn moment(at_ms: u64) -> String {
    i64::try_from(at_ms)
        .ok()
        .and_then(|milliseconds| jiff::Timestamp::from_millisecond(milliseconds).ok())
        .map_or_else(|| UNKNOWN.to_owned(), |moment| format!("{moment:.3}"))
}

/// Reads a duration from the command line: a number of seconds, or a number with `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is no duration: give seconds, or a number with ms, s, m, h or d, such as 90s or 5m");
    let split = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).map(Duration::from_millis).ok_or_else(wrong)
}

/// Milliseconds of a duration.
#[must_use]
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_honest() {
        let durations = [
            (0, "0ms"),
            (850, "850ms"),
            (4_230, "4.2s"),
            (59_000, "59s"),
            (61_000, "1m 01s"),
            (7_380_000, "2h 03m"),
            (90_000_000, "1d 01h"),
        ];
        for (given, wanted) in durations {
            assert_eq!(duration_ms(given), wanted);
        }
        assert_eq!(age(1_000, 500), "0s");
        assert_eq!(age(0, 7_300_000), "2h");
        assert_eq!([count(999), count(1_234), count(2_500_000)], ["999", "1.2k", "2.5M"]);
        assert_eq!(
            [money(None), money(Some(0)), money(Some(12_345)), money(Some(3_456_789))],
            ["unknown", "$0.0000", "$0.0123", "$3.45"]
        );
        assert_eq!(tokens(Tokens::default()), "unknown");
        assert_eq!(
            tokens(Tokens { input: Some(1500), output: None, cached: Some(10) }),
            "1.5k in (10 cached), unknown out"
        );
        assert_eq!([size(12), size(1536), size(3 << 30)], ["12 B", "1.5 KiB", "3.0 GiB"]);
        assert_eq!(moment(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(moment(u64::MAX), "unknown");
        assert_eq!([plural(1, "run"), plural(0, "run"), plural(3, "process")], ["1 run", "0 runs", "3 processes"]);
    }

    #[test]
    fn durations_are_read_with_and_without_a_unit() {
        let read = |text: &str| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(read("90"), Ok(90_000));
        assert_eq!(read("500ms"), Ok(500));
        assert_eq!(read("5m"), Ok(300_000));
        assert_eq!(read("1d"), Ok(86_400_000));
        for bad in ["", "s", "1.5s", "-1", "5 m", "99999999999999999999", "18446744073709551615d"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
