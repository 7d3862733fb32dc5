//! Offsets of keys that are not UTF-8, which only other software can store.
//!
//! Listings show such a key with replacement characters, and that text sorts elsewhere than the key. A page that
//! continued after the text would repeat keys or skip them. The offset therefore holds the bytes from the first invalid
//! one as hexadecimal digits, behind a mark: `a/` + [`MARK`] + `ff62` for `a/\xffb`.

use std::borrow::Cow;

/// Precedes the hexadecimal digits.
const MARK: &str = "\u{fffd}~";

/// The offset that continues after `key`: the key itself if it is UTF-8 and does not look like an encoded offset.
pub(super) fn encode(key: &[u8]) -> String {
    let valid = match std::str::from_utf8(key) {
        Ok(key) => match split(key) {
            None => return key.to_owned(),
            Some((before, _)) => before,
        },
        Err(error) => {
            let valid = key.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).unwrap_or_default()
        }
    };
    let rest = key.get(valid.len()..).unwrap_or_default();
    let digits: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{valid}{MARK}{digits}")
}

/// The key after which an offset continues.
pub(super) fn decode(offset: &str) -> Cow<'_, [u8]> {
    match split(offset) {
        None => Cow::Borrowed(offset.as_bytes()),
        Some((before, rest)) => Cow::Owned([before.as_bytes(), rest.as_slice()].concat()),
    }
}

/// Splits an encoded offset into its valid text and the bytes that follow. `None` for other texts.
fn split(offset: &str) -> Option<(&str, Vec<u8>)> {
    let (before, digits) = offset.rsplit_once(MARK)?;
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let pairs = digits.as_bytes().chunks_exact(2);
    let rest: Option<Vec<u8>> = pairs
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect();
    Some((before, rest?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{decode, encode};

    #[test]
    fn only_ambiguous_keys_are_encoded() {
        for (key, offset) in [
            (b"".as_slice(), ""),
            (b"a/b", "a/b"),
            ("é\u{fffd}~".as_bytes(), "é\u{fffd}~"),
            ("\u{fffd}~f".as_bytes(), "\u{fffd}~f"),
            ("\u{fffd}~FF".as_bytes(), "\u{fffd}~FF"),
            (b"a/\xffb", "a/\u{fffd}~ff62"),
            ("a\u{fffd}~ff".as_bytes(), "a\u{fffd}~efbfbd7e6666"),
        ] {
            assert_eq!(encode(key), offset);
            assert_eq!(*decode(offset), *key, "{offset}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: base::testing::cases(), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_key_survives(key in proptest::collection::vec(any::<u8>(), 0..12), text in "[a\u{fffd}~f0]{0,12}") {
            for key in [key.as_slice(), text.as_bytes()] {
                let offset = encode(key);
                prop_assert_eq!(&*decode(&offset), key);
            }
        }
    }
}
