//! Compiled components: in memory by digest, on disk by digest and engine.
//!
//! Compiling takes from milliseconds to half a minute, so it is done once, off
//! the runtime's threads, few at a time. A component that can't be used is
//! remembered too, with its cause. What is compiled outlives a restart (`disk`).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinError;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use super::check::{self, World};
use super::disk::Disk;
use super::host::Describing;
use super::limits::{
    BROKEN, BROKEN_AGE, COMPILE_QUEUE, COMPILE_WAIT, COMPILED_BYTES, COMPILES, TEXT_BYTES, cut,
};
use super::session::State;
use super::v0_1::gate::GatePre;
use super::v0_1::hook::HookPre;
use super::v0_1::object_gate::ObjectGatePre;
use super::{Cause, Failure};

pub(super) type ComponentDigest = [u8; 32];

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
    /// Components checked and compiled, or found on disk, since the start.
    prepared: AtomicU64,
}

/// Compiled components. One compilation per digest, however many ask. Cheap to clone.
#[derive(Clone)]
pub(super) struct Cache {
    compiler: Arc<Compiler>,
    ready: moka::future::Cache<ComponentDigest, Arc<Ready>>,
    /// Why a component can't be used.
    broken: moka::sync::Cache<ComponentDigest, Failure>,
    compiles: Arc<Semaphore>,
    /// Each holds the bytes of a component.
    queue: Arc<Semaphore>,
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
            broken: moka::sync::Cache::builder()
                .max_capacity(BROKEN)
                .time_to_live(BROKEN_AGE)
                .build(),
            compiles: Arc::new(Semaphore::new(COMPILES)),
            queue: Arc::new(Semaphore::new(COMPILE_QUEUE)),
        }
    }

    /// How often a component was made ready, or tried to be.
    pub(super) fn prepared(&self) -> u64 {
        self.compiler.prepared.load(Ordering::Relaxed)
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.compiler.engine
    }

    /// The component, compiled now if it never was.
    pub(super) async fn get(&self, component: &Bytes) -> Result<Arc<Ready>, Failure> {
        let bytes = component.clone();
        let digest: ComponentDigest = blocking(move || Sha256::digest(&bytes).into()).await?;
        if let Some(ready) = self.ready.get(&digest).await {
            return Ok(ready);
        }
        // A task of its own: it goes on when nobody waits any more, and who tries again waits for the same one.
        let compile = tokio::spawn(self.clone().compiled(digest, component.clone()));
        match tokio::time::timeout(COMPILE_WAIT, compile).await {
            Ok(ended) => ended.unwrap_or_else(|e| Err(engine_failed(&e))),
            Err(_) => {
                let after = COMPILE_WAIT.as_secs();
                Err(Failure::new(
                    Cause::LimitTime,
                    format!("component is still being compiled after {after} s: try again later"),
                ))
            }
        }
    }

    async fn compiled(
        self,
        digest: ComponentDigest,
        component: Bytes,
    ) -> Result<Arc<Ready>, Failure> {
        let compile = async {
            if let Some(failure) = self.broken.get(&digest) {
                return Err(failure);
            }
            let _queued = self.queue.clone().try_acquire_owned().map_err(|_| {
                let message = "the server is compiling too many components: try again";
                Failure::new(Cause::Busy, message)
            })?;
            let permit = self.compiles.clone().acquire_owned().await;
            let permit = permit.expect("never closed");
            let compiler = self.compiler.clone();
            let ready = blocking(move || {
                let _permit = permit;
                compiler.ready(digest, &component).map(Arc::new)
            });
            ready.await.flatten().map_err(|failure| {
                let failure = Failure::new(failure.cause, cut(&failure.message, TEXT_BYTES));
                if matches!(failure.cause, Cause::ComponentInvalid | Cause::ComponentAbi) {
                    self.broken.insert(digest, failure.clone());
                }
                failure
            })
        };
        let ready = self.ready.try_get_with(digest, compile).await;
        ready.map_err(Arc::unwrap_or_clone)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| engine_failed(&e))
}

fn engine_failed(error: &JoinError) -> Failure {
    tracing::error!(error = %error, "the engine failed on a component");
    Failure::new(
        Cause::ComponentInvalid,
        "the engine failed on this component: see the server's log",
    )
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
            prepared: AtomicU64::new(0),
        })
    }

    fn ready(&self, digest: ComponentDigest, component: &[u8]) -> Result<Ready, Failure> {
        self.prepared.fetch_add(1, Ordering::Relaxed);
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
