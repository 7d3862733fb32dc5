//! Disk cache of compiled components, by digest and engine.
//!
//! The files contain machine code that runs without further checks. A file is used only if its tag
//! (an HMAC) was made with the server's key. The key is derived from the server's secret key and is
//! never stored in the folder, so a user who can write the folder cannot make the server run other
//! code
//! (docs/decisions/0024-code-cache.md).

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::hash::{Hash as _, Hasher};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use hmac::{Hmac, Mac as _};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use super::artifact::Artifact;
use super::check;
use super::component::ComponentDigest;
use super::engine::{Engines, Interruption};
use super::limits::{CACHE_BYTES, CODE_BYTES};
use crate::error::SetupError;

const TAG_BYTES: usize = 32;
/// Number of bytes of a hash that name the folder of an engine.
const ENGINE_BYTES: usize = 16;

/// Increment when the file format changes.
const FORMAT: u8 = 3;

/// Authenticates compiled code on disk. Servers that share a cache folder need the same key.
#[derive(Clone)]
pub struct CodeKey([u8; 32]);

impl CodeKey {
    /// Creates a key. It must be secret and must not be stored in the cache folder.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }
}

impl fmt::Debug for CodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeKey([redacted])")
    }
}

/// Disk cache with the layout `<dir>/<engine>/<digest>.cwasm`. A file contains a tag and the
/// artifact.
pub(super) struct Disk {
    pub(super) dir: PathBuf,
    engine: String,
    key: CodeKey,
}

impl Disk {
    pub(super) fn new(dir: &Path, key: CodeKey, engines: &Engines) -> Result<Self, SetupError> {
        let mut hash = Sha(Sha256::new());
        // Includes the version, because code compiled for another version may not fit this one.
        (FORMAT, check::VERSION).hash(&mut hash);
        for interruption in [Interruption::Fuel, Interruption::FuelAndEpochs] {
            let engine = engines.of(interruption);
            engine.precompile_compatibility_hash().hash(&mut hash);
        }
        let engine = hex::encode(&hash.0.finalize()[..ENGINE_BYTES]);
        let disk = Self {
            dir: dir.to_owned(),
            engine,
            key,
        };
        folder(&disk.folder()).map_err(|source| SetupError::Cache {
            dir: dir.to_owned(),
            source,
        })?;
        Ok(disk)
    }

    fn folder(&self) -> PathBuf {
        self.dir.join(&self.engine)
    }

    fn path(&self, digest: &ComponentDigest) -> PathBuf {
        let name = format!("{}.cwasm", hex::encode(digest));
        self.folder().join(name)
    }

