//! The conformance suite for drivers: one method per guarantee of [`BlockStore`].
//!
//! A method panics if the driver breaks its guarantee. The suite uses only the trait; the files that a driver
//! leaves on disk are checked by the driver's own tests.

mod multipart;

use std::io;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, future, stream};
use md5::{Digest as _, Md5};

use crate::{BlockStore, ByteStream, CompletedPart, Error, Location, PartInfo, from_bytes};

/// Number of concurrent puts to one address.
const WRITERS: u8 = 8;
/// Number of rounds of each race.
const ROUNDS: u8 = 8;
/// Larger than any chunk that a driver reads or writes in one step.
const LARGE_BYTES: usize = 3_000_001;

/// Runs the suite in `namespace`, a URI without trailing slash that is used for nothing else.
pub async fn run(store: Arc<dyn BlockStore>, namespace: &str) {
    let suite = Suite { store, namespace };
    suite.objects_are_stored_replaced_and_deleted().await;
    suite.ranges_are_limited_to_the_object().await;
    suite.large_object_is_streamed().await;
    suite.failing_body_stores_nothing().await;
    suite.cancelled_put_stores_nothing().await;
    suite.concurrent_puts_leave_one_complete_object().await;
    suite.copies_are_independent_objects().await;
    suite.addresses_outside_the_store_are_rejected().await;
    suite
        .canonical_forms_show_equal_and_nested_namespaces()
        .await;
    suite.completed_parts_become_an_object().await;
    suite
        .invalid_parts_are_rejected_and_the_upload_stays()
        .await;
    suite.unknown_uploads_are_rejected().await;
    suite.aborted_upload_is_removed().await;
    suite.one_of_several_concurrent_completions_wins().await;
    suite.abort_and_completion_do_not_both_take_effect().await;
}

struct Suite<'a> {
    store: Arc<dyn BlockStore>,
    namespace: &'a str,
}

