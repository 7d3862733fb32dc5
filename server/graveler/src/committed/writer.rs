//! Writes a tree from records and whole ranges, in ascending key order.
//!
//! A blocking thread encodes batches of records while the caller reads the next ones. A few finished
//! ranges are uploaded concurrently. The metarange is stored last, once all its ranges are
//! durable. Dropping a writer leaves at most some unreferenced ranges.

use std::collections::{BTreeMap, VecDeque};
use std::future::ready;
use std::sync::Arc;

use base::joined;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinHandle, JoinSet};

use super::metarange::RangeRef;
use super::tables::{RangeSplitter, TableKind, Tables, add_error};
use crate::sstable::{self, Finished, Record};
use crate::{Error, MetaRangeId, Result};

/// Number of record bytes at which a batch goes to the encoder.
const MAX_BATCH_BYTES: usize = 256 << 10;
/// Number of records at which a batch goes to the encoder.
const MAX_BATCH_RECORDS: usize = 1024;
/// Maximum number of concurrent uploads of ranges; it bounds the writer's memory.
const MAX_UPLOADS: usize = 4;
/// Maximum number of ranges remembered by [`TreeWriter::reuse_if_unchanged`].
const MAX_REUSABLE_RANGES: usize = 8;

/// A running encoder; it returns itself and the ranges that it finished.
type Encoding = JoinHandle<Result<(Encoder, Vec<Finished>)>>;

/// Writes one tree.
#[derive(Debug)]
pub(super) struct TreeWriter {
    tables: Tables,
    namespace: Arc<str>,
    /// Properties of each table besides its type. Its id covers them.
    properties: Arc<BTreeMap<String, String>>,
    batch: Vec<Record>,
    batch_bytes: usize,
    encoder: Encoder,
    encoding: Option<Encoding>,
    uploads: JoinSet<Result<()>>,
    ranges: Vec<RangeRef>,
    reusable: VecDeque<RangeRef>,
}

impl TreeWriter {
    pub(super) fn new(tables: Tables, namespace: &str) -> Self {
        Self::with_properties(tables, namespace, BTreeMap::new())
    }

    /// A writer whose tables have these properties besides their type.
    pub(super) fn with_properties(
        tables: Tables,
        namespace: &str,
        properties: BTreeMap<String, String>,
    ) -> Self {
        let properties = Arc::new(properties);
        let encoder = Encoder {
            splitter: tables.splitter,
            properties: Arc::clone(&properties),
            open: None,
        };
        Self {
            tables,
            namespace: Arc::from(namespace),
            properties,
            batch: Vec::new(),
            batch_bytes: 0,
            encoder,
            encoding: None,
            uploads: JoinSet::new(),
            ranges: Vec::new(),
            reusable: VecDeque::new(),
        }
    }

    /// Adds a record, verbatim.
    pub(super) async fn add(&mut self, record: Record) -> Result<()> {
        self.batch_bytes += record.key.len() + record.value.len();
        self.batch.push(record);
        if self.batch_bytes >= MAX_BATCH_BYTES || self.batch.len() >= MAX_BATCH_RECORDS {
            self.encode(false).await?;
        }
        Ok(())
    }

    /// Adds a range that is already stored. Closes the range that is being written.
    pub(super) async fn add_range(&mut self, range: RangeRef) -> Result<()> {
        self.close_range().await?;
        self.append(range)
    }

    /// Remembers a stored range whose records are about to be added. If they come out unchanged, it
    /// is not stored again.
    pub(super) fn reuse_if_unchanged(&mut self, range: &RangeRef) {
        if self.reusable.len() == MAX_REUSABLE_RANGES {
            self.reusable.pop_front();
        }
        self.reusable.push_back(range.clone());
    }

    /// Finishes the tree: waits until its ranges are stored, then stores the metarange.
    pub(super) async fn finish(mut self) -> Result<MetaRangeId> {
        self.close_range().await?;
        while let Some(stored) = self.uploads.join_next().await {
            joined(ready(stored)).await?;
        }
        let (ranges, extra) = (self.ranges, self.properties);
        let metarange = joined(spawn_heavy(move || encode_metarange(&ranges, &extra))).await?;
        let id = MetaRangeId::trusted(metarange.id.as_str());
        self.tables.store(&self.namespace, metarange).await?;
        Ok(id)
    }

