//! The Wasm host, which is created once and shared by all hooks.
//!
//! Loads components, prepares runs, and calls instances.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::admission::{Admission, Waits};
use super::cache::{Cache, CacheOptions};
use super::calls::Calls;
use super::capability::Rights;
use super::check::World;
use super::collect::Collector;
use super::compile::Compiler;
use super::compile_wait::CompileWait;
use super::component::Component;
use super::describe;
use super::disk::CodeKey;
use super::engine::{Engines, Interruption};
use super::fanout::{self, Selection};
use super::findings;
use super::guests::Guests;
use super::instance::Deadline;
use super::limits::{COMPILES, FEW_GLOBS_BYTES, HOST_CALL, STORAGE_CALLS};
use super::log;
use super::ready::Ready;
use super::report::{Failure, Report};
use super::request::{Request, Select};
use super::session::Run;
use super::v0_1::Linkers;
use crate::computations::Computations;
use crate::error::SetupError;
use crate::shares::FairSemaphore;

/// The Wasm engines with their compiled components. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    cache: Cache,
    calls: Arc<Calls>,
    storage_calls: FairSemaphore,
    pooled: bool,
}

/// How components are compiled and cached.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Folder of the disk cache.
    pub cache_dir: PathBuf,
    /// Authenticates the files in the folder.
    pub code_key: CodeKey,
    pub compiler: Compiler,
    /// Maximum number of concurrent compilations. Each repository has at most one.
    pub compile_at_once: usize,
}

impl HostOptions {
    /// Uses the default number of concurrent compilations.
    #[must_use]
    pub fn new(cache_dir: PathBuf, code_key: CodeKey, compiler: Compiler) -> Self {
        Self {
            cache_dir,
            code_key,
            compiler,
            compile_at_once: COMPILES,
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("pooled", &self.inner.pooled)
            .field("components_compiled", &self.inner.cache.compiled())
            .finish_non_exhaustive()
    }
}

impl Host {
    /// Creates the engines. Compiled code is cached by digest.
    ///
    /// # Errors
    /// If the engines cannot be created on this machine, or the cache folder cannot be used.
    pub fn new(options: HostOptions) -> Result<Self, SetupError> {
        Self::with_computations(options, Computations::new()?)
    }

    /// Like [`Self::new`], with threads that others use too.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub(crate) fn with_computations(
        options: HostOptions,
        computations: Computations,
    ) -> Result<Self, SetupError> {
        let engines = Engines::new()?;
        tracing::info!(pooled = engines.pooled(), "the engine for hooks is set up");
        Self::with_engines(engines, options, computations)
    }

