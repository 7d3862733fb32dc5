//! Saves tables that a server wrote, so that another implementation can read them.
//!
//! `cargo xtask test` and `soak` set `WEIR_TEST_SSTABLES` to a folder, and let RocksDB read its
//! files after the tests. Without the variable, nothing is saved. [`base::testing::is_in_sample`]
//! selects the tables to save: all tables of a test, unless there are hundreds.

use std::io::ErrorKind;
use std::path::Path;

/// Links every sampled `_lakefs/ID` below a server's folder into the folder of saved tables.
///
/// # Panics
/// If a file can be neither linked nor copied.
pub(crate) fn save(server: &Path) {
    let Some(folder) = std::env::var_os("WEIR_TEST_SSTABLES") else {
        return;
    };
    let folder = Path::new(&folder);
    walk(server, &mut |table, id| {
        let saved = folder.join(id);
        if saved.exists() || !base::testing::is_in_sample(id) {
            return;
        }
        // Linking fails if the folder is on another disk.
        let linked = std::fs::hard_link(table, &saved);
        if linked.is_err_and(|e| e.kind() != ErrorKind::AlreadyExists) {
            std::fs::copy(table, &saved)
                .unwrap_or_else(|e| panic!("failed to save {}: {e}", table.display()));
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

/// Returns the entries of a folder, or nothing if it does not exist.
fn entries(folder: &Path) -> impl Iterator<Item = std::fs::DirEntry> {
    std::fs::read_dir(folder).into_iter().flatten().flatten()
}
