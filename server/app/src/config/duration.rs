//! Parses durations in Go's format, as in lakeFS's configuration files (`300ms`, `1.5h`, `1h30m`),
//! and days (`7d`).
//!
//! Other units are rejected. Months and years have no fixed length, and an unknown unit may be a typo.

use std::time::Duration;

/// Nanoseconds per unit. The first matching unit is used, so `ms` precedes `m`.
const UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3_600e9),
    ("d", 86_400e9),
];

/// Returns `None` for text that is not a duration and for negative durations. A duration that is too
/// long becomes [`Duration::MAX`].
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (number, behind) = rest.split_at(rest.find(|c| !is_number(c))?);
        let number: f64 = number.parse().ok()?;
        let (unit, nanos) = UNITS.iter().find(|(unit, _)| behind.starts_with(unit))?;
        let part = Duration::try_from_secs_f64(number * nanos / 1e9).unwrap_or(Duration::MAX);
        sum = sum.saturating_add(part);
        rest = &behind[unit.len()..];
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn go_durations_and_days_are_parsed() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("300ms", 300),
            ("1500us", 1),
            ("1.5h", 5_400_000),
            (".5m", 30_000),
            ("1h30m", 5_400_000),
            ("1m1s1ms", 61_001),
            ("+20s", 20_000),
            ("168h", 604_800_000),
            ("7d", 604_800_000),
            ("1d12h", 129_600_000),
        ] {
            let parsed = parse(text).map(|duration| duration.as_millis());
            assert_eq!(parsed, Some(millis), "{text}");
        }
        assert_eq!(parse("1\u{b5}s"), Some(Duration::from_micros(1)));
        assert_eq!(parse("99999999999999999999d"), Some(Duration::MAX));
    }

    #[test]
    fn other_text_is_rejected() {
        for text in [
            "", "+", "5", "h", "3 days", "3days", "1w", "1month", "1y", "5M", "1h 30m", "-1s",
            "1..5s", ".s", "1e3s", "inf", "NaNs", "1hour", "s5",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