    fn with_engines(
        engines: Engines,
        options: HostOptions,
        computations: Computations,
    ) -> Result<Self, SetupError> {
        let pooled = engines.pooled();
        let parts = CacheOptions {
            fuel: Linkers::new(engines.of(Interruption::Fuel)).map_err(SetupError::Engine)?,
            fuel_and_epochs: Linkers::new(engines.of(Interruption::FuelAndEpochs))
                .map_err(SetupError::Engine)?,
            engines,
            compiler: options.compiler,
            computations: computations.clone(),
            at_once: options.compile_at_once,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                cache: Cache::new(parts, &options.cache_dir, options.code_key)?,
                calls: Arc::new(Calls {
                    admission: Admission::new(),
                    guests: Guests::new()?,
                    computations,
                }),
                storage_calls: FairSemaphore::new(STORAGE_CALLS, HOST_CALL),
                pooled,
            }),
        })
    }

    /// Reports whether instances come from a pool. Taking one from the pool needs about half the time
    /// of allocating it on demand.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        self.inner.pooled
    }

    /// Runs one hook. Never panics and never exceeds its limits, whatever the component does.
    pub async fn run(&self, request: Request) -> Report {
        match self.prepare(request).await {
            Ok((ready, run, selection)) => {
                self.run_component(&ready, &Arc::new(run), selection).await
            }
            Err(failure) => Report::not_run(failure),
        }
    }

    /// Returns the component's description (the JSON of `describe`), cached by digest. Compiling
    /// and running count toward the limits of `repository` (`Repository::partition`). Waits up to
    /// 120 s for a compilation.
    ///
    /// # Errors
    /// The cause, a message, and a hint where there is one.
    pub async fn describe(
        &self,
        repository: &str,
        component: &Component,
    ) -> Result<Value, Failure> {
        let wait = CompileWait::default();
        self.describe_within(repository, component, &wait).await
    }

    /// Like [`Self::describe`], but waits for a compilation only within `wait`.
    pub(crate) async fn describe_within(
        &self,
        repository: &str,
        component: &Component,
        wait: &CompileWait,
    ) -> Result<Value, Failure> {
        let ready = self.inner.cache.get(repository, component, wait).await?;
        let share = self.inner.calls.admission.share(repository);
        let description = self.inner.calls.description(&ready, &share).await?;
        Ok(Value::clone(&description))
    }

    /// Returns the world that a component implements. Waits for a compilation within `wait`.
    pub(crate) async fn world_within(
        &self,
        repository: &str,
        component: &Component,
        wait: &CompileWait,
    ) -> Result<World, Failure> {
        let ready = self.inner.cache.get(repository, component, wait).await?;
        Ok(ready.guest.world())
    }

    pub(crate) fn computations(&self) -> &Computations {
        &self.inner.calls.computations
    }

    /// Runs a possibly slow computation off the serving threads, in the share of a repository
    /// (`Repository::partition`).
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        repository: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        Ok(self.inner.calls.computations.run(repository, work).await?)
    }

    async fn prepare(&self, mut request: Request) -> Result<(Arc<Ready>, Run, Selection), Failure> {
        let repository = request.event.repository.partition();
        let ready = self
            .inner
            .cache
            .get(&repository, &request.component, &request.compile_wait)
            .await?;
        let share = self.inner.calls.admission.share(&repository);
        let mut defaults = Vec::new();
        if request.select.paths.is_empty() || request.select.kinds.is_empty() {
            let description = self.inner.calls.description(&ready, &share).await?;
            defaults = describe::texts(&description, "/defaults/paths");
            if request.select.kinds.is_empty() {
                request.select.kinds = describe::texts(&description, "/defaults/kinds");
            }
        }
        let rights = self.rights(&repository, &request.select, defaults, request.read);
        let rights = rights.await?;
        let selection = Selection {
            max_size_bytes: request.select.max_size_bytes,
            parallelism: request.parallelism,
        };
        let log_budget = log::budget(request.limits.log_bytes);
        let run = Run {
            action: request.action,
            hook: request.hook,
            event: request.event,
            config: request.config,
            config_text: OnceLock::new(),
            trees: request.trees,
            rights: Arc::new(rights),
            storage_calls: self.inner.storage_calls.share(&repository),
            limits: request.limits,
            keep_going: request.keep_going,
            read: AtomicU64::new(0),
            share,
            waits: Waits::default(),
            log_budget,
            findings_budget: findings::budget(),
        };
        Ok((ready, run, selection))
    }

    /// Compiles the globs of users and components. Long lists are compiled off the serving threads.
    async fn rights(
        &self,
        repository: &str,
        select: &Select,
        defaults: Vec<String>,
        read: Vec<String>,
    ) -> Result<Rights, Failure> {
        let globs = [&select.paths, &defaults, &read];
        let bytes: usize = globs.into_iter().flatten().map(String::len).sum();
        if bytes <= FEW_GLOBS_BYTES {
            return Rights::new(select, &defaults, &read);
        }
        let select = select.clone();
        let compile = move || Rights::new(&select, &defaults, &read);
        self.compute(repository, compile).await?
    }

    async fn run_component(
        &self,
        ready: &Arc<Ready>,
        run: &Arc<Run>,
        selection: Selection,
    ) -> Report {
        let mut collector = Collector::default();
        match ready.guest.world() {
            World::ObjectGate if !run.event.kind().has_changed_objects() => {
                collector.has_no_objects = true;
            }
            World::ObjectGate => {
                fanout::objects(&self.inner.calls, ready, run, selection, &mut collector).await;
            }
            World::Gate => {
                let (each, all) = (run.limits.time_per_object, run.limits.timeout);
                let deadline = if each < all {
                    Deadline {
                        after: each,
                        what: "(limits.time_per_object)",
                    }
                } else {
                    Deadline {
                        after: all,
                        what: "(timeout)",
                    }
                };
                let calls = &self.inner.calls;
                match calls.call(ready.clone(), run.clone(), None, deadline).await {
                    Ok(outcome) => collector.add(run, None, outcome),
                    Err(failure) => collector.error(run, None, &failure),
                };
            }
        }
        collector.finish(run)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use futures::FutureExt as _;

    use super::super::disk::Disk;
    use super::super::limits::ADMISSION_WAIT;
    use super::super::report::Cause;
    use super::*;
    use crate::computations::Blocked;

    const GATE: &[u8] = include_bytes!("../../tests/fixtures/test_gate.wasm");
    const OBJECT_GATE: &[u8] = include_bytes!("../../tests/fixtures/test_object_gate.wasm");

    fn component(bytes: &'static [u8]) -> Component {
        Component::new(Bytes::from_static(bytes))
    }

    fn options(dir: &Path) -> HostOptions {
        HostOptions::new(dir.to_owned(), CodeKey::new([1; 32]), Compiler::InProcess)
    }

    fn without_pool(dir: &Path) -> Host {
        let engines = Engines::with_pool(false).unwrap();
        Host::with_engines(engines, options(dir), Computations::new().unwrap()).unwrap()
    }

    /// Regression test: a broken component was compiled again on every attempt, which delayed all
    /// other compilations.
    #[tokio::test]
    async fn failed_compilation_is_cached() {
        let dir = tempfile::tempdir().unwrap();
        let host = without_pool(dir.path());
        let broken = component(b"\0asm\x0d\0\x01\0\xff\xff");
        let first = host.describe("lake", &broken).await.unwrap_err();
        assert_eq!(first.cause, Cause::ComponentInvalid);
        assert_eq!(host.describe("lake", &broken).await.unwrap_err(), first);
        assert_eq!(host.inner.cache.compiled(), 1);
        // A different broken component is compiled separately.
        let other = component(b"\0asm\x0d\0\x01\0\xff\xfe");
        host.describe("lake", &other).await.unwrap_err();
        assert_eq!(host.inner.cache.compiled(), 2);
    }

    /// A machine without enough address space for a pool can run the same hooks.
    #[tokio::test]
    async fn hooks_run_without_a_pool() {
        let component = component(OBJECT_GATE);
        let dir = tempfile::tempdir().unwrap();
        let on_demand = without_pool(dir.path());
        assert!(!on_demand.is_pooled());
        let host = Host::new(options(dir.path())).unwrap();
        for host in [on_demand, host] {
            assert_eq!(
                host.describe("lake", &component).await.unwrap()["name"],
                "test-object-gate"
            );
        }
    }

    /// A user who can write the cache folder but does not know the key plants code that the compiler
    /// made for another component. The server ignores the planted code and compiles the component.
    #[tokio::test]
    async fn planted_code_never_runs() {
        let dir = tempfile::tempdir().unwrap();
        let (gate, object_gate) = (component(GATE), component(OBJECT_GATE));
        let artifact = Compiler::InProcess.compile(gate.bytes()).await.unwrap();
        let attacker = CodeKey::new([9; 32]);
        let engines = Engines::with_pool(false).unwrap();
        let planted = Disk::new(dir.path(), attacker.clone(), &engines).unwrap();
        planted.store(&object_gate.digest(), &artifact).unwrap();
        // With the attacker's key, the planted code would run.
        let fooled = HostOptions {
            code_key: attacker,
            ..options(dir.path())
        };
        let fooled = Host::with_engines(engines, fooled, Computations::new().unwrap()).unwrap();
        let description = fooled.describe("lake", &object_gate).await.unwrap();
        assert_eq!(description["name"], "test-gate");

        let host = without_pool(dir.path());
        let description = host.describe("lake", &object_gate).await.unwrap();
        assert_eq!(description["name"], "test-object-gate");
        assert_eq!(host.inner.cache.compiled(), 1);
        // The server's own code has replaced the planted file.
        let restarted = without_pool(dir.path());
        restarted.describe("lake", &object_gate).await.unwrap();
        assert_eq!(restarted.inner.cache.compiled(), 0);
    }

    /// Regression test: the first caller of `describe` waited for admission in its own repository, and
    /// callers of other repositories waited for it.
    #[tokio::test]
    async fn description_does_not_wait_for_another_repository() {
        let dir = tempfile::tempdir().unwrap();
        let (host, gate) = (without_pool(dir.path()), component(GATE));
        let wait = CompileWait::default();
        host.inner.cache.get("busy", &gate, &wait).await.unwrap();
        let admission = &host.inner.calls.admission;
        let share = admission.share("busy");
        let held = admission.admit(&share, 2 << 30).await.unwrap();
        let mut waiting = std::pin::pin!(host.describe("busy", &gate));
        assert!(waiting.as_mut().now_or_never().is_none());
        let other = host.describe("other", &gate);
        let other = tokio::time::timeout(ADMISSION_WAIT / 2, other).await;
        assert_eq!(other.unwrap().unwrap()["name"], "test-gate");
        drop(held);
        assert_eq!(waiting.await.unwrap()["name"], "test-gate");
    }

    /// Regression test: the slow globs of one repository occupied all threads for computations, and
    /// the gates of all other repositories waited for them without a limit.
    #[tokio::test]
    async fn component_does_not_wait_for_computations_of_another_repository() {
        let dir = tempfile::tempdir().unwrap();
        let (host, gate) = (without_pool(dir.path()), component(GATE));
        let _blocked = Blocked::start(&host.inner.calls.computations, "hostile").await;
        assert_eq!(
            host.describe("lake", &gate).await.unwrap()["name"],
            "test-gate"
        );
        let paths: Vec<String> = vec!["tables/**".to_owned(); FEW_GLOBS_BYTES];
        let select = Select::default();
        let rights = host.rights("lake", &select, paths, Vec::new());
        assert!(rights.await.unwrap().may_read("tables/a"));
        // A component that is only on disk is loaded for the first repository that gets a thread.
        let restarted = without_pool(dir.path());
        let _blocked = Blocked::start(&restarted.inner.calls.computations, "hostile").await;
        let mut hostile = std::pin::pin!(restarted.describe("hostile", &gate));
        assert!(hostile.as_mut().now_or_never().is_none());
        restarted.describe("lake", &gate).await.unwrap();
        assert_eq!(restarted.inner.cache.compiled(), 0);
    }
}
