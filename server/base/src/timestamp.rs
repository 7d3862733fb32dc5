//! Conversion of times to and from protobuf's `Timestamp`, the form in which records store them.

use prost_types::Timestamp;
use time::OffsetDateTime;
use time::error::ComponentRange;

/// Converts a time to its stored form.
#[must_use]
pub fn to_timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp {
        seconds: at.unix_timestamp(),
        nanos: at.nanosecond().cast_signed(),
    }
}

/// Converts a stored time.
///
/// # Errors
/// The time is outside the supported years.
pub fn from_timestamp(at: &Timestamp) -> Result<OffsetDateTime, ComponentRange> {
    let nanos = i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
}

/// Converts a stored time. A missing time, or one outside the supported years, becomes the Unix epoch.
#[must_use]
pub fn from_timestamp_or_epoch(at: Option<&Timestamp>) -> OffsetDateTime {
    at.and_then(|at| from_timestamp(at).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip_to_the_nanosecond() {
        for (seconds, nanos) in [(0, 0), (1_700_000_000, 999_999_999), (-1, 1)] {
            let stored = Timestamp { seconds, nanos };
            let at = from_timestamp(&stored).expect("in range");
            assert_eq!((at.unix_timestamp(), to_timestamp(at)), (seconds, stored));
        }
    }

    #[test]
    fn missing_and_impossible_times_become_the_epoch_on_request() {
        let impossible = Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        };
        assert!(from_timestamp(&impossible).is_err());
        for at in [None, Some(&impossible)] {
            assert_eq!(from_timestamp_or_epoch(at), OffsetDateTime::UNIX_EPOCH);
        }
    }
}
