//! Finds the component of a hook and keeps recently used components in memory.
//!
//! While a component is in the cache, it is not read or hashed again. The key of the cache
//! identifies the bytes in storage. The digest is always computed from the bytes that were read,
//! never taken from the tree's entry or the action file.

use std::sync::Arc;
use std::time::Duration;

use crate::action_file::WasmProperties;
use crate::load::{FileKey, LoadError, Loader, MAX_COMPONENT_BYTES, Tree};
use crate::shares::{FairPermit, FairSemaphore};
use crate::wasm::{Cause, Component, Failure, Host};

/// Capacity of the cache in bytes.
const CACHE_BYTES: u64 = 256 << 20;
/// Fixed cost of a cache entry, in addition to its component and its key.
const ENTRY_BYTES: usize = 512;
/// Maximum total size of the components that are being read at the same time, over all
/// repositories.
const READ_MIB: u32 = 256;
/// How long a hook waits until its component may be read.
const READ_WAIT: Duration = Duration::from_secs(120);

/// Finds components. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Components {
    host: Host,
    loader: Loader,
    cache: moka::future::Cache<FileKey, Component>,
    /// [`READ_MIB`] permits.
    read_mib: Arc<FairSemaphore>,
}

impl Components {
    pub(super) fn new(host: Host, loader: Loader) -> Self {
        let cache = moka::future::Cache::builder()
            .max_capacity(CACHE_BYTES)
            .weigher(weight)
            .build();
        Self {
            host,
            loader,
            cache,
            read_mib: Arc::new(FairSemaphore::new(READ_MIB, READ_WAIT)),
        }
    }

    /// Returns the component from the tree that contains the action file. Hooks that need the same
    /// component at the same time share one read and one digest. Reading counts toward the limits of
    /// `repository` (`Repository::partition`).
    ///
    /// # Errors
    /// If the component does not exist, cannot be read, or does not have the digest that the action
    /// file requires.
    pub(super) async fn of(
        &self,
        repository: &str,
        tree: &Tree,
        properties: &WasmProperties,
    ) -> Result<Component, Failure> {
        let path = &properties.component;
        let object = self.loader.stat(tree, path).await;
        let object = object.map_err(|e| unreadable(path, &e))?.ok_or_else(|| {
            let message = format!("object {path} is not in the tree of the action file");
            Failure::new(Cause::ComponentMissing, message)
                .hint("upload the component and commit it with the action")
        })?;
        // Held until the component is in the cache, whose capacity limits the memory from then on.
        let mut permit = None;
        let read = async {
            let max_bytes = size_to_read(path, object.entry.size_bytes)?;
            permit = Some(
                self.acquire_read_permit(repository, path, max_bytes)
                    .await?,
            );
            let bytes = self
                .loader
                .read(tree.repository(), &object, max_bytes)
                .await;
            let bytes = bytes.map_err(|e| unreadable(path, &e))?.ok_or_else(|| {
                let reason = format!("larger than the {max_bytes} bytes of its entry");
                too_large(path, &reason)
            })?;
            let digest = move || Component::new(bytes);
            self.host.compute(repository, digest).await
        };
        let component = self.cache.try_get_with(FileKey::of(&object), read).await;
        drop(permit);
        let component = component.map_err(|failure: Arc<Failure>| Failure::clone(&failure))?;
        let Some(expected) = &properties.sha256 else {
            return Ok(component);
        };
        let digest = component.sha256();
        if *expected != digest {
            let message = format!(
                "component {path} has sha256 {digest}, but the action file requires {expected}"
            );
            return Err(Failure::new(Cause::ComponentDigest, message));
        }
        Ok(component)
    }

    /// Waits until a component of `bytes` bytes may be read.
    async fn acquire_read_permit(
        &self,
        repository: &str,
        path: &str,
        bytes: u64,
    ) -> Result<FairPermit, Failure> {
        let mib = u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX);
        let permit = self.read_mib.acquire(repository, mib).await;
        permit.map_err(|waited| {
            let message = format!(
                "the server is busy: component {path} could not be read within {} s, because other components are being read",
                waited.0.as_secs()
            );
            Failure::new(Cause::Busy, message).hint("try again")
        })
    }
}