    fn tag(&self, digest: &ComponentDigest, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key.0).expect("any key length will do");
        mac.update(self.engine.as_bytes());
        mac.update(digest);
        mac.update(code);
        mac
    }

    /// Loads an artifact. Returns `None` if it is missing, unreadable, damaged, or was not written with
    /// this server's key.
    pub(super) fn load(&self, digest: &ComponentDigest) -> Option<Artifact> {
        let path = self.path(digest);
        let (file, mut bytes) = open(&path).and_then(read).ok()?;
        let (tag, artifact) = bytes.split_at_checked(TAG_BYTES)?;
        if self.tag(digest, artifact).verify_slice(tag).is_err() {
            tracing::warn!(path = %path.display(), "a file of the disk cache was not written by this server; recompiling the component");
            return None;
        }
        bytes.drain(..TAG_BYTES);
        // Updates the modification time, because eviction removes the least recently used files.
        if let Err(e) = touch(&file) {
            tracing::debug!(error = %e, path = %path.display(), "failed to update the modification time of a compiled component");
        }
        Artifact::decode(bytes)
    }

    /// Stores an artifact, replacing an existing file, and deletes files beyond the cache's capacity.
    pub(super) fn store(&self, digest: &ComponentDigest, artifact: &Artifact) -> io::Result<()> {
        let path = self.path(digest);
        let temporary = path.with_extension(unique());
        let artifact = artifact.encode();
        let write = || {
            // Someone may have deleted the cache while the server runs.
            folder(&self.folder())?;
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
        self.evict(&path, CACHE_BYTES)
    }

    /// Deletes least recently used files until at most `limit` bytes remain, including files of other
    /// engines. Never deletes `keep`.
    fn evict(&self, keep: &Path, limit: u64) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for folder in fs::read_dir(&self.dir)?
            .filter_map(Result::ok)
            .filter(|folder| is_engine(&folder.file_name()))
            // Links are not followed, because they may lead to files of others.
            .filter(|folder| folder.file_type().is_ok_and(|kind| kind.is_dir()))
        {
            // A folder that cannot be read, for example of another user, does not stop eviction in
            // the others.
            let Ok(found) = fs::read_dir(folder.path()) else {
                continue;
            };
            let found = found.filter_map(Result::ok);
            for file in found.filter(|file| is_code(&file.file_name())) {
                // The file may disappear concurrently, because another server evicts files too.
                if let Ok((modified, size)) =
                    file.metadata().and_then(|m| Ok((m.modified()?, m.len())))
                {
                    files.push((modified, size, file.path()));
                }
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|f| f.1).sum();
        for (_, size, path) in files {
            if total <= limit {
                break;
            }
            if path != keep && fs::remove_file(&path).is_ok() {
                total -= size;
            }
        }
        Ok(())
    }
}

/// Reports whether a folder's name may be one from [`Disk::new`].
fn is_engine(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| is_hex(name, ENGINE_BYTES))
}

/// Reports whether a file's name may be one from [`Disk::store`], including temporary names.
fn is_code(name: &OsStr) -> bool {
    let parts = name.to_str().and_then(|name| name.split_once('.'));
    parts.is_some_and(|(digest, rest)| {
        is_hex(digest, size_of::<ComponentDigest>()) && (rest == "cwasm" || rest.ends_with(".tmp"))
    })
}

/// Reports whether a text may be the output of [`hex::encode`] for that many bytes.
fn is_hex(text: &str, bytes: usize) -> bool {
    let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 2 * bytes && text.bytes().all(is_digit)
}

#[expect(
    clippy::disallowed_methods,
    reason = "file ages are compared by the file system's clock"
)]
fn touch(file: &fs::File) -> io::Result<()> {
    file.set_modified(SystemTime::now())
}

/// Opens a regular file. Follows no link, and does not wait for the other end of a FIFO.
fn open(path: &Path) -> io::Result<fs::File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(file)
}

/// Reads a file of at most the size of compiled code.
fn read(file: fs::File) -> io::Result<(fs::File, Vec<u8>)> {
    let mut bytes = Vec::new();
    let limit = CODE_BYTES + (TAG_BYTES as u64) + 1;
    (&file).take(limit).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok((file, bytes))
}

