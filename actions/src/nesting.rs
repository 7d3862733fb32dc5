//! Limits nested hooks: a webhook that changes the repository triggers hooks again.
//!
//! A webhook request carries its run and the run's nesting depth in headers. If the webhook's
//! client forwards these headers, its requests count as one level deeper, and changes beyond
//! [`MAX_DEPTH`] are refused. A client that forwards nothing is limited only by [`InFlight`], or by
//! the queue of post hooks if post-events trigger the webhook.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use graveler::{Event, RepositoryId};
use hmac::{Hmac, Mac as _};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use sha2::Sha256;

/// Maximum nesting depth of a change. A client's own change has depth 0; a change made by one of
/// its webhooks has depth 1.
pub const MAX_DEPTH: u32 = 3;
/// Maximum number of changes of one repository that wait for webhooks at the same time, per server.
pub(crate) const MAX_IN_FLIGHT: usize = 256;

/// Header with the run that a webhook request belongs to.
const RUN_ID: HeaderName = HeaderName::from_static("x-weir-run-id");
/// Header with the signed run and depth: `RUN.DEPTH.MAC`.
const RUN_TOKEN: HeaderName = HeaderName::from_static("x-weir-run-token");
/// Longer header values are ignored.
const MAX_HEADER_BYTES: usize = 1_024;
/// Maximum number of values per header that are parsed.
const MAX_VALUES: usize = 16;

/// Adds nesting headers to webhook requests and parses them in incoming requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct NestingHeaders {
    key: Arc<[u8]>,
}

impl fmt::Debug for NestingHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NestingHeaders([redacted])")
    }
}

impl NestingHeaders {
    /// Creates headers that are signed with a key of the installation.
    pub(crate) fn new(key: &[u8]) -> Self {
        Self { key: key.into() }
    }

    /// Returns the headers of a webhook request for an event.
    pub(crate) fn headers(&self, event: &Event) -> HeaderMap {
        let (run, depth) = (&event.run_id, event.depth);
        let mut headers = HeaderMap::new();
        let token = format!(
            "{run}.{depth}.{}",
            hex::encode(self.mac(run, depth).finalize().into_bytes())
        );
        let agent = format!("weir/{} run/{run} depth/{depth}", env!("CARGO_PKG_VERSION"));
        for (name, value) in [
            (RUN_ID, run.clone()),
            (RUN_TOKEN, token),
            (USER_AGENT, agent),
        ] {
            // Run ids consist of letters and digits. Any other value cannot be sent and is skipped.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// Returns the nesting depth of a request: one more than the deepest run in its headers, or 0
    /// without such headers.
    ///
    /// Both headers carry the depth. The token is signed, so another program cannot send it by
    /// accident. The user agent is not verified: a client gains nothing by claiming a greater depth,
    /// and runs of other installations count too.
    pub(crate) fn depth_of(&self, headers: &HeaderMap) -> u32 {
        let texts = |name: HeaderName| {
            let values = headers.get_all(name).into_iter().take(MAX_VALUES);
            values.filter_map(|value| {
                value
                    .to_str()
                    .ok()
                    .filter(|text| text.len() <= MAX_HEADER_BYTES)
            })
        };
        let tokens = texts(RUN_TOKEN).filter_map(|token| self.read_token(token));
        let agents = texts(USER_AGENT).filter_map(read_agent);
        tokens
            .chain(agents)
            .max()
            .map_or(0, |depth| depth.saturating_add(1))
    }

    fn read_token(&self, token: &str) -> Option<u32> {
        let (run, rest) = token.split_once('.')?;
        let (depth, mac) = rest.split_once('.')?;
        let depth = depth.parse().ok()?;
        self.mac(run, depth)
            .verify_slice(&hex::decode(mac).ok()?)
            .ok()?;
        Some(depth)
    }

    fn mac(&self, run: &str, depth: u32) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(format!("{run}.{depth}").as_bytes());
        mac
    }
}

/// Returns the depth in the user agent of a webhook request: `weir/VERSION run/RUN depth/DEPTH`.
fn read_agent(agent: &str) -> Option<u32> {
    let mut words = agent
        .split_ascii_whitespace()
        .skip_while(|word| !word.starts_with("weir/"));
    words.next()?;
    words.next().filter(|word| word.starts_with("run/"))?;
    let depth = words.next().and_then(|word| word.strip_prefix("depth/"));
    Some(depth.map_or(0, number))
}

/// Returns the number in `digits`. A number that is too large becomes the largest possible number. It must not become
/// 0, which would pass every limit.
fn number(digits: &str) -> u32 {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let otherwise = if is_number { u32::MAX } else { 0 };
    digits.parse().unwrap_or(otherwise)
}

/// Parses nesting headers for [`crate::fuzzing`]. Each line is used as a token and as a user agent.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_headers(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(MAX_VALUES) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(RUN_TOKEN, value.clone());
            headers.append(USER_AGENT, value);
        }
    }
    NestingHeaders::new(b"key").depth_of(&headers);
}