    async fn close_range(&mut self) -> Result<()> {
        self.encode(true).await?;
        self.collect().await
    }

    /// Hands the batch to a blocking thread. With `close`, also finishes the open range.
    async fn encode(&mut self, close: bool) -> Result<()> {
        self.collect().await?;
        if self.batch.is_empty() && !(close && self.encoder.open.is_some()) {
            return Ok(());
        }
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        let idle = Encoder {
            splitter: self.tables.splitter,
            properties: Arc::clone(&self.properties),
            open: None,
        };
        let encoder = std::mem::replace(&mut self.encoder, idle);
        self.encoding = Some(spawn_heavy(move || encoder.run(batch, close)));
        Ok(())
    }

    /// Waits for the blocking thread and starts uploading the ranges it finished.
    async fn collect(&mut self) -> Result<()> {
        let Some(encoding) = self.encoding.take() else {
            return Ok(());
        };
        let (encoder, finished) = joined(encoding).await?;
        self.encoder = encoder;
        for range in finished {
            self.upload(range).await?;
        }
        Ok(())
    }

    async fn upload(&mut self, range: Finished) -> Result<()> {
        if let Some(known) = self
            .reusable
            .iter()
            .find(|known| known.id.as_str() == range.id)
        {
            let known = known.clone();
            return self.append(known);
        }
        self.append(RangeRef::to(&range))?;
        if self.uploads.len() == MAX_UPLOADS
            && let Some(stored) = self.uploads.join_next().await
        {
            joined(ready(stored)).await?;
        }
        let (tables, namespace) = (self.tables.clone(), Arc::clone(&self.namespace));
        self.uploads
            .spawn(async move { tables.store(&namespace, range).await });
        Ok(())
    }

    fn append(&mut self, range: RangeRef) -> Result<()> {
        if let Some(last) = self.ranges.last()
            && last.max_key >= range.min_key
        {
            let reason = format!("range {} does not lie after range {}", range.id, last.id);
            return Err(Error::Corrupt {
                what: "tree".to_owned(),
                reason,
            });
        }
        self.ranges.push(range);
        Ok(())
    }
}

/// The part of the writer that moves to a blocking thread and back.
#[derive(Debug)]
struct Encoder {
    splitter: RangeSplitter,
    properties: Arc<BTreeMap<String, String>>,
    open: Option<sstable::Writer>,
}

impl Encoder {
    fn run(mut self, batch: Vec<Record>, close: bool) -> Result<(Self, Vec<Finished>)> {
        let mut finished = Vec::new();
        for Record { key, value } in batch {
            let mut open = self.open.take().unwrap_or_default();
            open.add(&key, &value).map_err(|error| add_error(&error))?;
            if self.splitter.splits_after(&key, open.estimated_size()) {
                finished.push(open.finish(&properties(TableKind::Range, &self.properties)));
            } else {
                self.open = Some(open);
            }
        }
        if close && let Some(open) = self.open.take() {
            finished.push(open.finish(&properties(TableKind::Range, &self.properties)));
        }
        Ok((self, finished))
    }
}

fn encode_metarange(ranges: &[RangeRef], extra: &BTreeMap<String, String>) -> Result<Finished> {
    let mut metarange = sstable::Writer::new();
    for (key, value) in ranges.iter().map(RangeRef::record) {
        metarange
            .add(key, value)
            .map_err(|error| add_error(&error))?;
    }
    Ok(metarange.finish(&properties(TableKind::MetaRange, extra)))
}

fn properties(kind: TableKind, extra: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = extra.clone();
    all.insert("type".to_owned(), kind.property().to_owned());
    all
}

/// Runs CPU-heavy work on a blocking thread; on a single-threaded runtime, on the runtime's thread, so
/// that tests can control the order of all work.
fn spawn_heavy<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => tokio::spawn(async { work() }),
        _ => tokio::task::spawn_blocking(work),
    }
}
