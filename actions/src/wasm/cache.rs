//! Compiled components: in memory by digest, on disk by digest and engine.
//!
//! Compiling takes from milliseconds to a minute, so it is done once per digest, in turns
//! (`compile/turns.rs`). What is compiled already waits for nobody who compiles: it is looked for in memory,
//! then on disk, before anything waits. A component that can't be used is remembered too, with its
//! cause. What is compiled outlives a restart (`disk`).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use wasmtime::Engine;
use wasmtime::component::Linker;

use super::artifact::{self, Artifact};
use super::check::{self, World};
use super::compile::Compiler;
use super::compile::turns::Turns;
use super::disk::Disk;
use super::engine::{Engines, Lane};
use super::guests::{Guests, host_failed};
use super::host::Describing;
use super::limits::{BROKEN, BROKEN_AGE, COMPILE_WAIT, COMPILED_BYTES, TEXT_BYTES, cut};
use super::session::State;
use super::v0_1::gate::GatePre;
use super::v0_1::hook::HookPre;
use super::v0_1::object_gate::ObjectGatePre;
use super::{Cause, Failure};

pub(super) type ComponentDigest = [u8; 32];

/// A component that only has to be instantiated.
pub(super) struct Ready {
    pub(super) digest: ComponentDigest,
    pub(super) engine: Engine,
    pub(super) lane: Lane,
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

/// What components of a lane are linked with.
pub(super) struct Linkers {
    pub(super) hook: Linker<State>,
    /// For `describe`.
    pub(super) describe: Linker<Describing>,
}

/// What a cache works with.
pub(super) struct Parts {
    pub(super) engines: Engines,
    pub(super) plain: Linkers,
    pub(super) composed: Linkers,
    pub(super) compiler: Compiler,
    pub(super) guests: Arc<Guests>,
    /// Processes that compile at once.
    pub(super) at_once: usize,
}

struct Inner {
    parts: Parts,
    disk: Disk,
    turns: Turns,
    /// Components compiled since the start, or tried to be.
    compiled: AtomicU64,
}

/// Compiled components. One compilation per digest, however many ask. Cheap to clone.
#[derive(Clone)]
pub(super) struct Cache {
    inner: Arc<Inner>,
    ready: moka::future::Cache<ComponentDigest, Arc<Ready>>,
    /// Why a component can't be used.
    broken: moka::sync::Cache<ComponentDigest, Failure>,
}

impl Cache {
    /// # Errors
    /// When the cache folder or its key can't be used.
    pub(super) fn new(parts: Parts, dir: &Path) -> Result<Self, String> {
        let kib = |_: &ComponentDigest, r: &Arc<Ready>| {
            u32::try_from(r.code_bytes >> 10).unwrap_or(u32::MAX).max(1)
        };
        let ready = moka::future::Cache::builder()
            .max_capacity(COMPILED_BYTES >> 10)
            .weigher(kib)
            .build();
        let inner = Inner {
            disk: Disk::new(dir, &parts.engines)?,
            turns: Turns::new(parts.at_once),
            parts,
            compiled: AtomicU64::new(0),
        };
        Ok(Self {
            inner: Arc::new(inner),
            ready,
            broken: moka::sync::Cache::builder()
                .max_capacity(BROKEN)
                .time_to_live(BROKEN_AGE)
                .build(),
        })
    }

    /// How often a component was compiled, or tried to be.
    pub(super) fn compiled(&self) -> u64 {
        self.inner.compiled.load(Ordering::Relaxed)
    }

    /// The component, compiled now if it never was: in the turn of `repository`.
    pub(super) async fn get(
        &self,
        repository: &str,
        component: &Bytes,
    ) -> Result<Arc<Ready>, Failure> {
        check::check_header(component)?;
        let bytes = component.clone();
        let guests = &self.inner.parts.guests;
        let digest = guests.compute(move || Sha256::digest(&bytes).into());
        let digest: ComponentDigest = digest.await?;
        if let Some(ready) = self.known(digest).await? {
            return Ok(ready);
        }
        // A task of its own: it goes on when nobody waits any more, and who tries again waits for the same one.
        let compiled = self
            .clone()
            .compile(repository.to_owned(), digest, component.clone());
        match tokio::time::timeout(COMPILE_WAIT, tokio::spawn(compiled)).await {
            Ok(ended) => ended.unwrap_or_else(|e| Err(host_failed(&e))),
            Err(_) => {
                let after = COMPILE_WAIT.as_secs();
                Err(Failure::new(
                    Cause::LimitTime,
                    format!("component is still being compiled after {after} s: try again later"),
                ))
            }
        }
    }

