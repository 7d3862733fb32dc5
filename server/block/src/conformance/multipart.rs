//! Tests of multipart uploads: parts, completion and abort.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::future;
use md5::{Digest as _, Md5};

use super::{ROUNDS, Suite, broken_after, hex_md5, in_pieces, named, pattern};
use crate::{CompletedPart, Error, Location, PartInfo, from_bytes};

impl Suite<'_> {
    async fn upload(&self, key: &str, parts: &[(u32, Bytes)]) -> (Location, String, Vec<PartInfo>) {
        let at = self.at(key);
        let id = self
            .store
            .create_multipart(&at)
            .await
            .expect("an upload begins");
        let mut infos = Vec::new();
        for (number, bytes) in parts {
            let info = self
                .store
                .put_part(&at, &id, *number, in_pieces(bytes, 50_000))
                .await
                .expect("a part is stored");
            assert_eq!(
                (info.number, info.size_bytes, &info.etag),
                (*number, bytes.len() as u64, &hex_md5(bytes))
            );
            infos.push(info);
        }
        (at, id, infos)
    }

    pub(super) async fn completed_parts_become_an_object(&self) {
        let parts = [
            (7, pattern(600_000, 1)),
            (2, pattern(500_000, 2)),
            (10_000, pattern(3, 3)),
            (4, pattern(9, 4)),
        ];
        let (at, id, mut infos) = self.upload("data/m/1", &parts).await;
        // A part with the same number replaces the first.
        let again = pattern(11, 5);
        infos[1] = self
            .store
            .put_part(&at, &id, 2, from_bytes(again.clone()))
            .await
            .expect("a part is replaced");
        infos.sort_by_key(|info| info.number);
        assert_eq!(
            self.store
                .list_parts(&at, &id)
                .await
                .expect("parts are listed"),
            infos
        );
        self.assert_absent("data/m/1").await;

        // Part 4 was uploaded but is not listed.
        infos.remove(1);
        let put = self
            .store
            .complete_multipart(&at, &id, &named(&infos))
            .await
            .expect("an upload is completed");
        let whole: Bytes = [&again[..], &parts[0].1, &parts[2].1].concat().into();
        let digests: Vec<u8> = [&again, &parts[0].1, &parts[2].1]
            .iter()
            .flat_map(Md5::digest)
            .collect();
        assert_eq!(put.size_bytes, whole.len() as u64);
        assert_eq!(put.md5, format!("{}-3", hex_md5(&digests)));
        assert!(self.read("data/m/1", None).await.expect("it was completed") == whole);

        self.repeated_completion_returns_the_same_result(&at, &id, &infos, &put)
            .await;
        for _ in 0..2 {
            self.store
                .abort_multipart(&at, &id)
                .await
                .expect("aborting a completed or a missing upload succeeds");
            let forgotten = self
                .store
                .complete_multipart(&at, &id, &named(&infos))
                .await;
            assert!(
                matches!(forgotten, Err(Error::NoSuchUpload(_))),
                "{forgotten:?}"
            );
        }
        assert!(
            self.store
                .properties(&at)
                .await
                .expect("properties answer")
                .is_some(),
            "the object stays"
        );
    }

    /// A client that did not receive the result may repeat the request. Lists of other parts are rejected.
    async fn repeated_completion_returns_the_same_result(
        &self,
        at: &Location,
        id: &str,
        infos: &[PartInfo],
        put: &crate::PutResult,
    ) {
        let mut same = named(infos);
        same[0].etag = format!("\"{}\"", same[0].etag.to_ascii_uppercase());
        for parts in [&named(infos), &same] {
            let again = self.store.complete_multipart(at, id, parts).await;
            assert_eq!(&again.expect("the same parts again"), put);
        }
        let refused = [
            self.store
                .complete_multipart(at, id, &named(&infos[..1]))
                .await
                .err(),
            self.store
                .put_part(at, id, 1, from_bytes(Bytes::new()))
                .await
                .err(),
            self.store.list_parts(at, id).await.err(),
        ];
        for error in refused {
            assert!(matches!(error, Some(Error::NoSuchUpload(_))), "{error:?}");
        }
    }

    /// Guards a bug: after two concurrent completions with different parts, the size was from one and the
    /// bytes were from the other.
    pub(super) async fn one_of_several_concurrent_completions_wins(&self) {
        for round in 0..ROUNDS {
            let parts: Vec<_> = (1..=3)
                .map(|number| {
                    (
                        number,
                        pattern(200_000 * number as usize, round + number as u8),
                    )
                })
                .collect();
            let key = format!("data/m/race-{round}");
            let (at, id, infos) = self.upload(&key, &parts).await;
            let lists = [
                &infos[..1],
                &infos[..2],
                &infos[1..],
                &infos[..2],
                &infos[2..],
            ];
            let ended = future::join_all(lists.iter().map(async |list| {
                self.store
                    .complete_multipart(&at, &id, &named(list))
                    .await
                    .map_err(|error| (matches!(error, Error::NoSuchUpload(_)), error))
            }))
            .await;
            let winner = ended.iter().position(Result::is_ok).expect("one wins");
            let whole: Vec<u8> = lists[winner]
                .iter()
                .flat_map(|info| parts[info.number as usize - 1].1.clone())
                .collect();
            for (list, ended) in lists.iter().zip(&ended) {
                match ended {
                    Ok(put) => {
                        assert_eq!(list, &lists[winner], "one list wins");
                        assert_eq!(put.size_bytes, whole.len() as u64);
                        assert!(put.md5.ends_with(&format!("-{}", list.len())));
                    }
                    Err((is_unknown, error)) => assert!(is_unknown, "{error:?}"),
                }
            }
            let read = self.read(&key, None).await.expect("it was completed");
            assert!(read == whole, "the bytes are from the winning list");
        }
    }

    pub(super) async fn abort_and_completion_do_not_both_take_effect(&self) {
        for round in 0..ROUNDS {
            let key = format!("data/m/abort-{round}");
            let (at, id, infos) = self.upload(&key, &[(1, pattern(300_000, round))]).await;
            let all = named(&infos);
            let complete = self.store.complete_multipart(&at, &id, &all);
            let part = self
                .store
                .put_part(&at, &id, 2, from_bytes(pattern(9, round)));
            let abort = self.store.abort_multipart(&at, &id);
            let (completed, stored, aborted) = future::join3(complete, part, abort).await;
            aborted.expect("an abort always succeeds");
            match completed {
                Ok(put) => {
                    let read = self.read(&key, None).await.expect("it was completed");
                    assert_eq!(put.size_bytes, read.len() as u64);
                }
                Err(error) => {
                    assert!(matches!(error, Error::NoSuchUpload(_)), "{error:?}");
                    self.assert_absent(&key).await;
                }
            }
            if let Err(error) = stored {
                assert!(matches!(error, Error::NoSuchUpload(_)), "{error:?}");
            }
            let gone = self.store.list_parts(&at, &id).await;
            assert!(matches!(gone, Err(Error::NoSuchUpload(_))), "{gone:?}");
        }
    }

    pub(super) async fn invalid_parts_are_rejected_and_the_upload_stays(&self) {
        let parts = [(1, pattern(100, 1)), (2, pattern(100, 2))];
        let (at, id, infos) = self.upload("data/m/2", &parts).await;
        let good = named(&infos);
        let missing = CompletedPart {
            number: 3,
            etag: good[0].etag.clone(),
        };
        let other_tag = CompletedPart {
            number: 2,
            etag: good[0].etag.clone(),
        };
        let bad = [
            vec![],
            vec![good[1].clone(), good[0].clone()],
            vec![good[0].clone(), good[0].clone()],
            vec![good[0].clone(), missing],
            vec![good[0].clone(), other_tag],
        ];
        for parts in bad {
            let refused = self.store.complete_multipart(&at, &id, &parts).await;
            assert!(
                matches!(refused, Err(Error::InvalidPart(_))),
                "{parts:?}: {refused:?}"
            );
        }
        for number in [0, 10_001] {
            let refused = self
                .store
                .put_part(&at, &id, number, from_bytes(Bytes::new()))
                .await;
            assert!(
                matches!(refused, Err(Error::InvalidPart(_))),
                "{number}: {refused:?}"
            );
        }
        let failed = self
            .store
            .put_part(&at, &id, 2, broken_after(pattern(7, 3)))
            .await;
        assert!(matches!(failed, Err(Error::Body(_))), "{failed:?}");
        self.assert_absent("data/m/2").await;
        self.store
            .complete_multipart(&at, &id, &good)
            .await
            .expect("the upload is unchanged");
    }

    pub(super) async fn unknown_uploads_are_rejected(&self) {
        let (at, id, infos) = self.upload("data/m/3", &[(1, pattern(10, 1))]).await;
        let unknown = "0123456789abcdef0123456789abcdef";
        for (at, id) in [
            (&at, unknown),
            (&at, ""),
            (&at, "../x"),
            (&at, "*"),
            (&self.at("data/m/4"), &id),
        ] {
            let all = [
                self.store
                    .put_part(at, id, 1, from_bytes(Bytes::new()))
                    .await
                    .err(),
                self.store.list_parts(at, id).await.err(),
                self.store
                    .complete_multipart(at, id, &named(&infos))
                    .await
                    .err(),
            ];
            for error in all {
                assert!(
                    matches!(error, Some(Error::NoSuchUpload(_))),
                    "{id:?}: {error:?}"
                );
            }
            self.store
                .abort_multipart(at, id)
                .await
                .expect("aborting a missing upload succeeds");
        }
        assert_eq!(
            self.store
                .list_parts(&at, &id)
                .await
                .expect("the upload stays")
                .len(),
            1
        );
    }

    pub(super) async fn aborted_upload_is_removed(&self) {
        let parts: Vec<_> = (1..=5)
            .map(|number| (number, pattern(10, number as u8)))
            .collect();
        let (at, id, infos) = self.upload("data/m/5", &parts).await;
        let (_, other, _) = self.upload("data/m/6", &parts).await;
        assert_ne!(id, other);
        self.store
            .abort_multipart(&at, &id)
            .await
            .expect("an upload is aborted");
        let gone = self
            .store
            .complete_multipart(&at, &id, &named(&infos))
            .await;
        assert!(matches!(gone, Err(Error::NoSuchUpload(_))), "{gone:?}");
        self.assert_absent("data/m/5").await;
        let left = self
            .store
            .list_parts(&self.at("data/m/6"), &other)
            .await
            .expect("another upload stays");
        assert_eq!(
            left.iter()
                .map(|part| part.number)
                .collect::<BTreeSet<_>>()
                .len(),
            5
        );
    }
}
