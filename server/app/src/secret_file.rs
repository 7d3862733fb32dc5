//! Files that hold a secret: readable by their owner only, and under their name whole or not at all.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base::IdGenerator as _;

/// Makes a file with a secret, once: a start that is cut short leaves no half of it, and of two that
/// make it at once one is told that the other came first.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if there is one; whatever the file system says.
pub(crate) fn make(path: &Path, secret: &str) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let ids = base::SystemIds::new(std::sync::Arc::new(base::SystemClock));
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", ids.uuid()));
    let made = write(Path::new(&draft), secret)
        .and_then(|()| std::fs::hard_link(&draft, path))
        .and_then(|()| std::fs::File::open(dir)?.sync_all());
    match (made, std::fs::remove_file(&draft)) {
        (Ok(()), removed) => removed,
        (Err(e), _) => Err(e),
    }
}

fn write(path: &Path, secret: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()
}
