//! The Wasm host: created once and shared by all hooks.
//!
//! Loads components, prepares runs, and calls an instance once it is admitted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wasmtime::Engine;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::admission::{Admission, Pool, Waits};
use super::cache::{Cache, CacheOptions, Callable, Linkers, Ready};
use super::capability::Rights;
use super::collect::Collector;
use super::compile::Compiler;
use super::engine::{Engines, Lane};
use super::fanout::{self, Selection};
use super::guests::Guests;
use super::instance::{self, Call, CancelHook, Deadline, Outcome, Stopper};
use super::limits::{
    COMPILES, DESCRIBE_BYTES, DESCRIBE_MEMORY, DESCRIBE_TIME, FEW_GLOBS_BYTES, Limiter,
    STORAGE_CALLS,
};
use super::log::{self, Log};
use super::session::{self, Change, Run, SharedResults};
use super::wasi::{self, Seed};
use super::{Cause, Failure, Report, Request, Select, outside, v0_1};

/// The Wasm engines with their compiled components. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    cache: Cache,
    admission: Admission,
    pub(super) guests: Arc<Guests>,
    storage_calls: Arc<Semaphore>,
    pooled: bool,
}

/// How components are compiled and cached.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Folder of the disk cache.
    pub cache_dir: PathBuf,
    pub compiler: Compiler,
    /// Maximum number of concurrent compilations. Each repository has at most one.
    pub compile_at_once: usize,
}

impl HostOptions {
    /// Uses the default number of concurrent compilations.
    #[must_use]
    pub fn new(cache_dir: PathBuf, compiler: Compiler) -> Self {
        Self {
            cache_dir,
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
    pub fn new(options: HostOptions) -> Result<Self, String> {
        let engines = Engines::new()?;
        tracing::info!(pooled = engines.pooled(), "the engine for hooks is set up");
        Self::with_engines(
            engines,
            options.compiler,
            options.compile_at_once,
            &options.cache_dir,
        )
    }

    fn with_engines(
        engines: Engines,
        compiler: Compiler,
        at_once: usize,
        cache_dir: &Path,
    ) -> Result<Self, String> {
        let guests = Arc::new(Guests::new()?);
        let pooled = engines.pooled();
        let parts = CacheOptions {
            plain: linkers(engines.of(Lane::Plain))?,
            composed: linkers(engines.of(Lane::Composed))?,
            engines,
            compiler,
            guests: Arc::clone(&guests),
            at_once,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                cache: Cache::new(parts, cache_dir)?,
                admission: Admission::new(),
                guests,
                storage_calls: Arc::new(Semaphore::new(STORAGE_CALLS)),
                pooled,
            }),
        })
    }

    /// Reports whether instances come from a pool, which takes about half the time of allocating on
    /// demand.
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
    /// and running count toward the limits of `repository` (`Repository::partition`).
    ///
    /// # Errors
    /// The cause, and a message that says what to do.
    pub async fn describe(
        &self,
        repository: &str,
        component: &Bytes,
    ) -> Result<Value, (Cause, String)> {
        let describe = async {
            let ready = self.inner.cache.get(repository, component).await?;
            let share = self.inner.admission.share(repository);
            self.inner.description(&ready, &share).await
        };
        describe
            .await
            .map(|d| Value::clone(&d))
            .map_err(|f: Failure| (f.cause, f.message))
    }

    /// Runs a possibly slow computation off the serving threads.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let computed = self.inner.guests.compute(work).await;
        computed.map_err(|failure| failure.message)
    }

    async fn prepare(&self, mut request: Request) -> Result<(Arc<Ready>, Run, Selection), Failure> {
        let repository = request.event.repository.partition();
        let ready = self
            .inner
            .cache
            .get(&repository, &request.component)
            .await?;
        let share = self.inner.admission.share(&repository);
        let mut defaults = Vec::new();
        if request.select.paths.is_empty() || request.select.kinds.is_empty() {
            let description = self.inner.description(&ready, &share).await?;
            defaults = texts(&description, "/defaults/paths");
            if request.select.kinds.is_empty() {
                request.select.kinds = texts(&description, "/defaults/kinds");
            }
        }
        let rights = self.rights(&request.select, defaults, request.read).await?;
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
            storage_calls: Arc::clone(&self.inner.storage_calls),
            limits: request.limits,
            keep_going: request.keep_going,
            read: AtomicU64::new(0),
            share,
            waits: Waits::default(),
            log_budget,
        };
        Ok((ready, run, selection))
    }

    /// Compiles the globs of users and components. Long lists are compiled off the serving threads.
    async fn rights(
        &self,
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
        self.inner.guests.compute(compile).await?
    }

    async fn run_component(
        &self,
        ready: &Arc<Ready>,
        run: &Arc<Run>,
        selection: Selection,
    ) -> Report {
        let mut collector = Collector::default();
        match ready.callable {
            Callable::ObjectGate(_) => {
                fanout::objects(&self.inner, ready, run, selection, &mut collector).await;
            }
            Callable::Gate(_) => {
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
                let inner = &self.inner;
                match inner.call(ready.clone(), run.clone(), None, deadline).await {
                    Ok(outcome) => collector.add(run, None, outcome),
                    Err(failure) => collector.error(run, None, &failure),
                };
            }
        }
        collector.finish(run)
    }
}

