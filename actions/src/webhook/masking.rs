//! Masks secrets in what a webhook answers: services echo the headers and parameters that they were sent,
//! and the log is read by more people than may know the server's variables.
//!
//! Looks for the values as they are, and as answers usually write them: percent-encoded, escaped for JSON,
//! HTML or source text (character by character, in any mixture), in base64 at any offset, in hexadecimal
//! digits. A receiver that hides a value in another way on purpose has it anyway.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use crate::env::MASK;

/// Shorter values are not looked for: they are part of ordinary words.
const MIN_SECRET_CHARS: usize = 4;
/// Longer values are looked for piece by piece, which bounds the work of one look.
const MAX_PIECE_CHARS: usize = 256;
/// Pieces that are looked for. If there are more, all of the text is masked.
const MAX_PIECES: usize = 1024;
/// Comparisons of a secret's character with a place of the text, for one text. A secret of backslashes can be read
/// in very many ways where a text has many. Behind the last comparison, all of the text is masked.
const MAX_COMPARISONS: usize = 2_000_000;
/// The longest way of writing one character: `&#x10FFFF;`, or its UTF-8 in percent signs.
const MAX_WRITTEN_BYTES: usize = 12;

/// What stands in a log for an answer that was not searched for secrets, or not to its end.
const NOT_SEARCHED: &str =
    "******* [the rest is not shown: searching it for secrets takes too long]";

/// The values that one request was sent with. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Masker {
    pieces: Arc<Vec<Vec<char>>>,
    /// Whether there are more pieces than are looked for.
    is_overfull: bool,
}

impl Masker {
    /// Looks for these values, and for what they look like in other writings.
    pub(super) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut pieces = Vec::new();
        for value in values.into_iter().map(str::trim) {
            for text in writings(value) {
                let chars: Vec<char> = text.chars().collect();
                let whole = chars.chunks(MAX_PIECE_CHARS);
                pieces.extend(
                    whole
                        .filter(|p| p.len() >= MIN_SECRET_CHARS)
                        .map(<[char]>::to_vec),
                );
            }
        }
        pieces.sort();
        pieces.dedup();
        Self {
            is_overfull: pieces.len() > MAX_PIECES,
            pieces: Arc::new(pieces),
        }
    }

    /// How many bytes beyond a cut may belong to a value that begins before it.
    pub(super) fn lookahead(&self) -> usize {
        let longest = self.pieces.iter().map(Vec::len).max().unwrap_or(0);
        longest * MAX_WRITTEN_BYTES
    }

    /// The text with its secrets masked.
    pub(super) fn text(&self, text: &str) -> String {
        let masked = self.bytes(text.as_bytes(), text.len(), false);
        String::from_utf8_lossy(&masked).into_owned()
    }

    /// The first `limit` bytes with their secrets masked, also one that goes on beyond them. `broken_off`:
    /// the text may end within a secret, whose beginning is masked too.
    pub(super) fn bytes(&self, text: &[u8], limit: usize, broken_off: bool) -> Vec<u8> {
        let limit = limit.min(text.len());
        if self.pieces.is_empty() || limit == 0 {
            return text[..limit].to_vec();
        }
        if self.is_overfull {
            return NOT_SEARCHED.as_bytes().to_vec();
        }
        let starts = self.starts();
        let mut out = Vec::with_capacity(limit);
        let mut at = 0;
        let mut comparisons = 0;
        while at < limit {
            if !starts[usize::from(text[at])] {
                out.push(text[at]);
                at += 1;
                continue;
            }
            let found = self.longest_at(&text[at..], broken_off, &mut comparisons);
            if comparisons > MAX_COMPARISONS {
                out.extend_from_slice(NOT_SEARCHED.as_bytes());
                break;
            }
            match found {
                Some(length) => {
                    out.extend_from_slice(MASK.as_bytes());
                    at += length;
                }
                None => {
                    out.push(text[at]);
                    at += 1;
                }
            }
        }
        out
    }

    /// The bytes that any writing of a secret can begin with.
    fn starts(&self) -> [bool; 256] {
        let mut starts = [false; 256];
        for mark in b"+%\\&" {
            starts[usize::from(*mark)] = true;
        }
        for first in self.pieces.iter().filter_map(|piece| piece.first()) {
            let mut bytes = [0; 4];
            starts[usize::from(first.encode_utf8(&mut bytes).as_bytes()[0])] = true;
        }
        starts
    }

    /// How far a secret goes that begins here.
    fn longest_at(&self, text: &[u8], broken_off: bool, comparisons: &mut usize) -> Option<usize> {
        let found = self
            .pieces
            .iter()
            .filter_map(|piece| match look(text, piece, comparisons) {
                Look::Found(length) => Some(length),
                Look::Begun(chars) if broken_off && chars >= MIN_SECRET_CHARS => Some(text.len()),
                Look::Begun(_) | Look::No => None,
            });
        found.max()
    }
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masker")
            .field("pieces", &self.pieces.len())
            .finish_non_exhaustive()
    }
}