fn hex_md5(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// Returns `len` bytes of a pattern that depends on position and seed.
fn pattern(len: usize, seed: u8) -> Bytes {
    (0..len)
        .map(|at| {
            (at as u8)
                .wrapping_mul(31)
                .wrapping_add((at >> 8) as u8)
                .wrapping_add(seed)
        })
        .collect()
}

fn in_pieces(bytes: &Bytes, piece: usize) -> ByteStream {
    let pieces: Vec<_> = (0..bytes.len())
        .step_by(piece)
        .map(|at| Ok(bytes.slice(at..bytes.len().min(at + piece))))
        .collect();
    Box::pin(stream::iter(pieces))
}

fn broken_after(bytes: Bytes) -> ByteStream {
    Box::pin(stream::iter([
        Ok(bytes),
        Err(io::Error::other("the client disconnected")),
    ]))
}

fn completed(parts: &[PartInfo]) -> Vec<CompletedPart> {
    parts
        .iter()
        .map(|part| CompletedPart {
            number: part.number,
            etag: part.etag.clone(),
        })
        .collect()
}

impl Suite<'_> {
    fn at(&self, key: &str) -> Location {
        Location::below(self.namespace, key)
    }

    async fn put(&self, key: &str, bytes: &Bytes) -> crate::PutResult {
        self.store
            .put(&self.at(key), from_bytes(bytes.clone()))
            .await
            .expect("a put succeeds")
    }

    async fn read(&self, key: &str, range: Option<std::ops::Range<u64>>) -> crate::Result<Bytes> {
        let body = self.store.get(&self.at(key), range).await?.body;
        let pieces: Vec<Bytes> = body.try_collect().await.expect("a body is complete");
        Ok(pieces.concat().into())
    }

    async fn assert_absent(&self, key: &str) {
        let at = self.at(key);
        assert!(
            self.store
                .properties(&at)
                .await
                .expect("properties can be read")
                .is_none(),
            "{at} must be absent"
        );
        assert!(
            matches!(self.store.get(&at, None).await, Err(Error::NotFound(_))),
            "{at} must not be found"
        );
    }

    async fn objects_are_stored_replaced_and_deleted(&self) {
        self.assert_absent("data/a/1").await;
        for (key, bytes) in [
            ("data/a/1", pattern(1000, 1)),
            ("data/a/empty", Bytes::new()),
            ("_lakefs/dummy", pattern(9, 2)),
        ] {
            let put = self.put(key, &bytes).await;
            assert_eq!(
                (put.size_bytes, put.md5),
                (bytes.len() as u64, hex_md5(&bytes))
            );
            let properties = self
                .store
                .properties(&self.at(key))
                .await
                .expect("properties can be read")
                .expect("it was put");
            assert_eq!(
                (properties.size_bytes, properties.last_modified),
                (bytes.len() as u64, put.last_modified)
            );
            assert_eq!(self.read(key, None).await.expect("it was put"), bytes);
        }
        let other = pattern(10, 3);
        self.put("data/a/1", &other).await;
        assert_eq!(
            self.read("data/a/1", None).await.expect("it was put"),
            other,
            "a put replaces the object"
        );
        for _ in 0..2 {
            self.store
                .delete(&self.at("data/a/1"))
                .await
                .expect("deleting an absent object succeeds");
            self.assert_absent("data/a/1").await;
        }
        self.store
            .delete(&self.at("never/there"))
            .await
            .expect("deleting an absent object succeeds");
        self.assert_absent("data/a").await;
        self.assert_absent("data/a/empty/below").await;
        // A name may contain any characters except NUL and slash.
        let key = "data/o dd/%2e%2e %00 \\ ünï\n*?";
        self.put(key, &other).await;
        assert_eq!(self.read(key, None).await.expect("it was put"), other);
    }

    async fn ranges_are_limited_to_the_object(&self) {
        let bytes = pattern(100, 4);
        self.put("data/r/1", &bytes).await;
        for (range, expected) in [
            (0..100, 0..100),
            (0..1, 0..1),
            (10..20, 10..20),
            (90..1000, 90..100),
            (99..u64::MAX, 99..100),
            (5..5, 5..5),
        ] {
            assert_eq!(
                self.read("data/r/1", Some(range))
                    .await
                    .expect("the range is within the object"),
                bytes.slice(expected)
            );
        }
        for start in [100, 101, u64::MAX - 1] {
            let refused = self.read("data/r/1", Some(start..u64::MAX)).await;
            assert!(
                matches!(refused, Err(Error::RangeNotSatisfiable { size: 100 })),
                "{refused:?}"
            );
        }
        self.put("data/r/empty", &Bytes::new()).await;
        let refused = self.read("data/r/empty", Some(0..1)).await;
        assert!(
            matches!(refused, Err(Error::RangeNotSatisfiable { size: 0 })),
            "{refused:?}"
        );
    }

    async fn large_object_is_streamed(&self) {
        let bytes = pattern(LARGE_BYTES, 5);
        let put = self
            .store
            .put(&self.at("data/l/1"), in_pieces(&bytes, 70_001))
            .await
            .expect("a put succeeds");
        assert_eq!(
            (put.size_bytes, put.md5),
            (bytes.len() as u64, hex_md5(&bytes))
        );
        assert!(
            self.read("data/l/1", None).await.expect("it was put") == bytes,
            "the bytes are unchanged"
        );
        let read = self
            .read("data/l/1", Some(100_000..2_500_000))
            .await
            .expect("the range is within the object");
        assert!(
            read == bytes.slice(100_000..2_500_000),
            "a range over several chunks"
        );
        // A reader may stop early.
        for range in [None, Some(10..20)] {
            let stored = self.store.get(&self.at("data/l/1"), range).await;
            let mut stored = stored.expect("it was put");
            assert_eq!(stored.object_size_bytes, bytes.len() as u64);
            assert!(stored.body.next().await.is_some());
        }
    }

    async fn failing_body_stores_nothing(&self) {
        for len in [0, 10, LARGE_BYTES] {
            let failed = self
                .store
                .put(&self.at("data/f/1"), broken_after(pattern(len, 6)))
                .await;
            assert!(matches!(failed, Err(Error::Body(_))), "{failed:?}");
            self.assert_absent("data/f/1").await;
        }
        let bytes = pattern(5, 7);
        self.put("data/f/2", &bytes).await;
        let failed = self
            .store
            .put(&self.at("data/f/2"), broken_after(pattern(10, 8)))
            .await;
        assert!(failed.is_err());
        assert_eq!(
            self.read("data/f/2", None).await.expect("it was put"),
            bytes,
            "the previous object stays"
        );
    }

    async fn cancelled_put_stores_nothing(&self) {
        // The body yields some bytes and then never ends. The put is dropped while it waits for more.
        let (stalled, waiting) = futures::channel::oneshot::channel();
        let mut stalled = Some(stalled);
        let never_ends = stream::poll_fn(move |_| {
            if let Some(stalled) = stalled.take() {
                stalled.send(()).expect("the test listens");
            }
            Poll::<Option<io::Result<Bytes>>>::Pending
        });
        let body = stream::iter([Ok(pattern(LARGE_BYTES, 9))]).chain(never_ends);
        let at = self.at("data/c/1");
        let put = self.store.put(&at, Box::pin(body)).fuse();
        match future::select(Box::pin(put), waiting).await {
            future::Either::Left((put, _)) => {
                panic!("the put returned before its body ended: {put:?}")
            }
            future::Either::Right((_, put)) => drop(put),
        }
        self.assert_absent("data/c/1").await;
    }

    async fn concurrent_puts_leave_one_complete_object(&self) {
        let bodies: Vec<Bytes> = (0..WRITERS)
            .map(|writer| pattern(LARGE_BYTES / 4 + usize::from(writer), writer))
            .collect();
        let at = self.at("data/w/1");
        let puts = bodies
            .iter()
            .map(|body| self.store.put(&at, in_pieces(body, 10_000)));
        for put in future::join_all(puts).await {
            put.expect("each put succeeds");
        }
        let left = self.read("data/w/1", None).await.expect("it was put");
        assert!(
            bodies.contains(&left),
            "one of the bodies is stored completely"
        );
    }

    async fn copies_are_independent_objects(&self) {
        let bytes = pattern(LARGE_BYTES, 10);
        self.put("data/k/1", &bytes).await;
        let copy = self
            .store
            .copy(&self.at("data/k/1"), &self.at("data/k/2"))
            .await
            .expect("a copy succeeds");
        assert_eq!(
            (copy.size_bytes, copy.md5),
            (bytes.len() as u64, hex_md5(&bytes))
        );
        self.store
            .delete(&self.at("data/k/1"))
            .await
            .expect("a delete succeeds");
        assert!(self.read("data/k/2", None).await.expect("it was copied") == bytes);
        let missing = self
            .store
            .copy(&self.at("data/k/none"), &self.at("data/k/3"))
            .await;
        assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
        self.assert_absent("data/k/3").await;
    }

    async fn addresses_outside_the_store_are_rejected(&self) {
        let scheme = self
            .namespace
            .split_once("://")
            .expect("a namespace is a URI")
            .0;
        let long = "x".repeat(300);
        let keys = ["../x", "a/../../x", "./x", "a//x", "a/", "", "a/\0", &long];
        let mut bad: Vec<String> = keys
            .iter()
            .map(|key| format!("{}/{key}", self.namespace))
            .collect();
        bad.extend([
            format!("{scheme}:////etc/passwd"),
            format!("{scheme}:///../etc/passwd"),
            format!("{scheme}://../x"),
            "/etc/passwd".to_owned(),
        ]);
        bad.extend([
            "file:///etc/passwd".to_owned(),
            "other://lake/x".to_owned(),
            String::new(),
            format!("{scheme}://"),
        ]);
        for address in bad {
            let at = Location::full(&address);
            let invalid = |error: Option<Error>| {
                assert!(
                    matches!(error, Some(Error::InvalidAddress { .. })),
                    "{address:?}: {error:?}"
                );
            };
            invalid(self.store.put(&at, from_bytes(Bytes::new())).await.err());
            invalid(self.store.get(&at, None).await.err());
            invalid(self.store.properties(&at).await.err());
            invalid(self.store.delete(&at).await.err());
            invalid(self.store.create_multipart(&at).await.err());
        }
        for namespace in [
            format!("{scheme}://"),
            format!("{scheme}://../x"),
            "other://x".to_owned(),
            String::new(),
        ] {
            let refused = self.store.check_namespace(&namespace);
            assert!(
                matches!(refused, Err(Error::InvalidAddress { .. })),
                "{namespace:?}: {refused:?}"
            );
        }
        self.store
            .check_namespace(self.namespace)
            .expect("the namespace is valid");
        self.store
            .check_namespace(&format!("{}/", self.namespace))
            .expect("a trailing slash is accepted");
        // Some clients append `/NAME` to the prefix `scheme://`.
        let name = self.namespace.split_once("://").expect("a URI").1;
        let spelled = self.store.check_namespace(&format!("{scheme}:///{name}"));
        assert_eq!(spelled.expect("a slash before the name"), self.namespace);
    }

    async fn canonical_forms_show_equal_and_nested_namespaces(&self) {
        let namespace = self.namespace.trim_end_matches('/');
        let namespaces = [
            namespace.to_owned(),
            format!("{namespace}/"),
            namespace.replacen("://", ":///", 1),
            format!("{namespace}/inner/most"),
            format!("{namespace}side"),
            "other://x/".to_owned(),
        ];
        let canonical = self.store.canonical_namespaces(namespaces.to_vec()).await;
        let [place, slashed, from_root, inner, beside, foreign] =
            <[String; 6]>::try_from(canonical).expect("one result per namespace");
        assert_eq!(place, slashed);
        assert_eq!(place, from_root);
        assert!(!place.ends_with('/'));
        assert!(
            inner.starts_with(&format!("{place}/")),
            "{inner} in {place}"
        );
        assert!(beside != place && !beside.starts_with(&format!("{place}/")));
        assert_eq!(foreign, "other://x");
    }
}
