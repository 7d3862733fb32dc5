//! The engine: set up once, shared by all hooks.
//!
//! Finds a component ready, prepares a run of it, and calls each instance when it is admitted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{Config, Engine, PoolingAllocationConfig};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::admission::{Admission, Pool, Waits};
use super::cache::{Cache, Callable, Compiler, Ready};
use super::capability::Rights;
use super::collect::Collector;
use super::fanout::{self, Shown, Task};
use super::instance::{self, Deadline, Outcome};
use super::limits::{
    CORE_INSTANCES_EACH, DESCRIBE_BYTES, DESCRIBE_MEMORY, DESCRIBE_TIME, INSTANCES, KEEP_RESIDENT,
    Limiter, MEMORIES_EACH, TABLE_ELEMENTS, TABLES_EACH,
};
use super::log::{self, Log};
use super::session::{self, Change, Run};
use super::wasi::{self, Seed};
use super::{Cause, Failure, Report, Request, v0_1};

/// The Wasm engine with its compiled components. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    cache: Cache,
    admission: Admission,
    pooled: bool,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("pooled", &self.inner.pooled)
            .field("components_prepared", &self.inner.cache.prepared())
            .finish_non_exhaustive()
    }
}

impl Host {
    /// Sets up the engine; compiled code is kept in `cache_dir`, keyed by digest.
    ///
    /// # Errors
    /// When the engine can't be set up on this machine.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the host takes the folder over"
    )]
    pub fn new(cache_dir: PathBuf) -> Result<Self, String> {
        let (engine, pooled) = match engine(true) {
            Ok(engine) => (engine, true),
            Err(e) => {
                tracing::warn!(error = %e, "no room for a pool of hook instances: allocating on demand, which is slower");
                (engine(false).map_err(failed)?, false)
            }
        };
        tracing::info!(pooled, "the engine for hooks is set up");
        Self::with_engine(&cache_dir, engine, pooled)
    }

    fn with_engine(cache_dir: &Path, engine: Engine, pooled: bool) -> Result<Self, String> {
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(failed)?;
        v0_1::link(&mut linker).map_err(failed)?;
        let mut describe_linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut describe_linker).map_err(failed)?;
        let cache = Cache::new(Compiler::new(engine, linker, describe_linker, cache_dir)?);
        Ok(Self {
            inner: Arc::new(Inner {
                cache,
                admission: Admission::new(),
                pooled,
            }),
        })
    }

    /// Whether instances come from a pool, which takes about half the time.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        self.inner.pooled
    }

    /// Runs one hook. Never panics and never outlives its limits, whatever the component does.
    pub async fn run(&self, request: Request) -> Report {
        match self.prepare(request).await {
            Ok((ready, run, shown)) => self.judge(&ready, &Arc::new(run), shown).await,
            Err(failure) => Report::not_run(failure),
        }
    }

    /// What a component says of itself (JSON of `describe`), cached by digest.
    ///
    /// # Errors
    /// The cause and a message with what to do.
    pub async fn describe(&self, component: &Bytes) -> Result<Value, (Cause, String)> {
        let describe = async {
            let ready = self.inner.cache.get(component).await?;
            // It belongs to no repository.
            let share = self.inner.admission.share("");
            self.inner.description(&ready, &share).await
        };
        describe
            .await
            .map(|d| Value::clone(&d))
            .map_err(|f: Failure| (f.cause, f.message))
    }

    async fn prepare(&self, mut request: Request) -> Result<(Arc<Ready>, Run, Shown), Failure> {
        let ready = self.inner.cache.get(&request.component).await?;
        let share = self
            .inner
            .admission
            .share(&request.event.repository.partition());
        let mut defaults = Vec::new();
        if request.select.paths.is_empty() || request.select.kinds.is_empty() {
            let description = self.inner.description(&ready, &share).await?;
            defaults = texts(&description, "/defaults/paths");
            if request.select.kinds.is_empty() {
                request.select.kinds = texts(&description, "/defaults/kinds");
            }
        }
        let rights = Rights::new(&request.select, &defaults, &request.read)?;
        let shown = Shown {
            max_size_bytes: request.select.max_size_bytes,
            parallelism: request.parallelism,
        };
        let log_room = log::room(request.limits.log_bytes);
        let run = Run {
            action: request.action,
            hook: request.hook,
            event: request.event,
            config: request.config,
            trees: request.trees,
            rights,
            limits: request.limits,
            keep_going: request.keep_going,
            read: AtomicU64::new(0),
            share,
            waits: Waits::default(),
            log_room,
        };
        Ok((ready, run, shown))
    }

    async fn judge(&self, ready: &Arc<Ready>, run: &Arc<Run>, shown: Shown) -> Report {
        let mut collector = Collector::default();
        match ready.callable {
            Callable::ObjectGate(_) => {
                fanout::objects(&self.inner, ready, run, shown, &mut collector).await;
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
                match Task(tokio::spawn(self.inner.clone().judge(
                    ready.clone(),
                    run.clone(),
                    None,
                    deadline,
                )))
                .await
                {
                    Ok(outcome) => collector.add(run, None, outcome),
                    Err(failure) => collector.error(run, None, &failure),
                };
            }
        }
        collector.finish(run)
    }
}

impl Inner {
    /// Waits for its turn, then calls a fresh instance. The wait counts for nothing:
    /// `deadline` is for the call, and a hook's `timeout` for all its calls.
    pub(super) async fn judge(
        self: Arc<Self>,
        ready: Arc<Ready>,
        run: Arc<Run>,
        change: Option<Change>,
        deadline: Deadline,
    ) -> Result<Outcome, Failure> {
        let mut turn = run.waits.turn();
        let _admitted = self
            .admission
            .admit(&run.share, run.limits.memory_bytes)
            .await?;
        turn.start();
        let seed = seed(&ready, &run, change.as_ref());
        let engine = self.cache.engine();
        Ok(instance::judge(engine, &ready, run.clone(), &seed, change, deadline).await)
    }