/// A value, and what it is in base64 and hexadecimal digits. Other writings are found character by character.
fn writings(value: &str) -> Vec<String> {
    if value.chars().count() < MIN_SECRET_CHARS {
        return Vec::new();
    }
    let mut all = vec![value.to_owned()];
    for offset in 0..3 {
        let mut bytes = vec![0; offset];
        bytes.extend_from_slice(value.as_bytes());
        // Characters that are made of the value's bits alone: not of what is before and behind it.
        let from = (offset * 8).div_ceil(6);
        let to = bytes.len() * 8 / 6;
        for engine in [&STANDARD, &URL_SAFE] {
            all.push(engine.encode(&bytes)[from..to].to_owned());
        }
    }
    let hex = hex::encode(value);
    all.push(hex.to_uppercase());
    all.push(hex);
    all
}

/// What a look at the beginning of a text came to.
enum Look {
    /// The secret is there, so many bytes long.
    Found(usize),
    /// The text ends after so many characters of the secret (or within one, for a single character: 0).
    Begun(usize),
    No,
}

/// Looks for a secret at the beginning of a text, in any writing of each of its characters.
fn look(text: &[u8], secret: &[char], comparisons: &mut usize) -> Look {
    // Where the characters so far may end. Few at a time: writings of one character differ.
    let mut ends = vec![0];
    for (count, c) in secret.iter().enumerate() {
        let mut next = Vec::new();
        let mut begun = false;
        *comparisons += ends.len();
        if *comparisons > MAX_COMPARISONS {
            return Look::No;
        }
        for end in ends {
            let rest = &text[end..];
            begun |= rest.is_empty() || written(*c, rest, |length| next.push(end + length));
        }
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            return if begun { Look::Begun(count) } else { Look::No };
        }
        ends = next;
    }
    ends.last().map_or(Look::No, |end| Look::Found(*end))
}

/// Tells the length of every writing of a character that a text begins with. Returns whether the text
/// ends within one.
fn written(c: char, text: &[u8], mut found: impl FnMut(usize)) -> bool {
    let mut begun = false;
    let mut exact = |writing: Writing<'_>| match writing.at(text) {
        Look::Found(length) => found(length),
        Look::Begun(_) => begun = true,
        Look::No => {}
    };
    let (mut raw, mut units) = ([0; 4], [0; 2]);
    let raw = c.encode_utf8(&mut raw).as_bytes();
    exact(Writing::Plain(raw));
    match text.first() {
        Some(b'+') if c == ' ' => exact(Writing::Plain(b"+")),
        Some(b'%') => exact(Writing::Hex(b"%", raw)),
        Some(b'\\') => {
            let letter = match c {
                '\n' => b'n',
                '\r' => b'r',
                '\t' => b't',
                '\u{8}' => b'b',
                '\u{c}' => b'f',
                _ => raw[0],
            };
            exact(Writing::Plain(
                &[b'\\', letter][..if c.is_ascii() { 2 } else { 0 }],
            ));
            exact(Writing::Hex(b"\\x", raw));
            exact(Writing::Utf16(c.encode_utf16(&mut units)));
        }
        Some(b'&') => {
            let name: &[u8] = match c {
                '&' => b"&amp;",
                '<' => b"&lt;",
                '>' => b"&gt;",
                '"' => b"&quot;",
                '\'' => b"&apos;",
                _ => b"",
            };
            exact(Writing::Plain(name));
            exact(Writing::Reference(c));
        }
        _ => {}
    }
    begun
}

