//! Finds the component of a hook and keeps recently used components in memory.
//!
//! A component is read and hashed once per content. The key of the cache identifies the bytes in
//! storage; the digest is computed from the bytes that were read, whatever the tree's entry or the
//! action file says about them.

use std::sync::Arc;

use crate::action_file::{FileError, WasmProperties};
use crate::load::{FileKey, LoadError, Loader, MAX_COMPONENT_BYTES, Tree};
use crate::wasm::{Cause, Component, Failure, Host};

/// Capacity of the cache in bytes.
const CACHE_BYTES: u64 = 256 << 20;

/// Finds components. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Components {
    host: Host,
    loader: Loader,
    cache: moka::future::Cache<FileKey, Component>,
}

impl Components {
    pub(super) fn new(host: Host, loader: Loader) -> Self {
        let weight = |_: &FileKey, component: &Component| {
            u32::try_from(component.bytes().len()).unwrap_or(u32::MAX)
        };
        let cache = moka::future::Cache::builder()
            .max_capacity(CACHE_BYTES)
            .weigher(weight)
            .build();
        Self {
            host,
            loader,
            cache,
        }
    }

    /// Returns the component from the tree that contains the action file. Hooks that need the same
    /// component at the same time share one read and one digest.
    ///
    /// # Errors
    /// If the component does not exist, cannot be read, or does not have the digest that the action
    /// file requires.
    pub(super) async fn of(
        &self,
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
        let read = async {
            let bytes = self.loader.read(&object, MAX_COMPONENT_BYTES).await;
            let bytes = bytes.map_err(|e| unreadable(path, &e))?.ok_or_else(|| {
                let reason = format!("larger than {MAX_COMPONENT_BYTES} bytes");
                let message = FileError::whole(path, reason).to_string();
                Failure::new(Cause::ComponentInvalid, message)
            })?;
            self.host.compute(move || Component::new(bytes)).await
        };
        let component = self.cache.try_get_with(FileKey::of(&object), read).await;
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
}

fn unreadable(path: &str, error: &LoadError) -> Failure {
    let message = format!("failed to read component {path}: {error}");
    Failure::new(Cause::Storage, message)
}
