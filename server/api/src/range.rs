//! Parses the `Range` header. Like other object stores, it supports a single byte range.

use std::ops::Range;

/// A range outside the object, a malformed range, or several ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unsatisfiable;

/// The requested bytes of an object of `size` bytes, end exclusive.
///
/// Accepts `bytes=a-b` (`b` may exceed the end), `bytes=a-` and `bytes=-n` (the last n bytes). Returns none for other
/// units: the whole object is served then.
pub(crate) fn parse(header: &str, size: u64) -> Result<Option<Range<u64>>, Unsatisfiable> {
    let Some(spec) = header.trim().strip_prefix("bytes=") else {
        return Ok(None);
    };
    let (first, last) = spec.trim().split_once('-').ok_or(Unsatisfiable)?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| Unsatisfiable);
    let range = match (first.trim(), last.trim()) {
        ("", last) => size.saturating_sub(number(last)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return Err(Unsatisfiable);
            }
            first..last.saturating_add(1).min(size)
        }
    };
    if range.start >= size || range.is_empty() {
        Err(Unsatisfiable)
    } else {
        Ok(Some(range))
    }
}

#[cfg(test)]
mod tests {
    use super::{Unsatisfiable, parse};

    #[test]
    fn single_byte_ranges_are_parsed() {
        for (header, size, expected) in [
            ("bytes=2-4", 8, Ok(Some(2..5))),
            ("bytes=5-", 8, Ok(Some(5..8))),
            ("bytes=-3", 8, Ok(Some(5..8))),
            ("bytes=-30", 8, Ok(Some(0..8))),
            ("bytes=2-400", 8, Ok(Some(2..8))),
            ("bytes=0-0", 8, Ok(Some(0..1))),
            ("bytes=7-18446744073709551615", 8, Ok(Some(7..8))),
            ("items=1-2", 8, Ok(None)),
            ("bytes=-0", 8, Err(Unsatisfiable)),
            ("bytes=8-", 8, Err(Unsatisfiable)),
            ("bytes=50-60", 8, Err(Unsatisfiable)),
            ("bytes=4-2", 8, Err(Unsatisfiable)),
            ("bytes=0-1,3-4", 8, Err(Unsatisfiable)),
            ("bytes=99999999999999999999-", 8, Err(Unsatisfiable)),
            ("bytes=-", 8, Err(Unsatisfiable)),
            ("bytes=0-", 0, Err(Unsatisfiable)),
        ] {
            assert_eq!(parse(header, size), expected, "{header} of {size}");
        }
    }
}
