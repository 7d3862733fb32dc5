//! Reads object bytes: single spans, many spans at once, and streams of chunks.
//!
//! Every byte, including gaps between nearby spans, is taken from the hook's budget before the guest
//! gets it. No call fetches more than twice [`READ_BYTES`]: the spans and the gaps between them.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use catalog::Object;
use futures::{StreamExt as _, TryStreamExt as _};
use std::sync::Arc;

use block::ByteStream;

use super::limits::{CHUNK_BYTES, FETCHES, READ_BYTES, SPAN_GAP, SPANS, size};
use super::session::{Refusal, Run};

/// Returns the size of an object. A negative size in a corrupt entry counts as 0.
pub(super) fn size_of(object: &Object) -> u64 {
    u64::try_from(object.entry.size_bytes).unwrap_or(0)
}

/// Reads exactly the bytes of one span.
pub(super) async fn read(
    run: &Run,
    object: &Arc<Object>,
    offset: u64,
    length: u32,
) -> Result<Bytes, Refusal> {
    let range = checked_range(object, offset, length)?;
    check_read_size(u64::from(length))?;
    fetch(run, object, range).await
}

/// Reads the last bytes of an object, or all bytes of a shorter object.
pub(super) async fn read_tail(
    run: &Run,
    object: &Arc<Object>,
    length: u32,
) -> Result<Bytes, Refusal> {
    let size = size_of(object);
    let length = u64::from(length).min(size);
    check_read_size(length)?;
    fetch(run, object, size - length..size).await
}

/// Reads exactly the bytes of each span, in the requested order.
pub(super) async fn read_many(
    run: &Run,
    object: &Arc<Object>,
    spans: &[(u64, u32)],
) -> Result<Vec<Bytes>, Refusal> {
    if spans.len() > SPANS {
        return Err(Refusal::CallTooLarge(format!(
            "one call can read at most {SPANS} spans"
        )));
    }
    let spans: Vec<Range<u64>> = spans
        .iter()
        .map(|(o, l)| checked_range(object, *o, *l))
        .collect::<Result<_, _>>()?;
    check_read_size(spans.iter().map(|s| s.end - s.start).sum())?;
    let plan = plan(&spans);
    let fetches = plan
        .clone()
        .into_iter()
        .map(|range| fetch(run, object, range));
    let fetched: Vec<Bytes> = futures::stream::iter(fetches)
        .buffered(FETCHES)
        .try_collect()
        .await?;
    let part = |span: &Range<u64>| {
        if span.is_empty() {
            return Bytes::new();
        }
        let n = plan.partition_point(|r| r.end < span.end);
        let start =
            usize::try_from(span.start - plan[n].start).expect("a plan's ranges fit in memory");
        let length = usize::try_from(span.end - span.start).expect("a span fits in memory");
        fetched[n].slice(start..start + length)
    };
    Ok(spans.iter().map(part).collect())
}

/// Plans the fetches: ascending, disjoint ranges that cover all spans. Merges nearby spans as long
/// as the gaps stay within the limit of a call.
fn plan(spans: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = spans.iter().filter(|s| !s.is_empty()).cloned().collect();
    sorted.sort_by_key(|s| (s.start, s.end));
    let mut plan: Vec<Range<u64>> = Vec::new();
    let mut between = 0;
    for span in sorted {
        match plan.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            Some(last)
                if span.start - last.end <= SPAN_GAP
                    && between + span.start - last.end <= u64::from(READ_BYTES) =>
            {
                between += span.start - last.end;
                last.end = span.end;
            }
            _ => plan.push(span),
        }
    }
    plan
}

fn checked_range(object: &Object, offset: u64, length: u32) -> Result<Range<u64>, Refusal> {
    match offset.checked_add(u64::from(length)) {
        Some(end) if end <= size_of(object) => Ok(offset..end),
        _ => Err(Refusal::OutOfRange),
    }
}

fn check_read_size(bytes: u64) -> Result<(), Refusal> {
    if bytes > u64::from(READ_BYTES) {
        return Err(Refusal::CallTooLarge(format!(
            "one call can read at most {}",
            size(READ_BYTES.into())
        )));
    }
    Ok(())
}

