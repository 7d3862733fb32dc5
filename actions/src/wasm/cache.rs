//! Cache of compiled components: in memory by digest, on disk by digest and engine.
//!
//! Compiling takes between milliseconds and a minute. While the result is cached, a component is not
//! compiled again. The queue (`compile/queue.rs`) is fair between repositories. Concurrent requests
//! for a component share one load from disk, and those of one repository share one place in the
//! compile queue (`single_flight`). Lookups in memory and on disk come first, so cached components never
//! wait for the compiler. Unusable components are cached too. Compiled code survives a restart
//! (`disk`).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OnceCell;

use super::artifact::{self, Artifact};
use super::check;
use super::compile::Compiler;
use super::compile::queue::CompileQueue;
use super::compile_wait::CompileWait;
use super::component::{Component, ComponentDigest};
use super::disk::{CodeKey, Disk};
use super::engine::{Engines, Interruption};
use super::limits::{BROKEN, BROKEN_AGE, COMPILE_WAIT, COMPILED_BYTES, TEXT_BYTES, cut};
use super::ready::Ready;
use super::report::{Cause, Failure};
use super::single_flight::SingleFlight;
use super::v0_1::Linkers;
use crate::computations::{Computations, Slot};
use crate::error::SetupError;

/// Share of the computations that load compiled code into memory. The compile queue, which is fair
/// between repositories, limits their number. No repository has this name.
const SHARE_OF_COMPILER: &str = "";

/// Dependencies of a cache.
pub(super) struct CacheOptions {
    pub(super) engines: Engines,
    pub(super) fuel: Linkers,
    pub(super) fuel_and_epochs: Linkers,
    pub(super) compiler: Compiler,
    pub(super) computations: Computations,
    /// Maximum number of concurrent compiler processes.
    pub(super) at_once: usize,
}

struct Inner {
    options: CacheOptions,
    disk: Disk,
    queue: CompileQueue,
    /// Number of compilations, including failed ones, since the start.
    compiled: AtomicU64,
}

/// Cache of compiled components. Concurrent requests for the same digest share one compilation.
/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Cache {
    inner: Arc<Inner>,
    ready: moka::future::Cache<ComponentDigest, Arc<Ready>>,
    /// Components that cannot be used, with the reason.
    broken: moka::sync::Cache<ComponentDigest, Failure>,
    /// Loads from disk in progress.
    loads: SingleFlight<ComponentDigest, Option<Arc<Ready>>>,
    /// Compilations that wait or run, by repository and digest.
    compilations: SingleFlight<(String, ComponentDigest), Arc<Ready>>,
}

impl Cache {
    /// # Errors
    /// If the cache folder cannot be used.
    pub(super) fn new(options: CacheOptions, dir: &Path, key: CodeKey) -> Result<Self, SetupError> {
        let kib = |_: &ComponentDigest, r: &Arc<Ready>| {
            u32::try_from(r.code_bytes >> 10).unwrap_or(u32::MAX).max(1)
        };
        let ready = moka::future::Cache::builder()
            .max_capacity(COMPILED_BYTES >> 10)
            .weigher(kib)
            .build();
        let inner = Inner {
            disk: Disk::new(dir, key, &options.engines)?,
            queue: CompileQueue::new(options.at_once),
            options,
            compiled: AtomicU64::new(0),
        };
        Ok(Self {
            inner: Arc::new(inner),
            ready,
            broken: moka::sync::Cache::builder()
                .max_capacity(BROKEN)
                .time_to_live(BROKEN_AGE)
                .build(),
            loads: SingleFlight::default(),
            compilations: SingleFlight::default(),
        })
    }

    /// Returns the number of compilations, including failed ones.
    pub(super) fn compiled(&self) -> u64 {
        self.inner.compiled.load(Ordering::Relaxed)
    }

    /// Returns the compiled component. Compiles it if necessary, in the compile queue of `repository`.
    ///
    /// # Errors
    /// If the component is unusable, if `wait` is used up, or if the server is busy.
    pub(super) async fn get(
        &self,
        repository: &str,
        component: &Component,
        wait: &CompileWait,
    ) -> Result<Arc<Ready>, Failure> {
        check::check_header(component.bytes())?;
        if let Some(ready) = self.find_ready(repository, component.digest()).await? {
            return Ok(ready);
        }
        // The compilation continues if the caller is dropped. A later call joins it.
        let key = (repository.to_owned(), component.digest());
        let compiled = self.compilations.join(key, || {
            let (cache, repository) = (self.clone(), repository.to_owned());
            cache.compile(repository, component.clone())
        });
        wait.wait_for(compiled).await.unwrap_or_else(|| {
            let most = COMPILE_WAIT.as_secs();
            let message = format!(
                "the component is still being compiled, and the checks and hooks of one event wait for compilations for at most {most} s"
            );
            Err(Failure::new(Cause::LimitTime, message).hint("try again later"))
        })
    }

