//! Compiled components: in memory by digest, on disk by digest and engine.
//!
//! Compiling takes from milliseconds to half a minute, so it is done once, off
//! the runtime's threads, few at a time. What is on disk is machine code that
//! the engine would run unseen: a file is used only if its tag was made with a
//! key that this server alone can read.

use std::fs;
use std::hash::{Hash as _, Hasher};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use rand::TryRngCore as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, Semaphore};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use super::check::{self, World};
use super::host::Describing;
use super::limits::{CACHE_BYTES, COMPILE_WAIT, COMPILED_BYTES, COMPILES};
use super::session::State;
use super::v0_1::gate::GatePre;
use super::v0_1::hook::HookPre;
use super::v0_1::object_gate::ObjectGatePre;
use super::{Cause, Failure};

pub(super) type ComponentDigest = [u8; 32];

const TAG_BYTES: usize = 32;

/// A component that only has to be instantiated.
pub(super) struct Ready {
    pub(super) digest: ComponentDigest,
    pub(super) callable: Callable,
    /// With imports that refuse to be called.
    pub(super) describe: HookPre<Describing>,
    /// What `describe` said.
    pub(super) description: OnceCell<Arc<Value>>,
    code_bytes: usize,
}

/// How to call it.
pub(super) enum Callable {
    Gate(GatePre<State>),
    ObjectGate(ObjectGatePre<State>),
}

/// What compiling needs.
pub(super) struct Compiler {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    pub(super) describe_linker: Linker<Describing>,
    disk: Disk,
}

/// Compiled components. One compilation per digest, however many ask.
pub(super) struct Cache {
    compiler: Arc<Compiler>,
    ready: moka::future::Cache<ComponentDigest, Arc<Ready>>,
    compiles: Arc<Semaphore>,
}

