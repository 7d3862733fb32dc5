//! Reads every table that this crate's tests write back with the naive reader, and keeps some of them
//! for another implementation to read.
//!
//! `cargo xtask test` and `soak` set `WEIR_TEST_SSTABLES` to a folder, and let RocksDB read the
//! tables in it after the tests. Without the variable, no table is kept. Tests that write hundreds of
//! tables keep only the sample chosen by [`base::testing::is_in_sample`].

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Finished;

/// Checks the table with the naive reader, and writes it to the folder under its id unless it exists.
pub(super) fn check_and_keep(table: &Finished) {
    super::naive::check(table);
    let Some(folder) = std::env::var_os("WEIR_TEST_SSTABLES") else {
        return;
    };
    let path = Path::new(&folder).join(&table.id);
    if path.exists() || !base::testing::is_in_sample(&table.id) {
        return;
    }
    write(&path, &table.bytes)
        .unwrap_or_else(|e| panic!("failed to keep a table in {}: {e}", path.display()));
}

/// Writes to another name first, since two tests may write the same table at once.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let draft = path.with_extension(format!("{}-{number}", std::process::id()));
    std::fs::write(&draft, bytes)?;
    match std::fs::rename(&draft, path) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}
