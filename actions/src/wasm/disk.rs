//! Disk cache of compiled components, by digest and engine.
//!
//! The files contain machine code that runs without further checks. A file is used only if its tag
//! was made with a key that only this server can read.

use std::fs;
use std::hash::{Hash as _, Hasher};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use hmac::{Hmac, Mac as _};
use rand::TryRngCore as _;
use sha2::{Digest as _, Sha256};

use super::artifact::Artifact;
use super::cache::ComponentDigest;
use super::check;
use super::engine::{Engines, Lane};
use super::limits::CACHE_BYTES;

const TAG_BYTES: usize = 32;

/// Increment when the file format changes.
const FORMAT: u8 = 2;

/// Disk cache with the layout `<dir>/<engine>/<digest>.cwasm`. A file contains a tag and the
/// artifact.
pub(super) struct Disk {
    pub(super) dir: PathBuf,
    engine: String,
    key: [u8; 32],
}

impl Disk {
    pub(super) fn new(dir: &Path, engines: &Engines) -> Result<Self, String> {
        let mut hash = Sha(Sha256::new());
        // Includes the version, because code compiled for another version may not fit this one.
        (FORMAT, check::VERSION).hash(&mut hash);
        for lane in [Lane::Plain, Lane::Composed] {
            let engine = engines.of(lane);
            engine.precompile_compatibility_hash().hash(&mut hash);
        }
        let engine = hex::encode(&hash.0.finalize()[..16]);
        let failed = |e: std::io::Error| {
            format!(
                "failed to set up the cache of compiled hooks in {}: {e}",
                dir.display()
            )
        };
        let owner = folder(&dir.join(&engine)).map_err(failed)?;
        let key = key(&dir.join("key"), owner).map_err(failed)?;
        Ok(Self {
            dir: dir.to_owned(),
            engine,
            key,
        })
    }

    fn path(&self, digest: &ComponentDigest) -> PathBuf {
        self.dir
            .join(&self.engine)
            .join(format!("{}.cwasm", hex::encode(digest)))
    }

    fn tag(&self, digest: &ComponentDigest, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any key length will do");
        mac.update(self.engine.as_bytes());
        mac.update(digest);
        mac.update(code);
        mac
    }

    /// Loads an artifact. Returns `None` if it is missing, damaged, or was not written by this
    /// server.
    pub(super) fn load(&self, digest: &ComponentDigest) -> Option<Artifact> {
        let path = self.path(digest);
        let mut bytes = fs::read(&path).ok()?;
        let (tag, artifact) = bytes.split_at_checked(TAG_BYTES)?;
        if self.tag(digest, artifact).verify_slice(tag).is_err() {
            tracing::warn!(path = %path.display(), "a file of the disk cache was not written by this server; recompiling the component");
            return None;
        }
        bytes.drain(..TAG_BYTES);
        // Updates the modification time, because eviction removes the least recently used files.
        if let Err(e) = touch(&path) {
            tracing::debug!(error = %e, path = %path.display(), "failed to update the modification time of a compiled component");
        }
        Artifact::decode(bytes)
    }

    pub(super) fn store(
        &self,
        digest: &ComponentDigest,
        artifact: &Artifact,
    ) -> std::io::Result<()> {
        let path = self.path(digest);
        let temporary = path.with_extension(unique());
        let artifact = artifact.encode();
        let write = || {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(&self.tag(digest, &artifact).finalize().into_bytes())?;
            file.write_all(&artifact)?;
            fs::rename(&temporary, &path)
        };
        write().inspect_err(|_| drop(fs::remove_file(&temporary)))?;
        self.evict(&path)
    }

