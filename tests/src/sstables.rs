//! Leaves tables that a server wrote where another implementation reads them back.
//!
//! `cargo xtask test` and `soak` name a folder in `WEIR_TEST_SSTABLES`, and have RocksDB read what lies there
//! once the tests have ended. Without the variable nothing is kept. Of each test those of
//! [`base::testing::is_in_sample`] are kept: all tables, unless it writes hundreds.

use std::io::ErrorKind;
use std::path::Path;

/// Links each `_lakefs/ID` of the sample below a server's folder into the folder of tables.
///
/// # Panics
/// If a file can be neither linked nor copied.
pub(crate) fn keep(server: &Path) {
    let Some(folder) = std::env::var_os("WEIR_TEST_SSTABLES") else {
        return;
    };
    let folder = Path::new(&folder);
    walk(server, &mut |table, id| {
        let kept = folder.join(id);
        if kept.exists() || !base::testing::is_in_sample(id) {
            return;
        }
        // The folder may be on another disk.
        let linked = std::fs::hard_link(table, &kept);
        if linked.is_err_and(|e| e.kind() != ErrorKind::AlreadyExists) {
            std::fs::copy(table, &kept)
                .unwrap_or_else(|e| panic!("failed to keep {}: {e}", table.display()));
        }
    });
}

fn walk(folder: &Path, found: &mut impl FnMut(&Path, &str)) {
    let holds_tables = folder.ends_with("_lakefs");
    for entry in entries(folder) {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() {
            walk(&path, found);
        } else if holds_tables && name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
            found(&path, &name);
        }
    }
}

/// What is in a folder; nothing if it is gone.
fn entries(folder: &Path) -> impl Iterator<Item = std::fs::DirEntry> {
    std::fs::read_dir(folder).into_iter().flatten().flatten()
}
