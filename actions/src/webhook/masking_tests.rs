//! Tests of masking: encodings that are masked, and text that must not change.

use std::time::Duration;

use super::*;
use crate::computations::Blocked;

const SECRET: &str = "s3cr/t+\"väl <&> ue'\\";

fn mask(secret: &str, text: &str) -> String {
    Masker::new([secret]).text(text)
}

#[test]
fn secret_is_masked_in_every_common_encoding() {
    let json = serde_json::to_string(SECRET).unwrap();
    let ascii: String = SECRET
        .chars()
        .map(|c| match c {
            '"' | '\\' | '/' => format!("\\{c}"),
            c if c.is_ascii() => c.to_string(),
            c => format!("\\u{:04x}", u32::from(c)),
        })
        .collect();
    let all_percent: String = SECRET.bytes().map(|b| format!("%{b:02x}")).collect();
    let query: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let html = SECRET
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;");
    let numeric: String = SECRET
        .chars()
        .map(|c| format!("&#x{:x};", u32::from(c)))
        .collect();
    let go: String = SECRET
        .chars()
        .map(|c| match c {
            '<' | '>' | '&' => format!("\\u{:04x}", u32::from(c)),
            '"' | '\\' => format!("\\{c}"),
            c => c.to_string(),
        })
        .collect();
    for (kind, text) in [
        ("plain", SECRET.to_owned()),
        ("JSON", json[1..json.len() - 1].to_owned()),
        ("JSON in ASCII", ascii),
        ("JSON of Go", go),
        ("query", query),
        ("percent signs throughout", all_percent),
        ("HTML", html),
        ("HTML in numbers", numeric),
        ("hexadecimal", hex::encode(SECRET)),
        ("hexadecimal, upper case", hex::encode_upper(SECRET)),
    ] {
        let masked = mask(SECRET, &format!("you sent [{text}], twice: [{text}]"));
        assert_eq!(
            masked, "you sent [*******], twice: [*******]",
            "{kind}: {text}"
        );
    }
}

#[test]
fn secret_inside_base64_is_masked_at_every_offset() {
    for before in ["", "u", "us", "user:", "admin:"] {
        for after in ["", "!", "!!", "\n"] {
            let text = format!("{before}{SECRET}{after}");
            for encoded in [
                STANDARD.encode(&text),
                URL_SAFE.encode(&text),
                STANDARD
                    .encode(&text)
                    .replace('/', "\\/")
                    .replace('+', "%2B"),
            ] {
                let masked = mask(SECRET, &format!("Basic {encoded}"));
                assert!(
                    masked.contains(MASK) && masked.len() < 28,
                    "{before}{after}: {masked}"
                );
            }
        }
    }
}

#[test]
fn other_text_is_unchanged() {
    let text = "s3cret is not s3cr3t; \\u00e4 %41 &amp; +";
    assert_eq!(mask("s3cr3t!", text), text);
    // Too short to be distinguished from ordinary words; surrounding blanks are not sent.
    assert_eq!(mask("abc", "abc"), "abc");
    assert_eq!(mask("  \n", "  \n"), "  \n");
    assert_eq!(mask("value\n", "[value]"), "[*******]");
    assert_eq!(Masker::default().text("anything"), "anything");
}

#[test]
fn longer_of_two_matching_secrets_is_masked() {
    let masker = Masker::new(["token", "token-and-more"]);
    assert_eq!(masker.text("token-and-more, token"), "*******, *******");
    assert!(!format!("{masker:?}").contains("token"));
}

#[test]
fn truncation_shows_no_part_of_a_secret() {
    let masker = Masker::new(["s3cret-value"]);
    let text = b"0123456789s3cret-value0123456789";
    for limit in 0..=text.len() {
        let shown = String::from_utf8(masker.bytes(text, limit, false)).unwrap();
        assert!(!shown.contains("s3c"), "{limit}: {shown}");
    }
    assert_eq!(masker.bytes(text, 12, false), b"0123456789*******");
    assert!(masker.lookahead() >= "s3cret-value".len());
}

#[test]
fn broken_response_shows_no_start_of_a_secret() {
    let masker = Masker::new(["s3cret-value"]);
    let shown =
        |text: &[u8], broken| String::from_utf8(masker.bytes(text, text.len(), broken)).unwrap();
    assert_eq!(shown(b"you sent s3cret-va", true), "you sent *******");
    assert_eq!(shown(b"you sent s3cret%2", true), "you sent *******");
    // The following bytes show that it is a different word.
    assert_eq!(shown(b"you sent s3cret-va", false), "you sent s3cret-va");
    assert_eq!(shown(b"its", true), "its");
}