async fn fetch(run: &Run, object: &Arc<Object>, range: Range<u64>) -> Result<Bytes, Refusal> {
    let length = range.end - range.start;
    if length == 0 {
        return Ok(Bytes::new());
    }
    run.spend(length)?;
    let expected = usize::try_from(length).expect("bounded by the size of a call");
    let (fetched, path) = (Arc::clone(object), &object.path);
    let read = run.storage(|trees| async move {
        let object = &fetched;
        let mut body = trees.open(object, range).await?;
        let mut bytes = BytesMut::with_capacity(expected);
        while let Some(piece) = body.next().await {
            let piece =
                piece.map_err(|e| catalog::Error::DataGone(format!("{} ({e})", object.path)))?;
            // A store that sends too many bytes must not grow the buffer.
            let room = expected - bytes.len();
            bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        Ok(bytes.freeze())
    });
    let bytes = read.await?;
    if bytes.len() != expected {
        return Err(Refusal::Unavailable(format!(
            "storage has fewer bytes of {path:?} than its entry says"
        )));
    }
    Ok(bytes)
}

/// Streams the bytes of an object from an offset.
#[expect(unreachable_pub, reason = "the bindings re-export what guests hold")]
pub struct Chunks {
    object: Arc<Object>,
    at: u64,
    body: Option<ByteStream>,
    /// Fetched bytes that are already taken from the budget but not yet returned.
    rest: BytesMut,
}

impl Chunks {
    pub(super) fn new(object: Arc<Object>, from: u64) -> Result<Self, Refusal> {
        if from > size_of(&object) {
            return Err(Refusal::OutOfRange);
        }
        Ok(Self {
            object,
            at: from,
            body: None,
            rest: BytesMut::new(),
        })
    }

    /// Returns up to `max` bytes, or `None` at the end.
    pub(super) async fn next(
        &mut self,
        run: &Arc<Run>,
        max: u32,
    ) -> Result<Option<Bytes>, Refusal> {
        if max == 0 {
            return Err(Refusal::Other("max must be at least 1".into()));
        }
        let end = size_of(&self.object);
        let wanted = (max as usize).min(CHUNK_BYTES);
        while self.rest.len() < wanted && self.at < end {
            let (object, range) = (Arc::clone(&self.object), self.at..end);
            let (body, missing) = (self.body.take(), wanted - self.rest.len());
            let payer = Arc::clone(run);
            let more = run.storage(|trees| async move {
                let mut body = match body {
                    Some(body) => body,
                    None => trees.open(&object, range).await?,
                };
                let mut pieces = BytesMut::new();
                let mut refused = None;
                while pieces.len() < missing {
                    let Some(piece) = body.next().await else {
                        break;
                    };
                    let path = &object.path;
                    let piece =
                        piece.map_err(|e| catalog::Error::DataGone(format!("{path} ({e})")))?;
                    refused = payer.spend(piece.len() as u64).err();
                    if refused.is_some() {
                        break;
                    }
                    pieces.extend_from_slice(&piece);
                }
                Ok((body, pieces, refused))
            });
            let (body, pieces, refused) = more.await?;
            if let Some(refusal) = refused {
                // The guest gets the bytes that were taken from the budget. The stream has lost the refused piece, so
                // the next call opens the object again.
                self.at += pieces.len() as u64;
                self.rest.unsplit(pieces);
                if self.rest.is_empty() {
                    return Err(refusal);
                }
                break;
            }
            if pieces.is_empty() {
                return Err(Refusal::Unavailable(format!(
                    "storage has fewer bytes of {:?} than its entry says",
                    self.object.path
                )));
            }
            self.body = Some(body);
            self.at += pieces.len() as u64;
            self.rest.unsplit(pieces);
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let n = self.rest.len().min(max.min(READ_BYTES) as usize);
        Ok(Some(self.rest.split_to(n).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use base::Page;
    use catalog::{AddressType, Entry};
    use graveler::EventKind;
    use serde_json::Value;

    use super::super::admission::{Admission, Waits};
    use super::super::capability::Rights;
    use super::super::limits::HOST_CALL;
    use super::super::request::{Limits, Select};
    use super::super::tree::{Side, Trees};
    use super::super::{findings, log};
    use super::*;
    use crate::shares::FairSemaphore;
    use crate::testing::event;

    fn run(trees: Arc<dyn Trees>, read_bytes: u64) -> Run {
        let limits = Limits {
            memory_bytes: 1 << 20,
            time_per_object: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            read_bytes,
            findings: 1,
            log_bytes: 1,
        };
        Run {
            action: String::new(),
            hook: String::new(),
            event: Arc::new(event(EventKind::PreCommit)),
            config: Value::Null,
            config_text: OnceLock::new(),
            trees,
            rights: Arc::new(Rights::new(&Select::default(), &[], &[]).unwrap()),
            storage_calls: FairSemaphore::new(2, HOST_CALL).share("lake"),
            limits,
            keep_going: false,
            read: AtomicU64::new(0),
            share: Admission::new().share("lake"),
            waits: Waits::default(),
            log_budget: log::budget(1),
            findings_budget: findings::budget(),
        }
    }

    #[test]
    fn nearby_spans_are_fetched_together() {
        let plan = |spans: &[Range<u64>]| {
            plan(spans)
                .iter()
                .map(|r| format!("{r:?}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(plan(&[]), "");
        assert_eq!(plan(&[10..20, 0..5]), "0..20");
        let far = 20 + SPAN_GAP + 1;
        assert_eq!(
            plan(&[far..far + 1, 10..20]),
            format!("10..20 {far}..{}", far + 1)
        );
        assert_eq!(plan(&[0..100, 10..20, 5..5]), "0..100");
    }

    #[test]
    fn total_size_of_gaps_is_limited() {
        let spans: Vec<_> = (0..1000)
            .map(|n| n * (SPAN_GAP + 1)..n * (SPAN_GAP + 1) + 1)
            .collect();
        let plan = plan(&spans);
        let fetched: u64 = plan.iter().map(|r| r.end - r.start).sum();
        assert!(fetched <= 1000 + u64::from(READ_BYTES), "{fetched}");
        assert!(plan.len() > 1 && plan.len() < 1000);
    }

    fn object(size_bytes: i64) -> Object {
        Object {
            path: "a".to_owned(),
            entry: Entry {
                address: "a".to_owned(),
                address_type: AddressType::Full,
                last_modified: base::OffsetDateTime::UNIX_EPOCH,
                size_bytes,
                etag: String::new(),
                metadata: std::collections::BTreeMap::new(),
                content_type: String::new(),
            },
            identity: Bytes::new(),
            physical_address: "a".to_owned(),
        }
    }

    /// One object of 8 bytes, in pieces of 2.
    #[derive(Debug)]
    struct Pieces;

    #[async_trait::async_trait]
    impl Trees for Pieces {
        fn tree_id(&self, _: Side) -> Option<String> {
            None
        }

        async fn stat(&self, _: Side, _: &str) -> catalog::Result<Option<Object>> {
            Ok(None)
        }

        async fn walk(&self, _: Side, _: &str, _: &str, _: usize) -> catalog::Result<Page<Object>> {
            Ok(Page::empty())
        }

        async fn diff(
            &self,
            _: &str,
            _: &str,
            _: usize,
        ) -> catalog::Result<Page<(Option<Object>, Option<Object>)>> {
            Ok(Page::empty())
        }

        async fn open(&self, _: &Object, range: Range<u64>) -> catalog::Result<ByteStream> {
            let start = usize::try_from(range.start).unwrap();
            let pieces = b"abcdefgh"[start..].chunks(2);
            let pieces: Vec<_> = pieces.map(|p| Ok(Bytes::from_static(p))).collect();
            Ok(Box::pin(futures::stream::iter(pieces)))
        }
    }

    /// Regression test: if the budget ended inside a chunk, the earlier pieces, which were already taken from the
    /// budget, were lost.
    #[tokio::test]
    async fn paid_bytes_are_returned_before_the_refusal() {
        let run = Arc::new(run(Arc::new(Pieces), 5));
        let mut chunks = Chunks::new(Arc::new(object(8)), 0).unwrap();
        let first = chunks.next(&run, 8).await.unwrap();
        assert_eq!(first.as_deref(), Some(&b"abcd"[..]));
        for _ in 0..2 {
            let refused = chunks.next(&run, 8).await.unwrap_err();
            assert!(matches!(refused, Refusal::BudgetUsedUp(_)), "{refused:?}");
        }
        // A smaller piece fits into the rest of the budget.
        let mut last = Chunks::new(Arc::new(object(8)), 7).unwrap();
        let last = last.next(&run, 8).await.unwrap();
        assert_eq!(last.as_deref(), Some(&b"h"[..]));
    }

    /// Regression test: the guests of one repository could make all storage calls at once, and those of
    /// others waited behind them.
    #[tokio::test]
    async fn repository_makes_at_most_half_of_the_storage_calls() {
        let all = FairSemaphore::new(2, HOST_CALL);
        let run_of = |repository: &str| Run {
            storage_calls: all.share(repository),
            ..run(Arc::new(Pieces), 100)
        };
        let (greedy, other) = (run_of("greedy"), run_of("other"));
        let endless = greedy.storage(|_| std::future::pending::<catalog::Result<()>>());
        let mut endless = std::pin::pin!(endless);
        let mut waiting = std::pin::pin!(greedy.stat(Side::Base, "a".to_owned()));
        let found = other.stat(Side::Base, "a".to_owned());
        tokio::select! {
            biased;
            _ = &mut endless => panic!("it never ends"),
            _ = &mut waiting => panic!("it has no permit"),
            found = found => assert_eq!(found.unwrap_err(), Refusal::NotFound),
        }
    }
}
