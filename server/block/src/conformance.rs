//! The suite that every driver runs: what [`BlockStore`] promises, as assertions.
//!
//! Panics with the promise that was broken. Uses nothing but the trait, so what a driver
//! leaves on its disk is for the driver's own tests.

mod multipart;

use std::io;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, future, stream};
use md5::{Digest as _, Md5};

use crate::{BlockStore, ByteStream, CompletedPart, Error, Location, PartInfo, from_bytes};

/// How many writers put to one address at once.
const WRITERS: u8 = 8;
/// How often what happens at the same time is tried.
const ROUNDS: u8 = 8;
/// Longer than any chunk a driver reads or writes at once.
const LARGE_BYTES: usize = 3_000_001;

/// Runs the suite below `namespace`, a URI without a trailing slash that nobody else uses.
pub async fn run(store: Arc<dyn BlockStore>, namespace: &str) {
    let suite = Suite { store, namespace };
    suite.objects_come_and_go().await;
    suite.ranges_are_cut_at_the_end().await;
    suite.a_large_object_streams_in_pieces().await;
    suite.a_failing_body_leaves_nothing().await;
    suite.a_cancelled_put_leaves_nothing().await;
    suite.puts_to_one_address_leave_one_whole_object().await;
    suite.copies_are_objects_of_their_own().await;
    suite.addresses_stay_in_their_place().await;
    suite.canonical_namespaces().await;
    suite.parts_become_an_object().await;
    suite.wrong_parts_are_refused_and_the_upload_stays().await;
    suite.unknown_uploads_are_refused().await;
    suite.an_aborted_upload_is_gone().await;
    suite.one_of_several_completions_wins().await;
    suite
        .an_abort_and_a_completion_do_not_both_take_effect()
        .await;
}

struct Suite<'a> {
    store: Arc<dyn BlockStore>,
    namespace: &'a str,
}

fn hex_md5(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// Bytes that differ from place to place.
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
        Err(io::Error::other("the client went away")),
    ]))
}

fn named(parts: &[PartInfo]) -> Vec<CompletedPart> {
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

    async fn put(&self, key: &str, bytes: &Bytes) -> crate::Put {
        self.store
            .put(&self.at(key), from_bytes(bytes.clone()))
            .await
            .expect("a put succeeds")
    }

    async fn read(&self, key: &str, range: Option<std::ops::Range<u64>>) -> crate::Result<Bytes> {
        let body = self.store.get(&self.at(key), range).await?;
        let pieces: Vec<Bytes> = body
            .try_collect()
            .await
            .expect("a body that began is whole");
        Ok(pieces.concat().into())
    }

    async fn assert_absent(&self, key: &str) {
        let at = self.at(key);
        assert!(
            self.store
                .properties(&at)
                .await
                .expect("properties answer")
                .is_none(),
            "{at} must be absent"
        );
        assert!(
            matches!(self.store.get(&at, None).await, Err(Error::NotFound(_))),
            "{at} must not be found"
        );
    }

    async fn objects_come_and_go(&self) {
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
                .expect("properties answer")
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
            "a put replaces"
        );
        for _ in 0..2 {
            self.store
                .delete(&self.at("data/a/1"))
                .await
                .expect("deleting what is absent is no error");
            self.assert_absent("data/a/1").await;
        }
        self.store
            .delete(&self.at("never/there"))
            .await
            .expect("deleting what is absent is no error");
        self.assert_absent("data/a").await;
        self.assert_absent("data/a/empty/below").await;
        // Any name that is text is a name.
        let key = "data/o dd/%2e%2e %00 \\ ünï\n*?";
        self.put(key, &other).await;
        assert_eq!(self.read(key, None).await.expect("it was put"), other);
    }

    async fn ranges_are_cut_at_the_end(&self) {
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
                    .expect("the range is within"),
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

    async fn a_large_object_streams_in_pieces(&self) {
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
            "read as it was put"
        );
        let read = self
            .read("data/l/1", Some(100_000..2_500_000))
            .await
            .expect("the range is within");
        assert!(
            read == bytes.slice(100_000..2_500_000),
            "a range over several chunks"
        );
        // A reader that stops early is no trouble.
        let mut body = self
            .store
            .get(&self.at("data/l/1"), None)
            .await
            .expect("it was put");
        assert!(body.next().await.is_some());
    }

    async fn a_failing_body_leaves_nothing(&self) {
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
            "what was there stays"
        );
    }

    async fn a_cancelled_put_leaves_nothing(&self) {
        // The body gives some and then waits for ever; the put is dropped while it waits.
        let (told, waiting) = futures::channel::oneshot::channel();
        let mut told = Some(told);
        let silence = stream::poll_fn(move |_| {
            if let Some(told) = told.take() {
                told.send(()).expect("the test listens");
            }
            Poll::<Option<io::Result<Bytes>>>::Pending
        });
        let body = stream::iter([Ok(pattern(LARGE_BYTES, 9))]).chain(silence);
        let at = self.at("data/c/1");
        let put = self.store.put(&at, Box::pin(body)).fuse();
        match future::select(Box::pin(put), waiting).await {
            future::Either::Left((put, _)) => panic!("a put without an end has ended: {put:?}"),
            future::Either::Right((_, put)) => drop(put),
        }
        self.assert_absent("data/c/1").await;
    }

    async fn puts_to_one_address_leave_one_whole_object(&self) {
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
        assert!(bodies.contains(&left), "one of the bodies is there, whole");
    }

    async fn copies_are_objects_of_their_own(&self) {
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

    async fn addresses_stay_in_their_place(&self) {
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
        // As clients write it that put the name of a folder behind the prefix.
        let name = self.namespace.split_once("://").expect("a URI").1;
        let spelled = self.store.check_namespace(&format!("{scheme}:///{name}"));
        assert_eq!(spelled.expect("a slash before the name"), self.namespace);
    }

    /// What the places of namespaces are called tells which are the same and which are inside of others.
    async fn canonical_namespaces(&self) {
        let namespace = self.namespace.trim_end_matches('/');
        let asked = [
            namespace.to_owned(),
            format!("{namespace}/"),
            namespace.replacen("://", ":///", 1),
            format!("{namespace}/inner/most"),
            format!("{namespace}side"),
            "other://x/".to_owned(),
        ];
        let named = self.store.canonical_namespaces(asked.to_vec()).await;
        let [place, slashed, from_root, inner, beside, foreign] =
            <[String; 6]>::try_from(named).expect("as many as asked");
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
