//! Reads JSON bodies within memory budgets.
//!
//! A decoded body of numbers takes many times its size in memory. Therefore a first pass, which builds no values,
//! counts the values. Each request reserves the memory for its bytes as they arrive and for its values before they
//! are decoded. It holds the reservation until the handler returns.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use base::{ByteBudget, Reservation};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::{self, Error, ErrorText, SEND_WHOLE_BODY};
use crate::extract::ParsedBody;
use crate::schema;

/// The maximum size of a JSON body.
pub(crate) const MAX_BODY_BYTES: usize = 10 << 20;
/// The maximum size of a JSON body without authentication.
pub(crate) const MAX_ANONYMOUS_BODY_BYTES: usize = 8 << 10;
/// The maximum number of values in a body, including nested values and member names.
const MAX_VALUES: usize = 100_000;
/// The memory of a decoded value without its text: in the JSON tree plus in the operation's type.
const BYTES_PER_VALUE: usize = 128;
/// The number of copies of the text besides the body: one in the JSON tree, one in the operation's type.
const DECODED_COPIES: usize = 2;

/// The memory that all request bodies may use together.
#[derive(Debug, Clone)]
pub struct BodyBudgets {
    /// For authenticated requests.
    pub known: ByteBudget,
    /// For operations without authentication. Anonymous callers thus cannot exhaust the other budget.
    pub anonymous: ByteBudget,
}

impl BodyBudgets {
    /// Splits `total_bytes`: an eighth for operations without authentication, the rest for all others.
    #[must_use]
    pub fn new(total_bytes: usize) -> Self {
        let anonymous = total_bytes / 8;
        Self {
            known: ByteBudget::new("request bodies", total_bytes - anonymous),
            anonymous: ByteBudget::new("request bodies without credentials", anonymous),
        }
    }
}

/// Reads and validates the body of an operation. Returns none for an absent optional body.
///
/// The memory of the body stays reserved until the returned reservation is dropped.
pub(crate) async fn read_json(
    body: &schema::Body,
    request: &mut Request,
    budget: &ByteBudget,
    max_bytes: usize,
) -> error::Result<Option<(ParsedBody, Reservation)>> {
    let mut held = budget.reservation();
    let bytes = read(request, &mut held, max_bytes).await?;
    if bytes.is_empty() {
        return if body.required {
            Err(wrong("value is required but missing"))
        } else {
            Ok(None)
        };
    }
    // Refuse HTML forms: a page of another site can submit one with the user's cookie, but not as JSON.
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .map_or("", |v| v.to_str().unwrap_or_default());
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let text = ErrorText::message(format!(
            "request body has an error: header Content-Type has unexpected value {kind:?}"
        ));
        return Err(Error::InvalidWith(text.hint(
            "send the header `Content-Type: application/json` (curl: -H 'content-type: application/json')",
        )));
    }
    let values = count_values(&bytes).map_err(|e| undecodable(&e))?;
    if values > MAX_VALUES {
        return Err(Error::TooManyValues(MAX_VALUES));
    }
    held.grow(values * BYTES_PER_VALUE + bytes.len() * DECODED_COPIES)?;
    let value = serde_json::from_slice(&bytes).map_err(|e| undecodable(&e))?;
    body.check(&value).map_err(Error::Invalid)?;
    Ok(Some((ParsedBody(Arc::new(value)), held)))
}

fn wrong(reason: &str) -> Error {
    Error::Invalid(format!("request body has an error: {reason}"))
}

/// The error for a body that ended early.
fn unreadable(error: &axum::Error) -> Error {
    let message = format!("request body has an error: failed to read it: {error}");
    Error::InvalidWith(ErrorText::message(message).hint(SEND_WHOLE_BODY))
}

