//! Leaves every table that the tests of this crate write where another implementation reads it back.
//!
//! `cargo xtask test` names a folder in `WEIR_TEST_SSTABLES`, and has RocksDB read what lies there
//! once the tests have ended. Without the variable nothing is kept.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Finished;

/// Tables that one run of the tests keeps, equal ones once: more than the tests write, unless
/// the property tests are told to run long.
const MAX_TABLES: usize = 20_000;
/// Bytes that one run of the tests keeps.
const MAX_BYTES: usize = 256 << 20;

static TABLES: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// Writes the table into the folder under its id, unless it is there.
pub(super) fn keep(table: &Finished) {
    let Some(folder) = std::env::var_os("WEIR_TEST_SSTABLES") else {
        return;
    };
    let path = Path::new(&folder).join(&table.id);
    if path.exists()
        || TABLES.load(Ordering::Relaxed) >= MAX_TABLES
        || BYTES.load(Ordering::Relaxed) + table.bytes.len() > MAX_BYTES
    {
        return;
    }
    TABLES.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(table.bytes.len(), Ordering::Relaxed);
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
