//! Masks secrets in webhook responses. Services echo the headers and parameters that they receive,
//! and more people can read the log than may know the server's variables.
//!
//! Finds values in plain form and in common encodings: percent-encoded, escaped for JSON, HTML or
//! source code (per character, in any mixture), base64 at any offset, and hexadecimal. Other encodings
//! are not masked: a service that encodes a value on purpose knows the value anyway.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use graveler::Event;

use crate::computations::{Computations, ComputeError};
use crate::env::MASK;
use crate::runner::HookFailure;

/// Shorter values are not masked, because they occur in ordinary words.
const MIN_SECRET_CHARS: usize = 4;
/// Longer values are split into pieces of this length, which limits the work per comparison.
const MAX_PIECE_CHARS: usize = 256;
/// Maximum number of pieces. With more, no part of the text is shown.
const MAX_PIECES: usize = 1024;
/// Maximum number of comparisons between a secret's character and a position in one text. A secret
/// made of backslashes can match a text with many backslashes in very many ways. When the limit is
/// reached, the rest of the text is not shown.
const MAX_COMPARISONS: usize = 2_000_000;
/// Maximum length of one encoded character in the usual encodings: four `\x` escapes for the bytes
/// of its UTF-8, or less.
const MAX_ENCODED_BYTES: usize = 16;

/// Replaces text that was not searched for secrets.
const NOT_SEARCHED: &str =
    "******* [the rest is not shown: searching it for secrets takes too long]";