impl Inner {
    /// Waits for admission, then calls a fresh instance. Waiting counts neither toward `deadline`,
    /// which limits the call, nor toward the hook's `timeout`, which limits all calls.
    pub(super) async fn call(
        &self,
        ready: Arc<Ready>,
        run: Arc<Run>,
        change: Option<Change>,
        deadline: Deadline,
    ) -> Result<Outcome, Failure> {
        let mut waiter = run.waits.register();
        let admitted = self
            .admission
            .admit(&run.share, run.limits.memory_bytes)
            .await?;
        waiter.start();
        let left = SharedResults::new(Log::new(run.limits.log_bytes, run.log_budget.clone()));
        let stopper = Stopper::new(&ready);
        let call = Call {
            ready,
            run: run.clone(),
            change,
            left: left.clone(),
            deadline,
            stop: stopper.token(),
        };
        let call = self.guests.run(async move {
            // Held until the instance has ended, even if the caller stops waiting.
            let _admitted = admitted;
            call.run().await
        });
        let ended = instance::supervise(call, stopper, deadline).await?;
        Ok(ended.unwrap_or_else(|| instance::cut_off(&left, deadline)))
    }

    async fn description(&self, ready: &Arc<Ready>, share: &Pool) -> Result<Arc<Value>, Failure> {
        ready
            .description
            .get_or_try_init(|| self.describe(ready, share))
            .await
            .cloned()
    }

    async fn describe(&self, ready: &Arc<Ready>, share: &Pool) -> Result<Arc<Value>, Failure> {
        let admitted = self.admission.admit(share, DESCRIBE_MEMORY).await?;
        let deadline = Deadline {
            after: DESCRIBE_TIME,
            what: "of describe",
        };
        let stopper = Stopper::new(ready);
        let (ready, stop) = (Arc::clone(ready), stopper.token());
        let call = self.guests.run(async move {
            let _admitted = admitted;
            describe(&ready, &stop, deadline).await
        });
        let described = instance::supervise(call, stopper, deadline).await?;
        let described = described.unwrap_or_else(|| Err(deadline.failure()));
        described.map(Arc::new).map_err(|f| {
            Failure::new(
                f.cause,
                format!("component does not describe itself: {}", f.message),
            )
        })
    }
}