#[test]
fn long_secret_is_masked_in_pieces() {
    let secret: String = (0..2_000)
        .map(|i| char::from(b'a' + (i * 7 % 26) as u8))
        .collect();
    let masked = mask(&secret, &format!("[{secret}]"));
    let rest: String = masked.split(MASK).collect();
    assert!(rest.len() < 8, "{rest}");
}

/// A secret of repeated characters may match at every position, so the work must be bounded.
#[test]
fn work_for_repeated_characters_is_bounded() {
    let masker = Masker::new(["a".repeat(4_000).as_str()]);
    // 400 characters are one piece of the secret and the start of another.
    let text = format!("{}b", "a".repeat(400)).repeat(100);
    let masked = masker.text(&text);
    let (shown, _) = masked.split_once(NOT_SEARCHED).unwrap();
    let line = format!("{MASK}{}b", "a".repeat(400 - MAX_PIECE_CHARS));
    assert!(shown.starts_with(&line.repeat(2)), "{shown}");
}

/// Regression test: the end of a truncated text showed the start of a secret, because the text after
/// it was too short to recognize the secret.
#[test]
fn lookahead_covers_the_longest_encoding() {
    let secret = "\u{1d54f}".repeat(MAX_PIECE_CHARS);
    let escaped: String = secret.bytes().map(|b| format!("\\x{b:02x}")).collect();
    let masker = Masker::new([secret.as_str()]);
    let text = format!("{escaped}, and more text");
    let limit = 4;
    let seen = text.len().min(limit + masker.lookahead());
    let shown = masker.bytes(&text.as_bytes()[..seen], limit, false);
    assert_eq!(String::from_utf8_lossy(&shown), MASK);
}

/// Each character of this secret is one or two backslashes, so the number of possible matches is
/// huge.
#[test]
fn work_for_backslashes_is_bounded() {
    let text = "\\".repeat(64 << 10) + "the end";
    let masker = Masker::new(["\\".repeat(300).as_str()]);
    let masked = masker.text(&text);
    assert!(!masked.contains('\\'), "{}", masked.len());
    // The rest of a text that needs more comparisons is not shown.
    let secret = "\\".repeat(255) + "x";
    let masked = Masker::new([secret.as_str()]).text(&text);
    assert!(masked.ends_with(NOT_SEARCHED), "{}", masked.len());
}

/// Regression test: encoded pieces crowded out the pieces of the plain value.
#[test]
fn long_secrets_are_masked_or_the_text_is_not_shown() {
    let long = |seed: usize| -> String {
        (0..20_000_usize)
            .map(|n| char::from(b'a' + ((n * n + n / 7 + seed) % 26) as u8))
            .collect()
    };
    let one = long(0);
    let masked = Masker::new([one.as_str()]).text(&format!("you sent {one}."));
    assert_eq!(masked.replace('*', ""), "you sent .");
    let many: Vec<String> = (0..8).map(long).collect();
    let masker = Masker::new(many.iter().map(String::as_str));
    assert_eq!(masker.text(&format!("you sent {one}.")), NOT_SEARCHED);
}

/// Regression test: a search that was cancelled at shutdown panicked.
#[tokio::test]
async fn search_during_shutdown_fails_the_hook() {
    let search = tokio::spawn(std::future::pending::<()>());
    search.abort();
    let cancelled = ComputeError::from(search.await.unwrap_err());
    assert_eq!(
        not_searched(&cancelled).message,
        "the response was not searched for secrets, so it is not used: the server is shutting down"
    );
}

/// Regression test: searches ran with the priority of serving threads, on the threads that read and write
/// objects, any number at a time.
#[tokio::test]
async fn searches_of_a_repository_wait_for_its_own_share() {
    let computations = Computations::waiting(Duration::from_millis(20)).unwrap();
    let event = crate::testing::event(graveler::EventKind::PreCommit);
    let search = SecretSearch::new(Masker::new([SECRET]), &computations, &event);
    let text = async || search.run(|masker| masker.text("x")).await;
    {
        let _blocked = Blocked::start(&computations, "hostile").await;
        assert_eq!(text().await.unwrap(), "x");
    }
    let repository = event.repository.partition();
    let _blocked = Blocked::start(&computations, &repository).await;
    let refused = text().await.unwrap_err().message;
    assert!(refused.contains("no thread was free"), "{refused}");
}