#[cfg(test)]
thread_local! {
    /// Number of searches that ran on this thread.
    pub(super) static SEARCHES_ON_THREAD: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Masks the values that were sent with one request. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Masker {
    pieces: Arc<Vec<Vec<char>>>,
    /// True if there are more pieces than [`MAX_PIECES`].
    is_overfull: bool,
}

impl Masker {
    /// Creates a masker for these values and their encodings.
    pub(super) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut pieces = Vec::new();
        for value in values.into_iter().map(str::trim) {
            for text in encodings(value) {
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

    /// Returns how many bytes after the end of a truncated text are needed to recognize a value that
    /// starts before the end.
    pub(super) fn lookahead(&self) -> usize {
        let longest = self.pieces.iter().map(Vec::len).max().unwrap_or(0);
        longest * MAX_ENCODED_BYTES
    }

    /// Masks the secrets in a string.
    pub(super) fn text(&self, text: &str) -> String {
        let masked = self.bytes(text.as_bytes(), text.len(), false);
        String::from_utf8_lossy(&masked).into_owned()
    }

    /// Masks the secrets in the first `limit` bytes, including a secret that extends beyond them.
    /// If `broken_off` is set, the text may end inside a secret, and the start of that secret is
    /// masked too.
    pub(super) fn bytes(&self, text: &[u8], limit: usize, broken_off: bool) -> Vec<u8> {
        let limit = limit.min(text.len());
        if self.pieces.is_empty() || limit == 0 {
            return text[..limit].to_vec();
        }
        #[cfg(test)]
        SEARCHES_ON_THREAD.with(|count| count.set(count.get() + 1));
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

    /// Returns the bytes that an encoded secret can start with.
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

    /// Returns the length of the longest secret that starts at the beginning of `text`.
    fn longest_at(&self, text: &[u8], broken_off: bool, comparisons: &mut usize) -> Option<usize> {
        let found =
            self.pieces
                .iter()
                .filter_map(|piece| match match_secret(text, piece, comparisons) {
                    Match::Found(length) => Some(length),
                    Match::Partial(chars) if broken_off && chars >= MIN_SECRET_CHARS => {
                        Some(text.len())
                    }
                    Match::Partial(_) | Match::Mismatch => None,
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

/// Searches responses for the secrets that were sent with one request, in the share of a repository.
#[derive(Debug, Clone)]
pub(super) struct SecretSearch {
    masker: Masker,
    computations: Computations,
    repository: String,
}

impl SecretSearch {
    pub(super) fn new(masker: Masker, computations: &Computations, event: &Event) -> Self {
        Self {
            masker,
            computations: computations.clone(),
            repository: event.repository.partition(),
        }
    }

    /// See [`Masker::lookahead`].
    pub(super) fn lookahead(&self) -> usize {
        self.masker.lookahead()
    }

    /// Runs `search`, which masks text, off the serving threads. Searching long text may take many
    /// milliseconds.
    ///
    /// # Errors
    /// If the search panics, if no thread is free in time, or if the server stops before the search begins.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        search: impl FnOnce(&Masker) -> T + Send + 'static,
    ) -> Result<T, HookFailure> {
        let masker = self.masker.clone();
        let searched = self
            .computations
            .run(&self.repository, move || search(&masker));
        searched.await.map_err(|e| not_searched(&e))
    }
}

/// Returns the failure of a hook whose response was not searched.
fn not_searched(error: &ComputeError) -> HookFailure {
    let why = match error {
        ComputeError::Busy(_) => error.to_string(),
        ComputeError::Ended(e) if e.is_panic() => "the search failed".to_owned(),
        ComputeError::Ended(_) => "the server is shutting down".to_owned(),
    };
    HookFailure::new(format!(
        "the response was not searched for secrets, so it is not used: {why}"
    ))
}

/// Returns a value with its base64 and hexadecimal encodings. Other encodings are matched per
/// character.
fn encodings(value: &str) -> Vec<String> {
    if value.chars().count() < MIN_SECRET_CHARS {
        return Vec::new();
    }
    let mut all = vec![value.to_owned()];
    for offset in 0..3 {
        let mut bytes = vec![0; offset];
        bytes.extend_from_slice(value.as_bytes());
        // Keeps only base64 characters that depend on the value alone and not on adjacent bytes.
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

/// Result of comparing a secret with the beginning of a text.
enum Match {
    /// The secret matches and has this many bytes.
    Found(usize),
    /// The text ends after this many characters of the secret. For a single character, 0 means that
    /// the text ends inside it.
    Partial(usize),
    Mismatch,
}

/// Compares a secret with the beginning of a text. Each character may be in any encoding.
fn match_secret(text: &[u8], secret: &[char], comparisons: &mut usize) -> Match {
    // Possible end positions of the characters matched so far. There are only a few, because
    // encodings of a character differ.
    let mut ends = vec![0];
    for (count, c) in secret.iter().enumerate() {
        let mut next = Vec::new();
        let mut begun = false;
        *comparisons += ends.len();
        if *comparisons > MAX_COMPARISONS {
            return Match::Mismatch;
        }
        for end in ends {
            let rest = &text[end..];
            begun |= rest.is_empty() || encoded_lengths(*c, rest, |length| next.push(end + length));
        }
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            return if begun {
                Match::Partial(count)
            } else {
                Match::Mismatch
            };
        }
        ends = next;
    }
    ends.last()
        .map_or(Match::Mismatch, |end| Match::Found(*end))
}

/// Reports the length of every encoding of a character that `text` starts with. Returns whether the
/// text ends inside one.
fn encoded_lengths(c: char, text: &[u8], mut found: impl FnMut(usize)) -> bool {
    let mut begun = false;
    let mut exact = |writing: Encoding<'_>| match writing.at(text) {
        Match::Found(length) => found(length),
        Match::Partial(_) => begun = true,
        Match::Mismatch => {}
    };
    let (mut raw, mut units) = ([0; 4], [0; 2]);
    let raw = c.encode_utf8(&mut raw).as_bytes();
    exact(Encoding::Plain(raw));
    match text.first() {
        Some(b'+') if c == ' ' => exact(Encoding::Plain(b"+")),
        Some(b'%') => exact(Encoding::Hex(b"%", raw)),
        Some(b'\\') => {
            let letter = match c {
                '\n' => b'n',
                '\r' => b'r',
                '\t' => b't',
                '\u{8}' => b'b',
                '\u{c}' => b'f',
                _ => raw[0],
            };
            exact(Encoding::Plain(
                &[b'\\', letter][..if c.is_ascii() { 2 } else { 0 }],
            ));
            exact(Encoding::Hex(b"\\x", raw));
            exact(Encoding::Utf16(c.encode_utf16(&mut units)));
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
            exact(Encoding::Plain(name));
            exact(Encoding::Reference(c));
        }
        _ => {}
    }
    begun
}

/// An encoding of a character.
enum Encoding<'a> {
    /// Literal bytes. Empty if the encoding does not exist for this character.
    Plain(&'a [u8]),
    /// Each byte as two hexadecimal digits after a prefix.
    Hex(&'a [u8], &'a [u8]),
    /// Each UTF-16 unit as four hexadecimal digits after `\u`.
    Utf16(&'a [u16]),
    /// `&#39;` or `&#x27;`, with optional leading zeros.
    Reference(char),
}

impl Encoding<'_> {
    /// Compares the encoding with the beginning of a text.
    fn at(&self, text: &[u8]) -> Match {
        match self {
            Self::Plain(b"") => Match::Mismatch,
            Self::Plain(bytes) if text.starts_with(bytes) => Match::Found(bytes.len()),
            Self::Plain(bytes) if bytes.starts_with(text) => Match::Partial(0),
            Self::Plain(_) => Match::Mismatch,
            Self::Hex(mark, bytes) => hex_units(text, mark, 2, bytes.iter().map(|b| (*b).into())),
            Self::Utf16(units) => hex_units(text, b"\\u", 4, units.iter().map(|u| (*u).into())),
            Self::Reference(c) => reference(text, *c),
        }
    }
}

/// Matches numbers with a fixed count of hexadecimal digits, in either case, each after a prefix.
fn hex_units(text: &[u8], mark: &[u8], digits: usize, units: impl Iterator<Item = u32>) -> Match {
    let mut at = 0;
    for unit in units {
        let rest = &text[at..];
        let (head, number) = rest.split_at(mark.len().min(rest.len()));
        if !mark.starts_with(head) {
            return Match::Mismatch;
        }
        for place in 0..digits {
            let Some(digit) = number.get(place) else {
                return Match::Partial(0);
            };
            let expected = unit >> (4 * (digits - 1 - place)) & 0xf;
            if char::from(*digit).to_digit(16) != Some(expected) {
                return Match::Mismatch;
            }
        }
        at += mark.len() + digits;
    }
    Match::Found(at)
}

fn reference(text: &[u8], c: char) -> Match {
    let head = &text[..text.len().min(MAX_ENCODED_BYTES)];
    let Some(number) = head.strip_prefix(b"&#") else {
        return if b"&#".starts_with(head) {
            Match::Partial(0)
        } else {
            Match::Mismatch
        };
    };
    let (number, radix) = match number.first() {
        Some(b'x' | b'X') => (&number[1..], 16),
        _ => (number, 10),
    };
    let Some(end) = number.iter().position(|digit| *digit == b';') else {
        return if head.len() == text.len() {
            Match::Partial(0)
        } else {
            Match::Mismatch
        };
    };
    let value = std::str::from_utf8(&number[..end]).ok();
    let is_it = value.and_then(|v| u32::from_str_radix(v, radix).ok()) == Some(c.into());
    if is_it {
        Match::Found(head.len() - number.len() + end + 1)
    } else {
        Match::Mismatch
    }
}

/// Masks a response, complete and truncated, for [`crate::fuzzing`]. Panics if the secret remains
/// in plain form.
#[cfg(any(test, feature = "testing"))]
pub(super) fn try_answer(secret: &str, answer: &[u8]) {
    let masker = Masker::new([secret]);
    let secret = secret.trim();
    let is_looked_for = (MIN_SECRET_CHARS..=MAX_PIECE_CHARS).contains(&secret.chars().count());
    for (limit, broken_off) in [(answer.len(), false), (answer.len() / 2, true)] {
        let shown = masker.bytes(answer, limit, broken_off);
        // The mask itself could be part of a secret that contains asterisks.
        if is_looked_for && !secret.contains('*') {
            let is_shown = shown
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!is_shown, "the secret was not masked");
        }
    }
}

#[cfg(test)]
#[path = "masking_tests.rs"]
mod tests;