    /// Looks in memory and on disk. Returns `None` if the component must be compiled.
    async fn find_ready(
        &self,
        repository: &str,
        digest: ComponentDigest,
    ) -> Result<Option<Arc<Ready>>, Failure> {
        if let Some(ready) = self.ready.get(&digest).await {
            return Ok(Some(ready));
        }
        if let Some(failure) = self.broken.get(&digest) {
            return Err(failure);
        }
        // Waits for a slot of this repository even if another repository is about to load the component,
        // because that repository may wait for its slot for a long time. Requests that join a load keep their own slot
        // until it ends.
        let slot = self.inner.options.computations.slot(repository).await?;
        let (cache, mut slot) = (self.clone(), Some(slot));
        let loaded = self.loads.join(digest, || {
            let slot = slot.take().expect("a load is started at most once");
            cache.load(digest, slot)
        });
        loaded.await
    }

    /// Loads the component from disk into memory. Returns `None` if it must be compiled.
    async fn load(
        self,
        digest: ComponentDigest,
        slot: Slot,
    ) -> Result<Option<Arc<Ready>>, Failure> {
        // An earlier load or compilation may have ended since the caller looked.
        if let Some(ready) = self.ready.get(&digest).await {
            return Ok(Some(ready));
        }
        let inner = Arc::clone(&self.inner);
        let computations = &self.inner.options.computations;
        let kept = computations.run_in(slot, move || inner.kept(digest));
        let Some(ready) = kept.await?? else {
            return Ok(None);
        };
        self.ready.insert(digest, Arc::clone(&ready)).await;
        Ok(Some(ready))
    }

    async fn compile(
        self,
        repository: String,
        component: Component,
    ) -> Result<Arc<Ready>, Failure> {
        let digest = component.digest();
        // Waits in this repository's own queue even if another repository is about to compile the
        // same component, because that repository's queue may be long.
        let _slot = self
            .inner
            .queue
            .acquire(&repository, component.bytes().len())
            .await?;
        // Other repositories may wait for this slot or for the result, so from here on, nothing waits for this
        // repository's share.
        if let Some(ready) = self.find_ready(SHARE_OF_COMPILER, digest).await? {
            return Ok(ready);
        }
        let compile = async {
            self.inner.compiled.fetch_add(1, Ordering::Relaxed);
            let artifact = self
                .inner
                .options
                .compiler
                .compile(component.bytes())
                .await?;
            let inner = self.inner.clone();
            let take = move || inner.take(digest, &artifact);
            let computations = &self.inner.options.computations;
            computations.run(SHARE_OF_COMPILER, take).await?
        };
        let ready = self.ready.try_get_with(digest, compile).await;
        ready.map_err(|failure| {
            let failure = Failure {
                message: cut(&failure.message, TEXT_BYTES),
                ..Failure::clone(&failure)
            };
            if matches!(failure.cause, Cause::ComponentInvalid | Cause::ComponentAbi) {
                self.broken.insert(digest, failure.clone());
            }
            failure
        })
    }
}

impl Inner {
    /// Loads the component from disk.
    fn kept(&self, digest: ComponentDigest) -> Result<Option<Arc<Ready>>, Failure> {
        let Some(artifact) = self.disk.load(&digest) else {
            return Ok(None);
        };
        match self.ready(digest, &artifact) {
            Ok(ready) => Ok(Some(ready)),
            Err(Unusable::Code(e)) => {
                tracing::warn!(error = %e, "failed to load a compiled component from the disk cache; recompiling it");
                Ok(None)
            }
            Err(Unusable::Component(failure)) => Err(failure),
        }
    }

    /// Loads a compiler's artifact and stores it on disk.
    fn take(&self, digest: ComponentDigest, artifact: &Artifact) -> Result<Arc<Ready>, Failure> {
        let ready = self.ready(digest, artifact).map_err(|e| match e {
            Unusable::Code(e) => Failure::new(
                Cause::ComponentInvalid,
                format!("failed to load the component: {}", e.root_cause()),
            ),
            Unusable::Component(failure) => failure,
        })?;
        // A failed store is not fatal: the component is compiled again after the next start.
        if let Err(e) = self.disk.store(&digest, artifact) {
            tracing::warn!(error = %e, dir = %self.disk.dir.display(), "failed to store a compiled component in the disk cache");
        }
        Ok(ready)
    }

