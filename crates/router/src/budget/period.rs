//! Days and months of a time zone as spans of milliseconds. The last span is remembered, so that a call costs no calendar.

use jiff::Timestamp;
use jiff::ToSpan as _;
use jiff::tz::TimeZone;

use super::cap::Period;

/// Where a period begins and where the next one does, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Its first millisecond.
    pub(super) start_ms: u64,
    /// The first of the next; `None` when there is no next.
    pub(super) end_ms: Option<u64>,
}

/// What has no end.
const EVER: Span = Span { start_ms: 0, end_ms: None };

/// The calendar of a time zone.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    zone: TimeZone,
    day: Span,
    month: Span,
}

impl Calendar {
    pub(super) const fn new(zone: TimeZone) -> Self {
        let nothing = Span { start_ms: 0, end_ms: Some(0) };
        Self { zone, day: nothing, month: nothing }
    }

    /// The period that `wall_ms` lies in.
    pub(super) fn span(&mut self, period: Period, wall_ms: u64) -> Span {
        let known = match period {
            Period::Day => self.day,
            Period::Month => self.month,
            Period::Ever => return EVER,
        };
        if known.start_ms <= wall_ms && known.end_ms.is_some_and(|end| wall_ms < end) {
            return known;
        }
        // A time that no calendar has lies in the only period there is.
        let span = self.look_up(period, wall_ms).unwrap_or(EVER);
        match period {
            Period::Day => self.day = span,
            Period::Month => self.month = span,
            Period::Ever => {}
        }
        span
    }

    fn look_up(&self, period: Period, wall_ms: u64) -> Option<Span> {
        let now = Timestamp::from_millisecond(i64::try_from(wall_ms).ok()?).ok()?.to_zoned(self.zone.clone());
        let first = match period {
            Period::Month => now.date().first_of_month(),
            Period::Day | Period::Ever => now.date(),
        };
        let next = match period {
            Period::Month => first.checked_add(1.month()).ok()?,
            Period::Day | Period::Ever => first.tomorrow().ok()?,
        };
        let begin = |date: jiff::civil::Date| {
            let at = date.to_zoned(self.zone.clone()).ok()?.timestamp().as_millisecond();
            Some(u64::try_from(at).unwrap_or(0))
        };
        Some(Span { start_ms: begin(first)?, end_ms: Some(begin(next)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_zone_however_long_they_are() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let mut calendar = Calendar::new(zone);
        let hour = 3_600_000;
        for (name, at, hours) in [
            ("a usual day", "2026-11-20T12:00:00+01:00", 24),
            ("the short day", "2026-03-29T12:00:00+02:00", 23),
            ("the long day", "2026-10-25T12:00:00+01:00", 25),
        ] {
            let at: Timestamp = at.parse().unwrap();
            let at = u64::try_from(at.as_millisecond()).unwrap();
            let span = calendar.span(Period::Day, at);
            let end = span.end_ms.unwrap();
            assert_eq!(end - span.start_ms, hours * hour, "{name}");
            assert_eq!(calendar.span(Period::Day, span.start_ms), span, "{name}");
            assert_eq!(calendar.span(Period::Day, end - 1), span, "{name}");
            assert_eq!(calendar.span(Period::Day, end).start_ms, end, "{name}");
        }
        let month = calendar.span(Period::Month, 1_795_000_000_000);
        assert_eq!((month.end_ms.unwrap() - month.start_ms) / hour, 30 * 24);
        assert_eq!(calendar.span(Period::Ever, 5), EVER);
        assert_eq!(calendar.span(Period::Day, u64::MAX), EVER);
    }
}