    /// What is in memory or on disk. None if it has to be compiled.
    async fn known(&self, digest: ComponentDigest) -> Result<Option<Arc<Ready>>, Failure> {
        if let Some(ready) = self.ready.get(&digest).await {
            return Ok(Some(ready));
        }
        if let Some(failure) = self.broken.get(&digest) {
            return Err(failure);
        }
        let (inner, guests) = (self.inner.clone(), &self.inner.parts.guests);
        let kept = guests.compute(move || inner.kept(digest));
        let Some(ready) = kept.await?? else {
            return Ok(None);
        };
        // Whoever was faster has the same.
        self.ready.insert(digest, Arc::clone(&ready)).await;
        Ok(Some(ready))
    }

    async fn compile(
        self,
        repository: String,
        digest: ComponentDigest,
        component: Bytes,
    ) -> Result<Arc<Ready>, Failure> {
        // In the turn of its own repository, even if another one compiles the same: that may be far behind in its own queue.
        let _turn = self.inner.turns.turn(&repository, component.len()).await?;
        if let Some(ready) = self.known(digest).await? {
            return Ok(ready);
        }
        let compile = async {
            self.inner.compiled.fetch_add(1, Ordering::Relaxed);
            let artifact = self.inner.parts.compiler.compile(component).await?;
            let inner = self.inner.clone();
            let guests = &self.inner.parts.guests;
            guests
                .compute(move || inner.take(digest, &artifact))
                .await?
        };
        let ready = self.ready.try_get_with(digest, compile).await;
        ready.map_err(|failure| {
            let failure = Failure::new(failure.cause, cut(&failure.message, TEXT_BYTES));
            if matches!(failure.cause, Cause::ComponentInvalid | Cause::ComponentAbi) {
                self.broken.insert(digest, failure.clone());
            }
            failure
        })
    }
}

impl Inner {
    /// What is kept on disk.
    fn kept(&self, digest: ComponentDigest) -> Result<Option<Arc<Ready>>, Failure> {
        let Some(artifact) = self.disk.load(&digest) else {
            return Ok(None);
        };
        match self.ready(digest, &artifact) {
            Ok(ready) => Ok(Some(ready)),
            Err(Unusable::Code(e)) => {
                tracing::warn!(error = %e, "a compiled hook can't be loaded; compiling it again");
                Ok(None)
            }
            Err(Unusable::Component(failure)) => Err(failure),
        }
    }

    /// Takes over what the compiler has made, and keeps it on disk.
    fn take(&self, digest: ComponentDigest, artifact: &Artifact) -> Result<Arc<Ready>, Failure> {
        let ready = self.ready(digest, artifact).map_err(|e| match e {
            Unusable::Code(e) => Failure::new(
                Cause::ComponentInvalid,
                format!("component can't be loaded: {}", e.root_cause()),
            ),
            Unusable::Component(failure) => failure,
        })?;
        // The component works without; the next start compiles again.
        if let Err(e) = self.disk.store(&digest, artifact) {
            tracing::warn!(error = %e, dir = %self.disk.dir.display(), "a compiled hook could not be kept");
        }
        Ok(ready)
    }

    fn ready(&self, digest: ComponentDigest, artifact: &Artifact) -> Result<Arc<Ready>, Unusable> {
        let (engine, linkers) = match artifact.lane {
            Lane::Plain => (self.parts.engines.of(Lane::Plain), &self.parts.plain),
            Lane::Composed => (self.parts.engines.of(Lane::Composed), &self.parts.composed),
        };
        let compiled = artifact::load(engine, &artifact.code).map_err(Unusable::Code)?;
        let abi = |e: wasmtime::Error| {
            let message = format!(
                "component does not fit weir:hooks {}: {e:#}",
                check::VERSION
            );
            Unusable::Component(Failure::new(Cause::ComponentAbi, message))
        };
        let mut describe_linker = linkers.describe.clone();
        describe_linker
            .define_unknown_imports_as_traps(&compiled)
            .map_err(abi)?;
        let describe = describe_linker
            .instantiate_pre(&compiled)
            .and_then(HookPre::new)
            .map_err(abi)?;
        let pre = linkers.hook.instantiate_pre(&compiled).map_err(abi)?;
        let callable = match artifact.world {
            World::Gate => Callable::Gate(GatePre::new(pre).map_err(abi)?),
            World::ObjectGate => Callable::ObjectGate(ObjectGatePre::new(pre).map_err(abi)?),
        };
        let image = compiled.image_range();
        let code_bytes = image.end as usize - image.start as usize;
        Ok(Arc::new(Ready {
            digest,
            engine: engine.clone(),
            lane: artifact.lane,
            callable,
            describe,
            description: OnceCell::new(),
            code_bytes,
        }))
    }
}

/// Why an artifact is of no use.
enum Unusable {
    /// The engine does not take the code.
    Code(wasmtime::Error),
    /// The component does not fit this server.
    Component(Failure),
}