/// The error for a document that cannot be decoded. For a truncated document, the message is that of lakeFS.
fn undecodable(error: &serde_json::Error) -> Error {
    const WRONG: &str = "request body has an error: failed to decode request body";
    if error.is_eof() {
        let text = ErrorText::message(format!("{WRONG}: unexpected EOF"));
        return Error::InvalidWith(text.hint(format!(
            "the JSON ends at line {}, column {}, and is not complete",
            error.line(),
            error.column()
        )));
    }
    Error::Invalid(format!("{WRONG}: {error}"))
}

async fn read(
    request: &mut Request,
    held: &mut Reservation,
    max_bytes: usize,
) -> error::Result<Bytes> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max_bytes as u64) {
        return Err(Error::TooLarge(max_bytes));
    }
    let mut body = std::mem::replace(request.body_mut(), Body::empty());
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreadable(&error))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if bytes.len() + data.len() > max_bytes {
            return Err(Error::TooLarge(max_bytes));
        }
        held.grow(data.len())?;
        bytes.extend_from_slice(data);
    }
    Ok(bytes.freeze())
}

/// Counts the values of a document, but not beyond [`MAX_VALUES`] + 1.
///
/// Builds no values. The decoder bounds the nesting.
fn count_values(bytes: &[u8]) -> serde_json::Result<usize> {
    let mut count = 0;
    let mut document = serde_json::Deserializer::from_slice(bytes);
    match Count(&mut count).deserialize(&mut document) {
        Ok(()) => document.end()?,
        Err(_) if count > MAX_VALUES => {}
        Err(e) => return Err(e),
    }
    Ok(count)
}

/// Checks that a document has no more values than were counted, for [`crate::fuzzing`].
#[cfg(feature = "testing")]
pub(crate) fn try_values(bytes: &[u8]) {
    let Ok(count) = count_values(bytes) else {
        return;
    };
    if count <= MAX_VALUES {
        let value: serde_json::Value =
            serde_json::from_slice(bytes).expect("a document that can be counted can be decoded");
        assert!(
            nodes(&value) <= count,
            "the document has more values than were counted"
        );
    }
}

/// The number of values in a tree, including member names.
#[cfg(feature = "testing")]
fn nodes(value: &serde_json::Value) -> usize {
    1 + match value {
        serde_json::Value::Array(items) => items.iter().map(nodes).sum(),
        serde_json::Value::Object(members) => members.values().map(|v| 1 + nodes(v)).sum(),
        _ => 0,
    }
}

/// Counts a value and everything nested in it.
struct Count<'a>(&'a mut usize);

