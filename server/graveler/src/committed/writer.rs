//! Writes a tree from records and whole ranges, in ascending order of key.
//!
//! Records are encoded in batches on a blocking thread while the caller reads on, and
//! finished ranges are stored a few at a time. The metarange is stored last, when all its
//! ranges are durable. A writer that is dropped leaves unreferenced ranges at most.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::metarange::RangeRef;
use super::tables::{Breaking, TableKind, Tables, adding};
use crate::sstable::{self, Finished, Record};
use crate::{Error, MetaRangeId, Result};

/// The most bytes of records that wait for the encoder.
const MAX_BATCH_BYTES: usize = 256 << 10;
/// The most records that wait for the encoder.
const MAX_BATCH_RECORDS: usize = 1024;
/// The most ranges on their way to the store: what bounds the memory of a writer.
const MAX_UPLOADS: usize = 4;
/// The most ranges that are remembered because they may come out again.
const MAX_REUSABLE_RANGES: usize = 8;

/// An encoder at work; it comes back with the ranges that it finished.
type Encoding = JoinHandle<Result<(Encoder, Vec<Finished>)>>;

/// Writes one tree.
#[derive(Debug)]
pub(super) struct TreeWriter {
    tables: Tables,
    namespace: Arc<str>,
    /// What each table says of itself, beside its type; part of its id.
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

    /// A writer of tables that say more of themselves than their type.
    pub(super) fn with_properties(
        tables: Tables,
        namespace: &str,
        properties: BTreeMap<String, String>,
    ) -> Self {
        let properties = Arc::new(properties);
        let encoder = Encoder {
            breaking: tables.breaking,
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

    /// Adds a range that is stored already. Ends the range that is being written.
    pub(super) async fn add_range(&mut self, range: RangeRef) -> Result<()> {
        self.close_range().await?;
        self.append(range)
    }

    /// Remembers a stored range whose records are going to be added, in case they stay as
    /// they are: it is then not stored again.
    pub(super) fn expect_again(&mut self, range: &RangeRef) {
        if self.reusable.len() == MAX_REUSABLE_RANGES {
            self.reusable.pop_front();
        }
        self.reusable.push_back(range.clone());
    }

    /// Ends the tree: waits until its ranges are stored, then stores the metarange.
    pub(super) async fn finish(mut self) -> Result<MetaRangeId> {
        self.close_range().await?;
        while let Some(stored) = self.uploads.join_next().await {
            joined(stored)?;
        }
        let (ranges, extra) = (self.ranges, self.properties);
        let metarange = joined(aside(move || encode_metarange(&ranges, &extra)).await)?;
        let id = MetaRangeId::trusted(metarange.id.as_str());
        self.tables.store(&self.namespace, metarange).await?;
        Ok(id)
    }

    async fn close_range(&mut self) -> Result<()> {
        self.encode(true).await?;
        self.collect().await
    }

    /// Hands the batch to a blocking thread; with `close`, it ends the range as well.
    async fn encode(&mut self, close: bool) -> Result<()> {
        self.collect().await?;
        if self.batch.is_empty() && !(close && self.encoder.open.is_some()) {
            return Ok(());
        }
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        let idle = Encoder {
            breaking: self.tables.breaking,
            properties: Arc::clone(&self.properties),
            open: None,
        };
        let encoder = std::mem::replace(&mut self.encoder, idle);
        self.encoding = Some(aside(move || encoder.run(batch, close)));
        Ok(())
    }

    /// Waits for the blocking thread and sends the ranges it finished on their way.
    async fn collect(&mut self) -> Result<()> {
        let Some(encoding) = self.encoding.take() else {
            return Ok(());
        };
        let (encoder, finished) = joined(encoding.await)?;
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
            joined(stored)?;
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
            let reason = format!("range {} does not lie behind range {}", range.id, last.id);
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
    breaking: Breaking,
    properties: Arc<BTreeMap<String, String>>,
    open: Option<sstable::Writer>,
}

impl Encoder {
    fn run(mut self, batch: Vec<Record>, close: bool) -> Result<(Self, Vec<Finished>)> {
        let mut finished = Vec::new();
        for Record { key, value } in batch {
            let mut open = self.open.take().unwrap_or_default();
            open.add(&key, &value).map_err(|error| adding(&error))?;
            if self.breaking.ends_after(&key, open.estimated_size()) {
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
        metarange.add(key, value).map_err(|error| adding(&error))?;
    }
    Ok(metarange.finish(&properties(TableKind::MetaRange, extra)))
}

fn properties(kind: TableKind, extra: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = extra.clone();
    all.insert("type".to_owned(), kind.property().to_owned());
    all
}

/// Has heavy work done by a blocking thread; on a runtime of one thread, whose tests decide the
/// order of everything, by that one.
fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => tokio::spawn(async { work() }),
        _ => tokio::task::spawn_blocking(work),
    }
}

/// The result of a task; its panic is passed on.
fn joined<T>(result: std::result::Result<Result<T>, JoinError>) -> Result<T> {
    match result.map_err(JoinError::try_into_panic) {
        Ok(result) => result,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(error)) => panic!("a task of the writer was ended from outside: {error}"),
    }
}
