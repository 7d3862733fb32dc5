//! Tests of how tables are read from their sources: in ranges, few at a time, and through the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use block::Location;
use bytes::Bytes;

use super::{Model, large, scan, write};
use crate::committed::testing::{CountingStore, NAMESPACE};
use crate::sstable::{Cache, CacheBounds, Error, Reader, Source, StoreSource};

/// A file that counts reads.
#[derive(Debug)]
struct Counted {
    bytes: Bytes,
    reads: AtomicUsize,
}

impl Counted {
    fn new(bytes: Bytes) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            reads: AtomicUsize::new(0),
        })
    }

    /// Returns the number of reads since the last call.
    fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::Relaxed)
    }
}

#[async_trait]
impl Source for Counted {
    async fn size(&self) -> block::Result<u64> {
        self.bytes.size().await
    }

    async fn read_at(&self, offset: u64, len: usize) -> block::Result<Bytes> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes.read_at(offset, len).await
    }
}

async fn open_in(cache: &Cache, source: &Arc<Counted>) -> Reader {
    let location = "local://lake/_lakefs/1";
    Reader::open_cached(cache, location, Arc::<Counted>::clone(source))
        .await
        .unwrap()
}

#[tokio::test]
async fn table_is_opened_with_one_read() {
    let source = Counted::new(write(&large()).bytes);
    Reader::open(Arc::<Counted>::clone(&source)).await.unwrap();
    assert_eq!(
        source.reads(),
        1,
        "the tail holds footer, properties and top index"
    );
}

#[tokio::test]
async fn lookup_in_an_open_table_is_two_reads() {
    let source = Counted::new(write(&large()).bytes);
    let reader = Reader::open(Arc::<Counted>::clone(&source)).await.unwrap();
    source.reads();
    reader.get(b"tables/00002000").await.unwrap().unwrap();
    assert_eq!(
        source.reads(),
        2,
        "one lower index block, one block of records"
    );
}

#[tokio::test]
async fn scan_reads_many_blocks_at_once() {
    let source = Counted::new(write(&large()).bytes);
    let reader = Reader::open(Arc::<Counted>::clone(&source)).await.unwrap();
    source.reads();
    scan(&reader).await.unwrap();
    let reads = source.reads();
    assert!(reads < 25, "{reads} reads for {} bytes", source.bytes.len());
}

#[tokio::test]
async fn scanned_table_is_opened_and_read_again_from_the_cache() {
    let source = Counted::new(write(&large()).bytes);
    let cache = Cache::default();
    scan(&open_in(&cache, &source).await).await.unwrap();
    assert_ne!(source.reads(), 0, "the first scan reads from the source");
    scan(&open_in(&cache, &source).await).await.unwrap();
    let found = open_in(&cache, &source).await.get(b"tables/00003999").await;
    found.unwrap().unwrap();
    assert_eq!(source.reads(), 0, "everything comes from the cache");
}

#[tokio::test]
async fn reads_succeed_without_room_in_the_cache() {
    let source = Counted::new(write(&large()).bytes);
    let cache = Cache::new(CacheBounds {
        tables_bytes: 0,
        blocks_bytes: 0,
    });
    let reader = open_in(&cache, &source).await;
    assert_eq!(scan(&reader).await.unwrap().len(), 4000);
}

/// Small records that fill several hundred blocks.
fn long() -> Model {
    let record = |n: u64| {
        let data = format!("{:0128}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (format!("tables/{n:08}").into_bytes(), data.into_bytes())
    };
    (0..40_000).map(record).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_walk_caches_only_its_first_blocks() {
    let source = Counted::new(write(&long()).bytes);
    let cache = Cache::default();
    let reader = Reader::open_cached(&cache, "x", Arc::<Counted>::clone(&source))
        .await
        .unwrap();
    assert_eq!(scan(&reader).await.unwrap().len(), 40_000);
    source.reads();
    let reads_for = async |n: usize| {
        let key = format!("tables/{n:08}");
        reader.get(key.as_bytes()).await.unwrap().unwrap();
        source.reads()
    };
    assert_eq!(reads_for(100).await, 0, "the first blocks are cached");
    assert_eq!(
        reads_for(5_000).await,
        0,
        "all blocks of a listing page are cached"
    );
    assert_eq!(reads_for(39_000).await, 1, "later blocks are not cached");
    assert_eq!(
        reads_for(39_000).await,
        0,
        "a block that a lookup read is cached"
    );
}

fn in_store(store: &Arc<CountingStore>, id: &str) -> Arc<StoreSource> {
    let at = Location::below(NAMESPACE, &format!("_lakefs/{id}"));
    Arc::new(StoreSource::new(Arc::<CountingStore>::clone(store), at))
}

#[tokio::test]
async fn table_in_a_block_store_is_read_in_ranges() {
    let store = Arc::new(CountingStore::default());
    let (model, bytes) = (large(), write(&large()).bytes);
    let size = bytes.len();
    store.insert("1", bytes);
    let reader = Reader::open(in_store(&store, "1")).await.unwrap();
    let opened = store.bytes_read();
    assert!(opened <= 16 << 10, "opening read {opened} of {size} bytes");
    reader.get(b"tables/00002000").await.unwrap().unwrap();
    let looked_up = store.bytes_read() - opened;
    assert!(
        looked_up < 16 << 10,
        "a lookup read {looked_up} of {size} bytes"
    );
    assert_eq!(scan(&reader).await.unwrap().len(), model.len());
}

#[tokio::test]
async fn table_missing_in_a_block_store_is_not_found() {
    let store = Arc::new(CountingStore::default());
    let error = Reader::open(in_store(&store, "2")).await.unwrap_err();
    assert!(
        matches!(error, Error::Read(block::Error::NotFound(_))),
        "{error}"
    );
}

#[tokio::test]
async fn replaced_corrupt_file_is_opened_again() {
    let good = write(&large()).bytes;
    let mut bad = good.to_vec();
    bad[100] ^= 1;
    let cache = Cache::default();
    let reader = Reader::open_cached(&cache, "x", Arc::new(Bytes::from(bad)))
        .await
        .unwrap();
    assert!(matches!(scan(&reader).await, Err(Error::Corrupt(_))));
    let reader = Reader::open_cached(&cache, "x", Arc::new(good))
        .await
        .unwrap();
    assert_eq!(scan(&reader).await.unwrap().len(), 4000);
}
