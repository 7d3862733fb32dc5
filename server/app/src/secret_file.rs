//! Files that contain a secret. They are readable only by their owner and created atomically.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base::IdGenerator as _;

/// Creates a file with a secret. It appears at `path` only when it is complete; an interrupted start
/// may leave a private draft beside it. Of two concurrent starts, one gets `AlreadyExists`.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if the file exists; otherwise errors of the file system.
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