    async fn description(&self, ready: &Ready, share: &Pool) -> Result<Arc<Value>, Failure> {
        ready
            .description
            .get_or_try_init(|| self.describe(ready, share))
            .await
            .cloned()
    }

    async fn describe(&self, ready: &Ready, share: &Pool) -> Result<Arc<Value>, Failure> {
        let _admitted = self.admission.admit(share, DESCRIBE_MEMORY).await?;
        let log = Log::new(DESCRIBE_BYTES, log::room(DESCRIBE_BYTES));
        let mut store = instance::store(
            self.cache.engine(),
            Describing::new(&ready.digest, &log),
            |d| &mut d.limiter,
        );
        let call = async {
            let hook = ready.describe.instantiate_async(&mut store).await?;
            hook.weir_hooks_describe_api()
                .call_describe(&mut store)
                .await
        };
        let deadline = Deadline {
            after: DESCRIBE_TIME,
            what: "of describe",
        };
        let text = match tokio::time::timeout(deadline.after, call).await {
            Err(_) => Err(deadline.failure()),
            Ok(Err(e)) => Err(instance::explain(&e, &store.data().limiter, &log, None)),
            Ok(Ok(text)) => Ok(text),
        };
        let broken = |f: Failure| {
            Failure::new(
                f.cause,
                format!("component does not describe itself: {}", f.message),
            )
        };
        let text = text.map_err(broken)?;
        if text.len() > DESCRIBE_BYTES {
            return Err(broken(Failure::new(
                Cause::HookError,
                format!(
                    "describe returned {} bytes, up to {DESCRIBE_BYTES} are read",
                    text.len()
                ),
            )));
        }
        read_description(&text).map(Arc::new).map_err(broken)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(e: wasmtime::Error) -> String {
    format!("failed to set up the engine for hooks: {e:#}")
}

/// Reads what a component says of itself.
pub(super) fn read_description(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text)
        .map_err(|e| Failure::new(Cause::HookError, format!("describe returned no JSON: {e}")))
}

/// A list of texts in a description; empty if it is not there.
pub(super) fn texts(description: &Value, pointer: &str) -> Vec<String> {
    let items = description.pointer(pointer).and_then(Value::as_array);
    let texts = items.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// The same for the same inputs.
fn seed(ready: &Ready, run: &Run, change: Option<&Change>) -> Seed {
    let mut hash = Sha256::new();
    hash.update(ready.digest);
    for part in [
        run.config.to_string().as_str(),
        change.map_or("", |c| c.path.as_str()),
    ] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The state of an instance that is asked to describe itself: no hook, no event.
pub(super) struct Describing {
    wasi: WasiCtx,
    table: ResourceTable,
    limiter: Limiter,
}

impl Describing {
    fn new(seed: &Seed, log: &Log) -> Self {
        let wasi = wasi::context(seed, Duration::ZERO, log);
        Self {
            wasi,
            table: session::table(),
            limiter: Limiter::new(DESCRIBE_MEMORY),
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

/// An engine; with a pool it reserves address space, which some machines refuse.
fn engine(pooled: bool) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Halves the cost of a host call; only hooks for WASI 0.3 would need it.
        .concurrency_support(false)
        .consume_fuel(true)
        // The same answer on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    if pooled {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(INSTANCES)
            .total_stacks(INSTANCES)
            .total_core_instances(INSTANCES * CORE_INSTANCES_EACH)
            .total_tables(INSTANCES * TABLES_EACH)
            .total_memories(INSTANCES * MEMORIES_EACH)
            .max_core_instances_per_component(CORE_INSTANCES_EACH)
            .max_tables_per_component(TABLES_EACH)
            .max_memories_per_component(MEMORIES_EACH)
            .table_elements(TABLE_ELEMENTS)
            .linear_memory_keep_resident(KEEP_RESIDENT)
            .async_stack_keep_resident(64 << 10);
        config.allocation_strategy(pool);
    }
    Engine::new(&config)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broken component was compiled anew at every try, at the cost of whoever waited for the compiler.
    #[tokio::test]
    async fn a_component_that_can_not_be_used_is_tried_once() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::with_engine(dir.path(), engine(false).unwrap(), false).unwrap();
        let broken = Bytes::from_static(b"\0asm\x0d\0\x01\0\xff\xff");
        let first = host.describe(&broken).await.unwrap_err();
        assert_eq!(first.0, Cause::ComponentInvalid);
        assert_eq!(host.describe(&broken).await.unwrap_err(), first);
        assert_eq!(host.inner.cache.prepared(), 1);
        // Another is another.
        let other = Bytes::from_static(b"\0asm\x0d\0\x01\0\xff\xfe");
        host.describe(&other).await.unwrap_err();
        assert_eq!(host.inner.cache.prepared(), 2);
    }

    /// A machine without the address space for a pool runs the same hooks.
    #[tokio::test]
    async fn a_pool_is_an_advantage_and_not_a_need() {
        let component =
            Bytes::from_static(include_bytes!("../../tests/fixtures/test_object_gate.wasm"));
        let dir = tempfile::tempdir().unwrap();
        let on_demand = Host::with_engine(dir.path(), engine(false).unwrap(), false).unwrap();
        assert!(!on_demand.is_pooled());
        let host = Host::new(dir.path().to_owned()).unwrap();
        for host in [on_demand, host] {
            assert_eq!(
                host.describe(&component).await.unwrap()["name"],
                "test-object-gate"
            );
        }
    }
}