/// One way of writing a character.
enum Writing<'a> {
    /// These bytes. None: not a way.
    Plain(&'a [u8]),
    /// Each byte in two hexadecimal digits behind a mark.
    Hex(&'a [u8], &'a [u8]),
    /// Each unit in four hexadecimal digits behind `\u`.
    Utf16(&'a [u16]),
    /// `&#39;` or `&#x27;`, with zeros before the number.
    Reference(char),
}

impl Writing<'_> {
    /// Whether a text begins with this writing, or is the beginning of it.
    fn at(&self, text: &[u8]) -> Look {
        match self {
            Self::Plain(b"") => Look::No,
            Self::Plain(bytes) if text.starts_with(bytes) => Look::Found(bytes.len()),
            Self::Plain(bytes) if bytes.starts_with(text) => Look::Begun(0),
            Self::Plain(_) => Look::No,
            Self::Hex(mark, bytes) => hex_units(text, mark, 2, bytes.iter().map(|b| (*b).into())),
            Self::Utf16(units) => hex_units(text, b"\\u", 4, units.iter().map(|u| (*u).into())),
            Self::Reference(c) => reference(text, *c),
        }
    }
}

/// Numbers in so many hexadecimal digits, in large or small letters, each behind a mark.
fn hex_units(text: &[u8], mark: &[u8], digits: usize, units: impl Iterator<Item = u32>) -> Look {
    let mut at = 0;
    for unit in units {
        let rest = &text[at..];
        let (head, number) = rest.split_at(mark.len().min(rest.len()));
        if !mark.starts_with(head) {
            return Look::No;
        }
        for place in 0..digits {
            let Some(digit) = number.get(place) else {
                return Look::Begun(0);
            };
            let expected = unit >> (4 * (digits - 1 - place)) & 0xf;
            if char::from(*digit).to_digit(16) != Some(expected) {
                return Look::No;
            }
        }
        at += mark.len() + digits;
    }
    Look::Found(at)
}

fn reference(text: &[u8], c: char) -> Look {
    let head = &text[..text.len().min(MAX_WRITTEN_BYTES)];
    let Some(number) = head.strip_prefix(b"&#") else {
        return if b"&#".starts_with(head) {
            Look::Begun(0)
        } else {
            Look::No
        };
    };
    let (number, radix) = match number.first() {
        Some(b'x' | b'X') => (&number[1..], 16),
        _ => (number, 10),
    };
    let Some(end) = number.iter().position(|digit| *digit == b';') else {
        return if head.len() == text.len() {
            Look::Begun(0)
        } else {
            Look::No
        };
    };
    let value = std::str::from_utf8(&number[..end]).ok();
    let is_it = value.and_then(|v| u32::from_str_radix(v, radix).ok()) == Some(c.into());
    if is_it {
        Look::Found(head.len() - number.len() + end + 1)
    } else {
        Look::No
    }
}

/// Masks an answer, whole and cut, for [`crate::fuzzing`]. No writing of the secret as it is may be left.
pub(super) fn try_answer(secret: &str, answer: &[u8]) {
    let masker = Masker::new([secret]);
    let secret = secret.trim();
    let is_looked_for = (MIN_SECRET_CHARS..=MAX_PIECE_CHARS).contains(&secret.chars().count());
    for (limit, broken_off) in [(answer.len(), false), (answer.len() / 2, true)] {
        let shown = masker.bytes(answer, limit, broken_off);
        // The mask itself could be part of a secret with asterisks.
        if is_looked_for && !secret.contains('*') {
            let is_shown = shown
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!is_shown, "a secret is shown");
        }
    }
}

#[cfg(test)]
#[path = "masking_tests.rs"]
mod tests;