    /// Deletes least recently used files beyond [`CACHE_BYTES`], including files of other engines.
    fn evict(&self, keep: &Path) -> std::io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for folder in fs::read_dir(&self.dir)?
            .filter_map(Result::ok)
            .filter(|f| f.path().is_dir())
        {
            for file in fs::read_dir(folder.path())?.filter_map(Result::ok) {
                // Other files in the folder do not belong to the cache.
                let path = file.path();
                if !path.extension().is_some_and(|e| e == "cwasm" || e == "tmp") {
                    continue;
                }
                // The file may disappear concurrently, because another server evicts files too.
                if let Ok((modified, size)) =
                    file.metadata().and_then(|m| Ok((m.modified()?, m.len())))
                {
                    files.push((modified, size, path));
                }
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|f| f.1).sum();
        for (_, size, path) in files {
            if total <= CACHE_BYTES {
                break;
            }
            if path != keep && fs::remove_file(&path).is_ok() {
                total -= size;
            }
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "file ages are compared by the file system's clock"
)]
fn touch(path: &Path) -> std::io::Result<()> {
    let file = fs::OpenOptions::new().append(true).open(path)?;
    file.set_modified(SystemTime::now())
}

/// Creates the folder of compiled code, accessible only to the server's user, and returns the user
/// id that the file system assigns to the server. The surrounding cache folder may already exist
/// and contain other files.
fn folder(path: &Path) -> std::io::Result<u32> {
    let mut folders = fs::DirBuilder::new();
    folders.recursive(true).mode(0o700).create(path)?;
    let found = fs::metadata(path)?;
    if found.permissions().mode() & 0o077 != 0 {
        // Fails if the folder belongs to another user.
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(found.uid())
}

/// Reads the key or creates it. The key file must belong to `owner`. Servers that start at the same
/// time agree on one key.
fn key(path: &Path, owner: u32) -> std::io::Result<[u8; 32]> {
    if !path.exists() {
        let temporary = path.with_extension(unique());
        let made = make_key(path, &temporary);
        let removed = fs::remove_file(&temporary);
        made.and(removed)?;
    }
    let file = fs::File::open(path)?;
    let found = file.metadata()?;
    let refuse = |why: String| {
        let message = format!("{} {why}: delete it", path.display());
        std::io::Error::new(std::io::ErrorKind::PermissionDenied, message)
    };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(refuse(format!("may be read by others (mode {mode:o})")));
    }
    if found.uid() != owner {
        return Err(refuse(format!("belongs to another user ({})", found.uid())));
    }
    let mut key = Vec::new();
    file.take(33).read_to_end(&mut key)?;
    key.try_into()
        .map_err(|_| refuse("is not a key of 32 bytes".to_owned()))
}

/// Writes a key to a temporary file and links it into place unless a key exists.
fn make_key(path: &Path, temporary: &Path) -> std::io::Result<()> {
    let mut key = [0; 32];
    rand::rngs::OsRng
        .try_fill_bytes(&mut key)
        .map_err(std::io::Error::other)?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)?;
    file.write_all(&key)?;
    file.sync_all()?;
    // Unlike a rename, a hard link never replaces a key that another server has just created.
    match fs::hard_link(temporary, path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// Returns a file extension that no other thread or process uses.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(
        "{}-{}.tmp",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

struct Sha(Sha256);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::World;
    use super::*;

    fn engine() -> Engines {
        Engines::with_pool(false).unwrap()
    }

    fn compiled() -> Artifact {
        Artifact {
            world: World::Gate,
            lane: Lane::Plain,
            code: b"code".to_vec(),
        }
    }

    #[test]
    fn stored_artifact_is_found_after_restart() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = Disk::new(dir.path(), &engine).unwrap();
        assert!(disk.load(&[1; 32]).is_none());
        disk.store(&[1; 32], &compiled()).unwrap();
        let again = Disk::new(dir.path(), &engine).unwrap();
        assert!(again.load(&[1; 32]).is_some());
        let left = fs::read_dir(dir.path().join(&again.engine))
            .unwrap()
            .count();
        assert_eq!(left, 1, "temporary files must be removed");
    }

    #[test]
    fn code_written_by_others_is_never_loaded() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = Disk::new(dir.path(), &engine).unwrap();
        disk.store(&[1; 32], &compiled()).unwrap();
        let good = fs::read(disk.path(&[1; 32])).unwrap();

        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for bad in [flipped, good[..10].to_vec(), Vec::new()] {
            fs::write(disk.path(&[1; 32]), bad).unwrap();
            assert!(disk.load(&[1; 32]).is_none());
        }
        // Code of one component under the digest of another.
        fs::write(disk.path(&[2; 32]), &good).unwrap();
        assert!(disk.load(&[2; 32]).is_none());
        // A tag made with another key.
        let other = tempfile::tempdir().unwrap();
        let stranger = Disk::new(other.path(), &engine).unwrap();
        fs::write(stranger.path(&[1; 32]), &good).unwrap();
        assert!(stranger.load(&[1; 32]).is_none());
    }

    #[test]
    fn files_and_folders_are_private_to_the_owner() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = Disk::new(&dir.path().join("cache"), &engine).unwrap();
        for folder in [disk.dir.clone(), disk.dir.join(&disk.engine)] {
            let mode = fs::metadata(folder).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }

    /// A frequently used file must outlive files that were compiled later but are not used.
    #[test]
    fn loading_updates_the_modification_time() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = Disk::new(dir.path(), &engine).unwrap();
        disk.store(&[1; 32], &compiled()).unwrap();
        let path = disk.path(&[1; 32]);
        let old = SystemTime::UNIX_EPOCH;
        let file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.set_modified(old).unwrap();
        assert!(disk.load(&[1; 32]).is_some());
        assert!(fs::metadata(&path).unwrap().modified().unwrap() > old);
    }

    #[test]
    fn key_must_be_private_to_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let owner = fs::metadata(dir.path()).unwrap().uid();
        let first = key(&path, owner).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(key(&path, owner).unwrap(), first);
        let message = key(&path, owner + 1).unwrap_err().to_string();
        assert!(
            message.ends_with(&format!("belongs to another user ({owner}): delete it")),
            "{message}"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let message = key(&path, owner).unwrap_err().to_string();
        assert!(
            message.ends_with("may be read by others (mode 644): delete it"),
            "{message}"
        );
    }
}
