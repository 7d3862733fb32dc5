//! How deep hooks are nested: a webhook that changes the repository sets off hooks again.
//!
//! A webhook's request carries the run that it belongs to and how deep that run is nested. Requests of
//! clients that pass the headers on are counted one level deeper, and what they change is refused beyond
//! [`MAX_DEPTH`]. A client that passes nothing on is bounded by [`InFlight`] only.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use graveler::{Event, RepositoryId};
use hmac::{Hmac, Mac as _};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use sha2::Sha256;

/// Levels that a change may be nested in hooks: 0 is a client's own change, 1 one that a webhook of it makes.
pub const MAX_DEPTH: u32 = 3;
/// Changes of one repository whose webhooks are waited for at once, on one server.
pub(crate) const MAX_IN_FLIGHT: usize = 256;

/// The run that a webhook's request belongs to.
const RUN_ID: HeaderName = HeaderName::from_static("x-weir-run-id");
/// `RUN.DEPTH.MAC`: the run and how deep it is nested, signed.
const RUN_TOKEN: HeaderName = HeaderName::from_static("x-weir-run-token");
/// Longer headers are not ours.
const MAX_HEADER_BYTES: usize = 1_024;
/// How many values of one header are looked at.
const MAX_VALUES: usize = 16;

/// Marks the requests of webhooks, and finds the marks again. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Marks {
    key: Arc<[u8]>,
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marks([redacted])")
    }
}

impl Marks {
    /// Marks signed with a key of the installation.
    pub(crate) fn new(key: &[u8]) -> Self {
        Self { key: key.into() }
    }

    /// The headers of a webhook's request for an event.
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
            // Run ids are letters and digits; one that is none would say nothing of nesting.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// How deep what a request changes is nested: one level deeper than the deepest run that it names,
    /// 0 if it names none.
    ///
    /// The user agent is taken at its word, since saying too much does a client no good, and since it tells
    /// of runs of other installations as well. The token says no more than that, but can't be mistaken.
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

/// The depth in a user agent that a webhook's request had: `weir/VERSION run/RUN depth/DEPTH`.
fn read_agent(agent: &str) -> Option<u32> {
    let mut words = agent
        .split_ascii_whitespace()
        .skip_while(|word| !word.starts_with("weir/"));
    words.next()?;
    words.next().filter(|word| word.starts_with("run/"))?;
    let depth = words.next().and_then(|word| word.strip_prefix("depth/"));
    Some(depth.and_then(|depth| depth.parse().ok()).unwrap_or(0))
}

/// Reads the marks of a request, for [`crate::fuzzing`]: each line is a token and a user agent.
pub(crate) fn try_headers(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(MAX_VALUES) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(RUN_TOKEN, value.clone());
            headers.append(USER_AGENT, value);
        }
    }
    Marks::new(b"key").depth_of(&headers);
}

/// Changes whose webhooks are waited for, by repository. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashMap<RepositoryId, usize>>>);

/// One change among them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: InFlight,
    repository: RepositoryId,
}

impl InFlight {
    /// A place for one more change; none if too many are waited for. Nobody waits for a place: those who
    /// have one may be waiting for the very change that asks.
    pub(crate) fn enter(&self, repository: &RepositoryId) -> Option<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = places.entry(repository.clone()).or_default();
        if *count >= MAX_IN_FLIGHT {
            return None;
        }
        *count += 1;
        Some(Place {
            places: self.clone(),
            repository: repository.clone(),
        })
    }
}

impl Drop for Place {
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

    fn marked(marks: &Marks, depth: u32) -> HeaderMap {
        let mut event = event(EventKind::PreCommit);
        event.depth = depth;
        marks.headers(&event)
    }

    #[test]
    fn what_a_webhook_passes_on_is_counted_one_level_deeper() {
        let marks = Marks::new(b"key");
        for depth in 0..5 {
            let headers = marked(&marks, depth);
            assert_eq!(headers[&RUN_ID], "run1");
            assert_eq!(marks.depth_of(&headers), depth + 1);
            for kept in [RUN_TOKEN, USER_AGENT] {
                let only = HeaderMap::from_iter([(kept.clone(), headers[&kept].clone())]);
                assert_eq!(marks.depth_of(&only), depth + 1, "{kept}");
            }
        }
        assert_eq!(marks.depth_of(&HeaderMap::new()), 0);
    }

    #[test]
    fn a_token_that_was_changed_is_none_and_the_deepest_one_counts() {
        let marks = Marks::new(b"key");
        let token = |depth| {
            marked(&marks, depth)[&RUN_TOKEN]
                .to_str()
                .unwrap()
                .to_owned()
        };
        let depth = |tokens: &[String]| {
            let mut headers = HeaderMap::new();
            for token in tokens {
                headers.append(RUN_TOKEN, token.parse().unwrap());
            }
            marks.depth_of(&headers)
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
        let other = Marks::new(b"another key");
        assert_eq!(
            other.depth_of(&HeaderMap::from_iter([(
                RUN_TOKEN,
                token(1).parse().unwrap()
            )])),
            0
        );
    }

    #[test]
    fn user_agents_are_taken_at_their_word() {
        let depth = |agent: &'static str| {
            let headers = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(agent))]);
            Marks::new(b"key").depth_of(&headers)
        };
        for (agent, expected) in [
            ("weir/0.1.0 run/abc depth/2", 3),
            ("my-service/1.0 weir/0.1.0 run/abc depth/2 python", 3),
            ("weir/9.9.9 run/abc", 1),
            ("weir/9.9.9 run/abc depth/many", 1),
            ("weir/9.9.9 run/abc depth/4294967295", u32::MAX),
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
    fn places_are_bounded_by_repository_and_given_back() {
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