impl Count<'_> {
    fn increment<E: serde::de::Error>(&mut self) -> Result<(), E> {
        *self.0 += 1;
        if *self.0 > MAX_VALUES {
            return Err(E::custom("too many values"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! count_one {
    ($($visit:ident: $kind:ty),*) => {
        $(fn $visit<E: serde::de::Error>(mut self, _: $kind) -> Result<(), E> {
            self.increment()
        })*
    };
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    count_one!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E: serde::de::Error>(mut self) -> Result<(), E> {
        self.increment()
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.increment()?;
        while items.next_element_seed(Count(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.increment()?;
        while members.next_key_seed(Count(self.0))?.is_some() {
            members.next_value_seed(Count(self.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: impl Into<Body>) -> Request {
        let request = Request::builder().header(CONTENT_TYPE, "application/json");
        request.body(body.into()).unwrap()
    }

    fn commit() -> &'static schema::Body {
        let mut operations = crate::generated::OPERATIONS.iter();
        let commit = operations.find(|o| o.id == "commit").unwrap();
        commit.body.as_ref().unwrap()
    }

    async fn read(
        body: &str,
        budget: &ByteBudget,
        max_bytes: usize,
    ) -> error::Result<Option<(ParsedBody, Reservation)>> {
        read_json(commit(), &mut request(body.to_owned()), budget, max_bytes).await
    }

    /// A body with 3 values.
    const SMALL: &str = "{\"message\": \"m\"}";

    #[tokio::test]
    async fn memory_of_a_body_is_reserved_until_released() {
        let budget = ByteBudget::new("request bodies", 2500);
        let (_, held) = read(SMALL, &budget, 1000).await.unwrap().unwrap();
        assert_eq!(budget.used_bytes(), 16 * 3 + 3 * BYTES_PER_VALUE);
        drop(held);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[tokio::test]
    async fn body_is_refused_without_memory_for_it() {
        let budget = ByteBudget::new("request bodies", 2500);
        let (_, held) = read(SMALL, &budget, 1000).await.unwrap().unwrap();
        let used = budget.used_bytes();
        let large = format!("{{\"message\": \"{}\"}}", "m".repeat(600));
        let refused = read(&large, &budget, 1000).await.unwrap_err();
        assert_eq!(refused.status(), 503);
        assert!(refused.to_string().contains("request bodies"), "{refused}");
        assert_eq!(
            budget.used_bytes(),
            used,
            "a refused request holds no memory"
        );
        drop(held);
        read(&large, &budget, 1000).await.unwrap();
    }

    #[tokio::test]
    async fn size_of_a_body_is_limited() {
        let budget = ByteBudget::new("request bodies", 10_000);
        let limit = SMALL.len();
        read(SMALL, &budget, limit).await.unwrap();
        let refused = read(SMALL, &budget, limit - 1).await.unwrap_err();
        assert_eq!(refused.status(), 413);
    }

    #[tokio::test]
    async fn values_of_a_body_are_limited() {
        let budget = ByteBudget::new("request bodies", MAX_BODY_BYTES);
        let values = "0,".repeat(MAX_VALUES);
        let many = format!("{{\"message\": \"m\", \"x\": [{values}0]}}");
        let refused = read(&many, &budget, MAX_BODY_BYTES).await.unwrap_err();
        assert_eq!(refused.status(), 413);
        assert!(refused.to_string().contains("values"), "{refused}");
    }

    #[test]
    fn values_are_counted() {
        for (document, expected) in [
            ("0", 1),
            ("\"a\"", 1),
            ("[]", 1),
            ("[0, 1.5, true, null, \"x\\n\"]", 6),
            ("{\"a\": [1, 2], \"b\": {}}", 7),
        ] {
            assert_eq!(
                count_values(document.as_bytes()).unwrap(),
                expected,
                "{document}"
            );
        }
        for malformed in ["", "[0", "{\"a\"}", "[0] 1", &"[".repeat(100_000)] {
            count_values(malformed.as_bytes()).unwrap_err();
        }
        let many = format!("[{}0]", "0,".repeat(5 << 20));
        assert_eq!(count_values(many.as_bytes()).unwrap(), MAX_VALUES + 1);
    }

    #[test]
    fn reservation_covers_the_decoded_body() {
        // The two documents that take the most memory per byte, and one with much text.
        for document in [
            format!("[{}0]", "0,".repeat(50_000)),
            format!(
                "{{{}\"z\":0}}",
                (0..30_000)
                    .map(|n| format!("\"{n}\":[],"))
                    .collect::<String>()
            ),
            format!("[\"{}\"]", "x".repeat(1 << 20)),
        ] {
            let value: serde_json::Value = serde_json::from_str(&document).unwrap();
            let reserved = count_values(document.as_bytes()).unwrap() * BYTES_PER_VALUE
                + document.len() * DECODED_COPIES;
            let held = size_of_value(&value);
            assert!(held <= reserved, "{held} of {reserved}");
        }
    }

    /// An upper estimate of a tree's memory. Nodes of the map are at least half full.
    fn size_of_value(value: &serde_json::Value) -> usize {
        let inside = match value {
            serde_json::Value::String(text) => text.capacity(),
            serde_json::Value::Array(items) => {
                (items.capacity() - items.len()) * size_of::<serde_json::Value>()
                    + items.iter().map(size_of_value).sum::<usize>()
            }
            serde_json::Value::Object(members) => members
                .iter()
                .map(|(name, value)| {
                    2 * size_of::<String>() + name.capacity() + 2 * size_of_value(value)
                })
                .sum(),
            _ => 0,
        };
        size_of::<serde_json::Value>() + inside
    }
}