    fn ready(&self, digest: ComponentDigest, artifact: &Artifact) -> Result<Arc<Ready>, Unusable> {
        let (engine, linkers) = match artifact.interruption {
            Interruption::Fuel => (
                self.options.engines.of(Interruption::Fuel),
                &self.options.fuel,
            ),
            Interruption::FuelAndEpochs => (
                self.options.engines.of(Interruption::FuelAndEpochs),
                &self.options.fuel_and_epochs,
            ),
        };
        let compiled = artifact::load(engine, &artifact.code).map_err(Unusable::Code)?;
        let guest = linkers.link(&compiled, artifact.world).map_err(|e| {
            let message = format!(
                "component does not fit weir:hooks {}: {e:#}",
                check::VERSION
            );
            Unusable::Component(Failure::new(Cause::ComponentAbi, message))
        })?;
        let image = compiled.image_range();
        let code_bytes = image.end as usize - image.start as usize;
        Ok(Arc::new(Ready {
            digest,
            engine: engine.clone(),
            interruption: artifact.interruption,
            guest,
            description: OnceCell::new(),
            code_bytes,
        }))
    }
}

/// Why an artifact cannot be used.
enum Unusable {
    /// The engine rejects the code.
    Code(wasmtime::Error),
    /// The component's imports or exports do not match this server.
    Component(Failure),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures::FutureExt as _;
    use futures::future::join_all;

    use super::*;
    use crate::computations::Blocked;

    const GATE: &[u8] = include_bytes!("../../tests/fixtures/test_gate.wasm");
    /// Start of a component. Compiling it fails.
    const BROKEN_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0\xff\xff";

    fn cache(dir: &Path) -> Cache {
        let engines = Engines::with_pool(false).unwrap();
        let options = CacheOptions {
            fuel: Linkers::new(engines.of(Interruption::Fuel)).unwrap(),
            fuel_and_epochs: Linkers::new(engines.of(Interruption::FuelAndEpochs)).unwrap(),
            engines,
            compiler: Compiler::InProcess,
            computations: Computations::new().unwrap(),
            at_once: 1,
        };
        Cache::new(options, dir, CodeKey::new([1; 32])).unwrap()
    }

    /// Regression test: each request acquired permits for the component's size, so eight actions that named one
    /// component of 20 MiB exceeded the repository's budget of 128 MiB and failed with `busy`.
    #[tokio::test]
    async fn concurrent_requests_book_a_component_once() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        let mut large = BROKEN_COMPONENT.to_vec();
        large.resize(20 << 20, 0);
        let large = Component::new(Bytes::from(large));
        let wait = CompileWait::default();
        let answers = join_all((0..8).map(|_| cache.get("lake", &large, &wait))).await;
        for answer in answers {
            assert_eq!(answer.err().unwrap().cause, Cause::ComponentInvalid);
        }
        assert_eq!(cache.compiled(), 1);
    }

    /// Regression test: a compilation that had its slot, for which other repositories waited, could wait two
    /// minutes for the computations of its own repository.
    #[tokio::test]
    async fn compilation_with_a_slot_does_not_wait_for_its_repository() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        let _blocked = Blocked::start(&cache.inner.options.computations, "hostile").await;
        let gate = Component::new(Bytes::from_static(GATE));
        let compiled = cache.clone().compile("hostile".to_owned(), gate);
        let compiled = tokio::time::timeout(Duration::from_secs(100), compiled).await;
        assert!(compiled.unwrap().is_ok());
    }

    /// Regression test: each request loaded the compiled code from disk.
    #[tokio::test]
    async fn concurrent_requests_load_a_component_once() {
        let dir = tempfile::tempdir().unwrap();
        let (gate, wait) = (
            Component::new(Bytes::from_static(GATE)),
            CompileWait::default(),
        );
        cache(dir.path()).get("lake", &gate, &wait).await.unwrap();
        let restarted = cache(dir.path());
        let repositories = ["lake", "lake", "other", "other"];
        let loads = repositories.map(|repository| restarted.get(repository, &gate, &wait));
        let loaded = join_all(loads).await;
        let first = loaded[0].as_ref().unwrap();
        for ready in &loaded {
            assert!(Arc::ptr_eq(first, ready.as_ref().unwrap()));
        }
        assert_eq!(restarted.compiled(), 0);
    }

    #[tokio::test]
    async fn compilation_continues_when_its_first_caller_gives_up() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        let gate = Component::new(Bytes::from_static(GATE));
        let no_time = CompileWait::new(Duration::ZERO);
        let given_up = cache.get("lake", &gate, &no_time).await.err().unwrap();
        assert_eq!(given_up.cause, Cause::LimitTime);
        let wait = CompileWait::default();
        let mut abandoned = Box::pin(cache.get("lake", &gate, &wait));
        assert!(abandoned.as_mut().now_or_never().is_none());
        drop(abandoned);
        assert!(cache.get("lake", &gate, &wait).await.is_ok());
        assert_eq!(cache.compiled(), 1);
    }
}