/// Returns the size of a component according to its entry.
fn size_to_read(path: &str, size_bytes: i64) -> Result<u64, Failure> {
    match u64::try_from(size_bytes) {
        Ok(bytes) if bytes <= MAX_COMPONENT_BYTES => Ok(bytes),
        _ => {
            let reason = format!("larger than {MAX_COMPONENT_BYTES} bytes");
            Err(too_large(path, &reason))
        }
    }
}

fn too_large(path: &str, reason: &str) -> Failure {
    let message = format!("component {path} is {reason}");
    Failure::new(Cause::ComponentInvalid, message)
}

/// Returns the memory that a cache entry takes.
fn weight(key: &FileKey, component: &Component) -> u32 {
    let bytes = component.bytes().len() + key.size_bytes() + ENTRY_BYTES;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn unreadable(path: &str, error: &LoadError) -> Failure {
    let message = format!("failed to read component {path}: {error}");
    Failure::new(Cause::Storage, message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use catalog::testing::TestCatalog;

    use super::*;
    use crate::action_file::{Action, HookKind};
    use crate::computations::Computations;
    use crate::wasm::{CodeKey, Compiler, HostOptions};

    /// Regression test: an empty object weighed nothing, so any number of them was kept.
    #[test]
    fn empty_component_has_a_weight() {
        let path = "hooks/gate.wasm".repeat(100);
        let key = FileKey::of_path(&path);
        let weight = weight(&key, &Component::new(bytes::Bytes::new()));
        assert!(weight as usize >= path.len() + ENTRY_BYTES, "{weight}");
    }

    /// Regression test: the message said that the server was parsing the component.
    #[test]
    fn too_large_component_is_named() {
        let limit = i64::try_from(MAX_COMPONENT_BYTES).unwrap();
        assert_eq!(size_to_read("hooks/a.wasm", limit), Ok(MAX_COMPONENT_BYTES));
        for size in [limit + 1, -1] {
            let failure = size_to_read("hooks/a.wasm", size).unwrap_err();
            assert_eq!(failure.cause, Cause::ComponentInvalid);
            assert_eq!(
                failure.message,
                "component hooks/a.wasm is larger than 67108864 bytes"
            );
        }
    }

    fn properties(component: &str) -> WasmProperties {
        let text = format!(
            "name: gate\non: {{pre-commit: }}\nhooks:\n  - {{id: guard, type: wasm, properties: {{component: {component}}}}}"
        );
        let action = Action::parse("_lakefs_actions/gate.yaml", text.as_bytes()).unwrap();
        match &action.hooks[0].kind {
            HookKind::Wasm(wasm) => *wasm.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Regression test: every hook read its component into memory at once, however large.
    #[tokio::test]
    async fn components_are_read_within_a_budget() {
        let (dir, lake) = (tempfile::tempdir().unwrap(), TestCatalog::new());
        let repository = lake.repository("lake").await;
        let large = "x".repeat((1 << 20) + 1);
        for (path, content) in [("small", "x"), ("large", &large), ("empty", "")] {
            lake.put(&repository, "main", path, content).await;
        }
        let key = CodeKey::new([1; 32]);
        let options = HostOptions::new(dir.path().to_owned(), key, Compiler::InProcess);
        let computations = Computations::new().unwrap();
        let components = Components::new(
            Host::with_computations(options, computations.clone()).unwrap(),
            Loader::new(lake.reader().clone(), computations),
        );
        let tree = Tree::Branch {
            repository,
            branch: "main".to_owned(),
        };
        let read_for = async |repository: &str, path: &str| {
            let properties = properties(path);
            let component = components.of(repository, &tree, &properties);
            let read = tokio::time::timeout(Duration::from_millis(300), component).await;
            read.ok().map(|component| component.unwrap())
        };
        let read = async |path: &str| read_for("lake", path).await;
        // Other components leave 1 MiB of the repository's share.
        let half = READ_MIB / 2;
        let others = components.read_mib.acquire("lake", half - 1).await;
        assert!(read("large").await.is_none());
        assert!(read("small").await.is_some());
        let all = components.read_mib.acquire("lake", 1).await;
        assert!(read("empty").await.is_none());
        assert!(read("small").await.is_some(), "it is in the cache");
        assert!(read_for("other", "empty").await.is_some());
        drop((others, all));
        assert!(read("large").await.is_some());
        assert_eq!(components.read_mib.available(), READ_MIB as usize);
    }
}
