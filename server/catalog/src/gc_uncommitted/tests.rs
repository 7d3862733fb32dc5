//! Tests the sizes of files and row groups, and that every address is listed exactly once.

use block::BlockStore as _;
use bytes::Bytes;
use futures::TryStreamExt as _;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;

use super::Bounds;
use crate::testing::TestCatalog;

const OBJECTS: usize = 25;

/// A stored file: its size, the number of rows of each group, and its addresses.
#[derive(Debug)]
struct StoredFile {
    bytes: usize,
    groups: Vec<i64>,
    addresses: Vec<String>,
}

/// Runs the preparation for `OBJECTS` objects and returns its files in the order in which they were written.
async fn files(bounds: Bounds) -> Vec<StoredFile> {
    let lake = TestCatalog::new();
    let repository = lake.repository("lake").await;
    let mut staged = Vec::new();
    for number in 0..OBJECTS {
        let object = lake
            .put(&repository, "main", &format!("{number:02}"), "x")
            .await;
        staged.push(object.physical_address.replace("mem://lake/", ""));
    }
    let prepared = lake.prepare_within(&repository, None, bounds).await;
    let prepared = prepared.expect("prepare");
    let mut found = Vec::new();
    for at in lake.block.addresses() {
        if !at.as_str().starts_with(&prepared.location) {
            continue;
        }
        let body = lake.block.get(&at, None).await.expect("a file").body;
        let pieces: Vec<Bytes> = body.try_collect().await.expect("a body in memory");
        let file = Bytes::from(pieces.concat());
        let bytes = file.len();
        let reader = SerializedFileReader::new(file).expect("Parquet");
        let rows = reader.get_row_iter(None).expect("rows");
        found.push(StoredFile {
            bytes,
            groups: reader
                .metadata()
                .row_groups()
                .iter()
                .map(|group| group.num_rows())
                .collect(),
            addresses: rows
                .map(|row| row.and_then(|row| row.get_string(0).cloned()))
                .collect::<Result<_, _>>()
                .expect("addresses"),
        });
    }
    let mut all: Vec<&String> = found.iter().flat_map(|file| &file.addresses).collect();
    let mut expected: Vec<&String> = staged.iter().collect();
    all.sort();
    expected.sort();
    assert_eq!(all, expected, "each address is listed once");
    found.sort_by_key(|file| staged.iter().position(|at| *at == file.addresses[0]));
    found
}

#[tokio::test]
async fn row_group_ends_at_its_row_limit() {
    let one = files(Bounds {
        group_rows: 4,
        file_bytes: usize::MAX,
    })
    .await;
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].groups, [4, 4, 4, 4, 4, 4, 1]);
    // A full last group is not followed by an empty one.
    let full = files(Bounds {
        group_rows: 5,
        file_bytes: usize::MAX,
    })
    .await;
    assert_eq!(full[0].groups, [5; 5]);
}

#[tokio::test]
async fn file_ends_at_its_size_limit() {
    let each = files(Bounds {
        group_rows: 4,
        file_bytes: 1,
    })
    .await;
    let groups: Vec<_> = each.iter().map(|file| file.groups.clone()).collect();
    assert_eq!(groups, [[4], [4], [4], [4], [4], [4], [1]]);

    // `written_bytes` excludes the footer, so one group does not reach the size of a file with one group.
    let of_one = each[0].bytes;
    let larger = files(Bounds {
        group_rows: 4,
        file_bytes: of_one,
    })
    .await;
    assert!((2..7).contains(&larger.len()), "{larger:?}");
    let (last, cut) = larger.split_last().expect("files");
    assert!(
        cut.iter()
            .all(|file| file.bytes >= of_one && file.groups.len() > 1)
    );
    assert!(!last.addresses.is_empty());
}

#[tokio::test]
async fn limit_reached_at_the_last_row_leaves_no_empty_file() {
    let each = files(Bounds {
        group_rows: 5,
        file_bytes: 1,
    })
    .await;
    assert_eq!(each.len(), 5, "{each:?}");
}