/// Counts changes that wait for webhooks, per repository. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashMap<RepositoryId, usize>>>);

/// A slot for one waiting change. Released on drop.
#[derive(Debug)]
pub(crate) struct InFlightSlot {
    places: InFlight,
    repository: RepositoryId,
}

impl InFlight {
    /// Takes a slot, or returns `None` if none is free. Never waits, because the changes that hold
    /// slots may be waiting for the caller's change: that would be a deadlock.
    pub(crate) fn enter(&self, repository: &RepositoryId) -> Option<InFlightSlot> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = places.entry(repository.clone()).or_default();
        if *count >= MAX_IN_FLIGHT {
            return None;
        }
        *count += 1;
        Some(InFlightSlot {
            places: self.clone(),
            repository: repository.clone(),
        })
    }
}

impl Drop for InFlightSlot {
    fn drop(&mut self) {
        let mut places = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = places.get_mut(&self.repository) {
            *count -= 1;
            if *count == 0 {
                places.remove(&self.repository);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use graveler::EventKind;

    use super::*;
    use crate::testing::event;

    fn headers_at(nesting_headers: &NestingHeaders, depth: u32) -> HeaderMap {
        let mut event = event(EventKind::PreCommit);
        event.depth = depth;
        nesting_headers.headers(&event)
    }

    #[test]
    fn forwarded_headers_increase_the_depth_by_one() {
        let nesting_headers = NestingHeaders::new(b"key");
        for depth in 0..5 {
            let headers = headers_at(&nesting_headers, depth);
            assert_eq!(headers[&RUN_ID], "run1");
            assert_eq!(nesting_headers.depth_of(&headers), depth + 1);
            for kept in [RUN_TOKEN, USER_AGENT] {
                let only = HeaderMap::from_iter([(kept.clone(), headers[&kept].clone())]);
                assert_eq!(nesting_headers.depth_of(&only), depth + 1, "{kept}");
            }
        }
        assert_eq!(nesting_headers.depth_of(&HeaderMap::new()), 0);
    }

    #[test]
    fn modified_tokens_are_ignored_and_the_deepest_valid_one_counts() {
        let nesting_headers = NestingHeaders::new(b"key");
        let token = |depth| {
            headers_at(&nesting_headers, depth)[&RUN_TOKEN]
                .to_str()
                .unwrap()
                .to_owned()
        };
        let depth = |tokens: &[String]| {
            let mut headers = HeaderMap::new();
            for token in tokens {
                headers.append(RUN_TOKEN, token.parse().unwrap());
            }
            nesting_headers.depth_of(&headers)
        };
        assert_eq!(depth(&[token(0), token(2), token(1)]), 3);
        for wrong in [
            token(2).replace(".2.", ".0."),
            token(2).replace("run1", "run2"),
            format!("{}00", token(2)),
            "a.b.c".to_owned(),
            "....".to_owned(),
            "x".repeat(4_000),
        ] {
            assert_eq!(depth(&[wrong]), 0);
        }
        let other = NestingHeaders::new(b"another key");
        assert_eq!(
            other.depth_of(&HeaderMap::from_iter([(
                RUN_TOKEN,
                token(1).parse().unwrap()
            )])),
            0
        );
    }

    #[test]
    fn user_agents_are_not_verified() {
        let depth = |agent: &'static str| {
            let headers = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(agent))]);
            NestingHeaders::new(b"key").depth_of(&headers)
        };
        for (agent, expected) in [
            ("weir/0.1.0 run/abc depth/2", 3),
            ("my-service/1.0 weir/0.1.0 run/abc depth/2 python", 3),
            ("weir/9.9.9 run/abc", 1),
            ("weir/9.9.9 run/abc depth/many", 1),
            ("weir/9.9.9 run/abc depth/", 1),
            ("weir/9.9.9 run/abc depth/4294967295", u32::MAX),
            ("weir/9.9.9 run/abc depth/4294967296", u32::MAX),
            ("weir/9.9.9 run/abc depth/99999999999999999999", u32::MAX),
            ("weir/0.1.0", 0),
            ("weir", 0),
            ("lakectl/1.84.0", 0),
            ("lakefs-run/1 depth/9", 0),
            ("", 0),
        ] {
            assert_eq!(depth(agent), expected, "{agent}");
        }
    }

    #[test]
    fn slots_are_limited_per_repository_and_released() {
        let places = InFlight::default();
        let (one, other) = (RepositoryId::trusted("one"), RepositoryId::trusted("other"));
        let taken: Vec<_> = (0..MAX_IN_FLIGHT)
            .map(|_| places.enter(&one).unwrap())
            .collect();
        assert!(places.enter(&one).is_none());
        assert!(places.enter(&other).is_some());
        drop(taken);
        assert!(places.enter(&one).is_some());
        assert!(places.0.lock().unwrap().is_empty());
    }
}
