//! Has every table that the tests of this crate write read back by the naive reader, and leaves some where another
//! implementation reads them back.
//!
//! `cargo xtask test` and `soak` name a folder in `WEIR_TEST_SSTABLES`, and have RocksDB read what lies there
//! once the tests have ended. Without the variable nothing is kept. Of each test those of
//! [`base::testing::is_in_sample`] are kept: all tables, unless it writes hundreds.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Finished;

/// Reads the table back; writes it into the folder under its id, unless it is there.
pub(super) fn keep(table: &Finished) {
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

/// Under another name first: two tests may write the same table at once.
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