/// Creates the folder of compiled code, accessible only to the server's user. The surrounding cache
/// folder may already exist and contain other files.
fn folder(path: &Path) -> io::Result<()> {
    let mut folders = fs::DirBuilder::new();
    folders.recursive(true).mode(0o700).create(path)?;
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() {
        let message = format!("{} is not a folder: delete it", path.display());
        return Err(io::Error::new(io::ErrorKind::NotADirectory, message));
    }
    if found.permissions().mode() & 0o077 != 0 {
        // Fails if the folder belongs to another user.
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
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

    const KEY: [u8; 32] = [1; 32];

    fn disk_at(dir: &Path, key: [u8; 32], engine: &Engines) -> Disk {
        Disk::new(dir, CodeKey::new(key), engine).unwrap()
    }

    fn compiled() -> Artifact {
        Artifact {
            world: World::Gate,
            interruption: Interruption::Fuel,
            code: b"code".to_vec(),
        }
    }

    #[test]
    fn stored_artifact_is_found_after_restart() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = disk_at(dir.path(), KEY, &engine);
        assert!(disk.load(&[1; 32]).is_none());
        disk.store(&[1; 32], &compiled()).unwrap();
        let again = disk_at(dir.path(), KEY, &engine);
        assert!(again.load(&[1; 32]).is_some());
        let left = fs::read_dir(dir.path().join(&again.engine))
            .unwrap()
            .count();
        assert_eq!(left, 1, "temporary files must be removed");
    }

    #[test]
    fn code_written_by_others_is_never_loaded() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = disk_at(dir.path(), KEY, &engine);
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
        fs::write(disk.path(&[1; 32]), &good).unwrap();
        assert!(disk.load(&[1; 32]).is_some());
        let other_key = disk_at(dir.path(), [2; 32], &engine);
        assert!(other_key.load(&[1; 32]).is_none());
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_and_folders_are_private_to_the_owner() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = disk_at(&dir.path().join("cache"), KEY, &engine);
        for folder in [disk.dir.clone(), disk.dir.join(&disk.engine)] {
            assert_eq!(mode(&folder), 0o700);
        }
        disk.store(&[1; 32], &compiled()).unwrap();
        assert_eq!(mode(&disk.path(&[1; 32])), 0o600);
    }

    /// Eviction must keep a used file longer than newer files that are not used.
    #[test]
    fn loading_updates_the_modification_time() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = disk_at(dir.path(), KEY, &engine);
        disk.store(&[1; 32], &compiled()).unwrap();
        let path = disk.path(&[1; 32]);
        let old = SystemTime::UNIX_EPOCH;
        let file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.set_modified(old).unwrap();
        assert!(disk.load(&[1; 32]).is_some());
        assert!(fs::metadata(&path).unwrap().modified().unwrap() > old);
    }

    /// Regression test: after the folder was deleted, nothing was stored until the next restart.
    #[test]
    fn deleted_folder_is_created_again() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let cache = dir.path().join("cache");
        let disk = disk_at(&cache, KEY, &engine);
        for deleted in [disk.folder(), cache] {
            fs::remove_dir_all(&deleted).unwrap();
            disk.store(&[1; 32], &compiled()).unwrap();
            assert!(disk.load(&[1; 32]).is_some());
            assert_eq!(mode(&disk.folder()), 0o700);
        }
    }

    // The following tests are attacks by a user who can write the folder but does not have the key.

    /// The attacker's key lies where earlier versions of the server looked for the key.
    #[test]
    fn code_with_an_attackers_tag_is_never_loaded() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = disk_at(dir.path(), KEY, &engine);
        disk_of_attacker(dir.path(), [7; 32], &engine);
        let restarted = disk_at(dir.path(), KEY, &engine);
        for disk in [&disk, &restarted] {
            assert!(disk.load(&[1; 32]).is_none());
        }
        // Storing replaces what was planted.
        disk.store(&[1; 32], &compiled()).unwrap();
        assert!(restarted.load(&[1; 32]).is_some());
    }

    #[test]
    fn link_to_code_of_another_component_is_never_loaded() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = disk_at(dir.path(), KEY, &engine);
        disk.store(&[2; 32], &compiled()).unwrap();
        std::os::unix::fs::symlink(disk.path(&[2; 32]), disk.path(&[3; 32])).unwrap();
        assert!(disk.load(&[3; 32]).is_none());
    }

    #[test]
    fn tag_without_code_is_never_loaded() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = disk_at(dir.path(), KEY, &engine);
        fs::write(disk.path(&[4; 32]), [0; TAG_BYTES]).unwrap();
        assert!(disk.load(&[4; 32]).is_none());
    }

    #[test]
    fn folder_in_place_of_code_is_never_loaded() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = disk_at(dir.path(), KEY, &engine);
        fs::create_dir(disk.path(&[5; 32])).unwrap();
        assert!(disk.load(&[5; 32]).is_none());
    }

    fn disk_of_attacker(dir: &Path, key: [u8; 32], engine: &Engines) {
        let planted = dir.join("key");
        fs::write(&planted, key).unwrap();
        fs::set_permissions(&planted, fs::Permissions::from_mode(0o600)).unwrap();
        let forged = disk_at(dir, key, engine);
        forged.store(&[1; 32], &compiled()).unwrap();
        assert!(forged.load(&[1; 32]).is_some(), "the forgery is complete");
    }

    /// The folder holds nothing from which the key could be learned.
    #[test]
    fn key_is_neither_stored_nor_shown() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = disk_at(dir.path(), KEY, &engine);
        disk.store(&[1; 32], &compiled()).unwrap();
        let names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, [disk.engine.as_str()]);
        let stored = fs::read(disk.path(&[1; 32])).unwrap();
        assert!(!stored.windows(KEY.len()).any(|part| part == KEY));
        assert_eq!(format!("{:?}", disk.key), "CodeKey([redacted])");
    }

    /// A file may be replaced by a FIFO or a link after the folder was listed.
    #[test]
    fn opening_a_fifo_or_a_link_fails_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (fifo, link) = (dir.path().join("fifo"), dir.path().join("link"));
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, 0o600.into(), 0).unwrap();
        fs::write(dir.path().join("file"), "code").unwrap();
        std::os::unix::fs::symlink(dir.path().join("file"), &link).unwrap();
        for path in [fifo, link] {
            let (answer, answered) = std::sync::mpsc::channel();
            std::thread::spawn(move || answer.send(open(&path).is_err()));
            let refused = answered.recv_timeout(std::time::Duration::from_secs(10));
            assert_eq!(refused, Ok(true));
        }
    }

    /// Regression test: one unreadable folder, for example `lost+found`, stopped eviction, and
    /// eviction deleted files that do not belong to the cache.
    #[test]
    fn eviction_deletes_only_files_of_the_cache() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = disk_at(dir.path(), KEY, &engine);
        for n in 1..=3 {
            disk.store(&[n; 32], &compiled()).unwrap();
        }
        let half_written = disk.path(&[4; 32]).with_extension(unique());
        let of_other_engine = dir.path().join("0".repeat(32));
        fs::create_dir(&of_other_engine).unwrap();
        let others_code = of_other_engine.join(disk.path(&[5; 32]).file_name().unwrap());
        let foreign_folder = dir.path().join("lost+found");
        fs::create_dir(&foreign_folder).unwrap();
        let foreign = [
            foreign_folder.join(disk.path(&[6; 32]).file_name().unwrap()),
            foreign_folder.join("mail.tmp"),
            of_other_engine.join("notes.tmp"),
            of_other_engine.join("module.cwasm"),
        ];
        for file in [&half_written, &others_code].into_iter().chain(&foreign) {
            fs::write(file, [0; 1000]).unwrap();
        }
        let unreadable = dir.path().join("f".repeat(32));
        fs::create_dir(&unreadable).unwrap();
        fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).unwrap();

        let kept = disk.path(&[3; 32]);
        disk.evict(&kept, 0).unwrap();
        assert!(kept.exists());
        for n in 1..=2 {
            assert!(!disk.path(&[n; 32]).exists());
        }
        assert!(!half_written.exists() && !others_code.exists());
        for file in foreign {
            assert!(file.exists(), "{}", file.display());
        }
        // So that the temporary folder can be removed.
        fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn link_instead_of_the_folder_is_refused() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let first = disk_at(dir.path(), KEY, &engine);
        let elsewhere = tempfile::tempdir().unwrap();
        fs::remove_dir(dir.path().join(&first.engine)).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join(&first.engine)).unwrap();
        let refused = Disk::new(dir.path(), CodeKey::new(KEY), &engine)
            .err()
            .unwrap();
        let reason = std::error::Error::source(&refused).unwrap().to_string();
        assert!(reason.ends_with("is not a folder: delete it"), "{reason}");
    }
}