impl Cache {
    pub(super) fn new(compiler: Compiler) -> Self {
        let kib = |_: &ComponentDigest, r: &Arc<Ready>| {
            u32::try_from(r.code_bytes >> 10).unwrap_or(u32::MAX).max(1)
        };
        let ready = moka::future::Cache::builder()
            .max_capacity(COMPILED_BYTES >> 10)
            .weigher(kib)
            .build();
        Self {
            compiler: Arc::new(compiler),
            ready,
            compiles: Arc::new(Semaphore::new(COMPILES)),
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.compiler.engine
    }

    /// The component, compiled now if it never was.
    pub(super) async fn get(&self, component: &Bytes) -> Result<Arc<Ready>, Failure> {
        let bytes = component.clone();
        let digest: ComponentDigest = blocking(move || Sha256::digest(&bytes).into()).await?;
        let compile = async {
            // Moved into the thread: it is compiling even when nobody waits any more.
            let permit = self
                .compiles
                .clone()
                .acquire_owned()
                .await
                .expect("never closed");
            let (compiler, component) = (self.compiler.clone(), component.clone());
            blocking(move || {
                let _permit = permit;
                compiler.ready(digest, &component).map(Arc::new)
            })
            .await?
        };
        let wait = tokio::time::timeout(COMPILE_WAIT, self.ready.try_get_with(digest, compile));
        match wait.await {
            Ok(ready) => ready.map_err(Arc::unwrap_or_clone),
            Err(_) => {
                let after = COMPILE_WAIT.as_secs();
                Err(Failure::new(
                    Cause::LimitTime,
                    format!("component is still being compiled after {after} s: try again later"),
                ))
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        tracing::error!(error = %e, "the engine failed on a component");
        Failure::new(
            Cause::ComponentInvalid,
            "the engine failed on this component: see the server's log",
        )
    })
}

impl Compiler {
    /// # Errors
    /// When the cache folder or its key can't be used.
    pub(super) fn new(
        engine: Engine,
        linker: Linker<State>,
        describe_linker: Linker<Describing>,
        dir: &Path,
    ) -> Result<Self, String> {
        let disk = Disk::new(dir, &engine)?;
        Ok(Self {
            engine,
            linker,
            describe_linker,
            disk,
        })
    }

    fn ready(&self, digest: ComponentDigest, component: &[u8]) -> Result<Ready, Failure> {
        let world = check::check(component)?;
        let compiled = match self.disk.load(&digest, &self.engine) {
            Some(compiled) => compiled,
            None => self.compile(&digest, component)?,
        };
        let abi = |e: wasmtime::Error| {
            let message = format!(
                "component does not fit weir:hooks {}: {e:#}",
                check::VERSION
            );
            Failure::new(Cause::ComponentAbi, message)
        };
        let mut describe_linker = self.describe_linker.clone();
        describe_linker
            .define_unknown_imports_as_traps(&compiled)
            .map_err(abi)?;
        let describe = describe_linker
            .instantiate_pre(&compiled)
            .and_then(HookPre::new)
            .map_err(abi)?;
        let pre = self.linker.instantiate_pre(&compiled).map_err(abi)?;
        let callable = match world {
            World::Gate => Callable::Gate(GatePre::new(pre).map_err(abi)?),
            World::ObjectGate => Callable::ObjectGate(ObjectGatePre::new(pre).map_err(abi)?),
        };
        let image = compiled.image_range();
        let code_bytes = image.end as usize - image.start as usize;
        Ok(Ready {
            digest,
            callable,
            describe,
            description: OnceCell::new(),
            code_bytes,
        })
    }

    fn compile(&self, digest: &ComponentDigest, component: &[u8]) -> Result<Component, Failure> {
        let invalid = |e: wasmtime::Error| {
            Failure::new(
                Cause::ComponentInvalid,
                format!("component can't be compiled: {}", e.root_cause()),
            )
        };
        let compiled = Component::from_binary(&self.engine, component).map_err(invalid)?;
        let code = compiled.serialize().map_err(invalid)?;
        // The component works without; the next start compiles again.
        if let Err(e) = self.disk.store(digest, &code) {
            tracing::warn!(error = %e, dir = %self.disk.dir.display(), "a compiled hook could not be kept");
        }
        Ok(compiled)
    }
}

/// Machine code on disk: `<dir>/<engine>/<digest>.cwasm`, a tag and the code.
struct Disk {
    dir: PathBuf,
    engine: String,
    key: [u8; 32],
}

impl Disk {
    fn new(dir: &Path, engine: &Engine) -> Result<Self, String> {
        let mut hash = Sha(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hash);
        let engine = hex::encode(&hash.0.finalize()[..16]);
        let failed = |e: std::io::Error| {
            format!(
                "failed to set up the cache of compiled hooks in {}: {e}",
                dir.display()
            )
        };
        fs::create_dir_all(dir.join(&engine)).map_err(failed)?;
        let key = key(&dir.join("key")).map_err(failed)?;
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

    /// None if it is not there, was made by somebody else, or is damaged.
    fn load(&self, digest: &ComponentDigest, engine: &Engine) -> Option<Component> {
        let path = self.path(digest);
        let bytes = fs::read(&path).ok()?;
        let (tag, code) = bytes.split_at_checked(TAG_BYTES)?;
        if self.tag(digest, code).verify_slice(tag).is_err() {
            tracing::warn!(path = %path.display(), "a compiled hook is not what this server wrote; compiling it again");
            return None;
        }
        #[expect(unsafe_code, reason = "the only way to load compiled code")]
        // SAFETY: the bytes are what `Component::serialize` of an engine with this very
        // configuration returned: their tag covers both and its key is ours alone.
        let component = unsafe { Component::deserialize(engine, code) };
        component.inspect_err(|e| tracing::warn!(error = %e, path = %path.display(), "a compiled hook can't be loaded")).ok()
    }

    fn store(&self, digest: &ComponentDigest, code: &[u8]) -> std::io::Result<()> {
        let path = self.path(digest);
        let temporary = path.with_extension(unique());
        let write = || {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(&self.tag(digest, code).finalize().into_bytes())?;
            file.write_all(code)?;
            fs::rename(&temporary, &path)
        };
        write().inspect_err(|_| drop(fs::remove_file(&temporary)))?;
        self.evict(&path)
    }

    /// Deletes the oldest files beyond [`CACHE_BYTES`], those of other engines too.
    fn evict(&self, keep: &Path) -> std::io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for folder in fs::read_dir(&self.dir)?
            .filter_map(Result::ok)
            .filter(|f| f.path().is_dir())
        {
            for file in fs::read_dir(folder.path())?.filter_map(Result::ok) {
                // Whatever else lies there is not ours to delete.
                let path = file.path();
                if !path.extension().is_some_and(|e| e == "cwasm" || e == "tmp") {
                    continue;
                }
                // A file may go while we look: somebody else evicts as well.
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

/// Reads the key, or makes one. Servers that start together agree on one.
fn key(path: &Path) -> std::io::Result<[u8; 32]> {
    if !path.exists() {
        let mut key = [0; 32];
        rand::rngs::OsRng
            .try_fill_bytes(&mut key)
            .map_err(std::io::Error::other)?;
        let temporary = path.with_extension(unique());
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&key)?;
        file.sync_all()?;
        // Unlike a rename, a link never replaces the key of somebody who was faster.
        let linked = fs::hard_link(&temporary, path);
        fs::remove_file(&temporary)?;
        match linked {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
    }
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let message = format!(
            "{} may be read by others (mode {mode:o}): delete it",
            path.display()
        );
        return Err(std::io::Error::new(
            std::io::ErrorKind::PermissionDenied,
            message,
        ));
    }
    let bytes = fs::read(path)?;
    bytes.try_into().map_err(|_| {
        std::io::Error::other(format!(
            "{} is not a key of 32 bytes: delete it",
            path.display()
        ))
    })
}

/// An extension for a file that no other thread or process writes.
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
    use super::*;

    fn engine() -> Engine {
        Engine::new(wasmtime::Config::new().wasm_component_model(true)).unwrap()
    }

    fn compiled(engine: &Engine) -> Vec<u8> {
        Component::from_binary(engine, b"\0asm\x0d\0\x01\0")
            .unwrap()
            .serialize()
            .unwrap()
    }

    #[test]
    fn what_was_stored_is_found_again_by_the_next_start() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = Disk::new(dir.path(), &engine).unwrap();
        assert!(disk.load(&[1; 32], &engine).is_none());
        disk.store(&[1; 32], &compiled(&engine)).unwrap();
        let again = Disk::new(dir.path(), &engine).unwrap();
        assert!(again.load(&[1; 32], &engine).is_some());
        let left = fs::read_dir(dir.path().join(&again.engine))
            .unwrap()
            .count();
        assert_eq!(left, 1, "no temporary file stays");
    }

    #[test]
    fn code_that_this_server_did_not_write_is_never_run() {
        let (dir, engine) = (tempfile::tempdir().unwrap(), engine());
        let disk = Disk::new(dir.path(), &engine).unwrap();
        disk.store(&[1; 32], &compiled(&engine)).unwrap();
        let good = fs::read(disk.path(&[1; 32])).unwrap();

        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for bad in [flipped, good[..10].to_vec(), Vec::new()] {
            fs::write(disk.path(&[1; 32]), bad).unwrap();
            assert!(disk.load(&[1; 32], &engine).is_none());
        }
        // Code of one component under the name of another.
        fs::write(disk.path(&[2; 32]), &good).unwrap();
        assert!(disk.load(&[2; 32], &engine).is_none());
        // A tag made with another key.
        let other = tempfile::tempdir().unwrap();
        let stranger = Disk::new(other.path(), &engine).unwrap();
        fs::write(stranger.path(&[1; 32]), &good).unwrap();
        assert!(stranger.load(&[1; 32], &engine).is_none());
    }

    #[test]
    fn the_key_is_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let first = key(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(key(&path).unwrap(), first);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let message = key(&path).unwrap_err().to_string();
        assert!(
            message.ends_with("may be read by others (mode 644): delete it"),
            "{message}"
        );
    }
}