/// Calls `describe` on an instance. Runs on a thread of [`super::guests`].
async fn describe(
    ready: &Ready,
    stop: &CancellationToken,
    deadline: Deadline,
) -> Result<Value, Failure> {
    let left = SharedResults::new(Log::new(DESCRIBE_BYTES, log::budget(DESCRIBE_BYTES)));
    let mut store = instance::store(
        ready,
        Describing::new(&ready.digest, &left),
        |d| &mut d.limiter,
        CancelHook::new(&left, stop),
    );
    let call = async {
        let hook = ready.describe.instantiate_async(&mut store).await?;
        hook.weir_hooks_describe_api()
            .call_describe(&mut store)
            .await
    };
    let text = match instance::until(stop, call).await {
        None => return Err(deadline.failure()),
        Some(Err(e)) => {
            let limiter = &store.data().limiter;
            return Err(instance::explain(&e, limiter, &left.log, None));
        }
        Some(Ok(text)) => text,
    };
    if text.len() > DESCRIBE_BYTES {
        let is = text.len();
        return Err(Failure::new(
            Cause::HookError,
            format!("describe returned {is} bytes, the limit is {DESCRIBE_BYTES}"),
        ));
    }
    read_description(&text)
}

fn linkers(engine: &Engine) -> Result<Linkers, String> {
    let mut hook = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut hook).map_err(failed)?;
    outside::link(&mut hook).map_err(failed)?;
    v0_1::link(&mut hook).map_err(failed)?;
    let mut describe = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut describe).map_err(failed)?;
    Ok(Linkers { hook, describe })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(e: wasmtime::Error) -> String {
    format!("failed to set up the engine for hooks: {e:#}")
}

/// Parses a component's description.
pub(super) fn read_description(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|e| {
        Failure::new(
            Cause::HookError,
            format!("describe returned invalid JSON: {e}"),
        )
    })
}

/// Returns a list of strings from a description, or an empty list if it is missing.
pub(super) fn texts(description: &Value, pointer: &str) -> Vec<String> {
    let items = description.pointer(pointer).and_then(Value::as_array);
    let texts = items.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// State of an instance whose `describe` is called: no hook, no event.
pub(super) struct Describing {
    wasi: WasiCtx,
    table: ResourceTable,
    limiter: Limiter,
}

impl Describing {
    fn new(seed: &Seed, left: &SharedResults) -> Self {
        let wasi = wasi::context(seed, Duration::ZERO, &left.log);
        let limiter = Limiter::new(DESCRIBE_MEMORY, left.peak_memory_bytes.clone());
        Self {
            wasi,
            table: session::table(),
            limiter,
        }
    }
}

impl WasiView for Describing {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_pool(dir: &Path) -> Host {
        let engines = Engines::with_pool(false).unwrap();
        Host::with_engines(engines, Compiler::InProcess, 1, dir).unwrap()
    }

    /// Regression test: a broken component was compiled again on every attempt, which delayed
    /// everyone waiting for the compiler.
    #[tokio::test]
    async fn failed_compilation_is_cached() {
        let dir = tempfile::tempdir().unwrap();
        let host = without_pool(dir.path());
        let broken = Bytes::from_static(b"\0asm\x0d\0\x01\0\xff\xff");
        let first = host.describe("lake", &broken).await.unwrap_err();
        assert_eq!(first.0, Cause::ComponentInvalid);
        assert_eq!(host.describe("lake", &broken).await.unwrap_err(), first);
        assert_eq!(host.inner.cache.compiled(), 1);
        // A different broken component is compiled separately.
        let other = Bytes::from_static(b"\0asm\x0d\0\x01\0\xff\xfe");
        host.describe("lake", &other).await.unwrap_err();
        assert_eq!(host.inner.cache.compiled(), 2);
    }

    /// A machine without enough address space for a pool can run the same hooks.
    #[tokio::test]
    async fn hooks_run_without_a_pool() {
        let component =
            Bytes::from_static(include_bytes!("../../tests/fixtures/test_object_gate.wasm"));
        let dir = tempfile::tempdir().unwrap();
        let on_demand = without_pool(dir.path());
        assert!(!on_demand.is_pooled());
        let options = HostOptions::new(dir.path().to_owned(), Compiler::InProcess);
        let host = Host::new(options).unwrap();
        for host in [on_demand, host] {
            assert_eq!(
                host.describe("lake", &component).await.unwrap()["name"],
                "test-object-gate"
            );
        }
    }
}
