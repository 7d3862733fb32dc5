//! One call into a fresh instance, and what it left.
//!
//! An instance is used once: no memory of one object, repository or user is ever
//! seen by another. It runs on a thread of its own (`guests`). Who waits for it looks at the clock, tells it to
//! stop at its deadline, and answers with what it has left by then whether it stops or not
//! (docs/decisions/0012-guest-threads.md).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wasmtime::{CallHook, CallHookHandler, Engine, Store, StoreContextMut, Trap};

use super::cache::{Callable, Ready};
use super::engine::Lane;
use super::guests::host_failed;
use super::limits::{
    CALLS_PER_TURN, GRACE, GRACE_PARTS, HANDLES, HOSTCALL_BYTES, Limiter, TEXT_BYTES, YIELD_FUEL,
    cut, size,
};
use super::log::Log;
use super::session::{Change, Left, Run, Said, State};
use super::v0_1::{self, Verdict};
use super::wasi::Seed;
use super::{Cause, Failure, outside};

/// What Rust's collections panic with when one is to hold more than any allocator gives.
const CAPACITY_OVERFLOW: &str = "capacity overflow";
/// Part of what the engine says of a call that hands over more than [`HOSTCALL_BYTES`].
const HOSTCALL_OVERFLOW: &str = "fuel allocated for hostcalls has been exhausted";

/// How one call ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) verdict: Result<Verdict, Failure>,
    pub(super) said: Said,
    pub(super) log: Log,
    pub(super) peak_memory_bytes: u64,
    pub(super) fuel: u64,
}

/// A limit of time with the words for whoever meets it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    pub(super) after: Duration,
    /// `on one object (limits.time_per_object)`.
    pub(super) what: &'static str,
}

impl Deadline {
    pub(super) fn failure(self) -> Failure {
        let after = humantime::format_duration(self.after);
        Failure::new(
            Cause::LimitTime,
            format!("hook was stopped after {after} {}", self.what),
        )
    }
}

/// Tells an instance to stop: asked for, or when this is dropped.
#[derive(Debug)]
pub(super) struct Stopper {
    token: CancellationToken,
    /// Of a composed component: its code looks at the epoch.
    epochs: Option<Engine>,
}

impl Stopper {
    pub(super) fn new(ready: &Ready) -> Self {
        Self {
            token: CancellationToken::new(),
            epochs: (ready.lane == Lane::Composed).then(|| ready.engine.clone()),
        }
    }

    /// What the instance looks at.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    fn stop(&self) {
        self.token.cancel();
        if let Some(engine) = &self.epochs {
            // Others of the lane look up as well, and go on.
            engine.increment_epoch();
        }
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits for a call up to its deadline. None if it has not ended then, even after it was told to stop and had
/// a moment to do so.
pub(super) async fn supervise<T>(
    mut call: JoinHandle<T>,
    stopper: Stopper,
    deadline: Deadline,
) -> Result<Option<T>, Failure> {
    if let Ok(ended) = timeout(deadline.after, &mut call).await {
        return ended.map(Some).map_err(|e| host_failed(&e));
    }
    stopper.stop();
    let grace = (deadline.after / GRACE_PARTS).min(GRACE);
    match timeout(grace, call).await {
        Ok(ended) => ended.map(Some).map_err(|e| host_failed(&e)),
        Err(_) => Ok(None),
    }
}

/// What a call that was not waited for has left.
pub(super) fn cut_off(left: &Left, deadline: Deadline) -> Outcome {
    outcome(Err(deadline.failure()), left)
}

fn outcome(verdict: Result<Verdict, Failure>, left: &Left) -> Outcome {
    Outcome {
        verdict,
        said: std::mem::take(&mut left.said()),
        log: left.log.clone(),
        peak_memory_bytes: left.peak_memory_bytes.load(Ordering::Relaxed),
        fuel: left.fuel.load(Ordering::Relaxed),
    }
}

/// One call of a component: for one change, or for all of them.
pub(super) struct Call {
    pub(super) ready: Arc<Ready>,
    pub(super) run: Arc<Run>,
    pub(super) change: Option<Change>,
    pub(super) left: Left,
    pub(super) deadline: Deadline,
    pub(super) stop: CancellationToken,
}

impl Call {
    /// Runs to the end, or to where it is stopped; on a thread of [`super::guests`].
    pub(super) async fn run(self) -> Outcome {
        let Self {
            ready,
            run,
            change,
            left,
            deadline,
            stop,
        } = self;
        let subject = change.as_ref().map(|c| c.path.clone());
        let seed = seed(&ready, &run, change.as_ref());
        let state = State::new(run, &seed, subject, left.clone());
        let turns = Turns::new(&left, &stop);
        let mut store = store(&ready, state, |s| &mut s.limiter, turns);
        let answer = until(&stop, call(&mut store, &ready, change)).await;
        let verdict = match answer {
            None => Err(deadline.failure()),
            Some(Err(e)) => Err(explain(
                &e,
                &store.data().limiter,
                &left.log,
                store.data().refused,
            )),
            Some(Ok(Err(message))) => Err(gave_up(&message, store.data())),
            Some(Ok(Ok(verdict))) => Ok(verdict),
        };
        let asked_outside = store.data().asked_outside;
        let verdict = verdict.map_err(|failure| match failure.cause {
            Cause::HookError | Cause::Trap if asked_outside => {
                let message = format!("{} ({})", failure.message, outside::NOTE);
                Failure::new(failure.cause, message)
            }
            _ => failure,
        });
        left.fuel.store(used(&store), Ordering::Relaxed);
        // Gives its memory back, which may take a while: still the guest's.
        drop(store);
        outcome(verdict, &left)
    }
}

/// The same for the same inputs.
fn seed(ready: &Ready, run: &Run, change: Option<&Change>) -> Seed {
    let mut hash = Sha256::new();
    hash.update(ready.digest);
    for part in [run.config_text(), change.map_or("", |c| c.path.as_str())] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// What `call` comes to; none if it was stopped, which is looked at whenever it yields and when it ends.
pub(super) async fn until<T>(stop: &CancellationToken, call: impl Future<Output = T>) -> Option<T> {
    let answer = tokio::select! {
        biased;
        () = stop.cancelled() => return None,
        answer = call => answer,
    };
    (!stop.is_cancelled()).then_some(answer)
}

async fn call(
    store: &mut Store<State>,
    ready: &Ready,
    change: Option<Change>,
) -> wasmtime::Result<Result<Verdict, String>> {
    match &ready.callable {
        Callable::Gate(pre) => {
            let gate = pre.instantiate_async(&mut *store).await?;
            gate.weir_hooks_gate_api().call_check(store).await
        }
        Callable::ObjectGate(pre) => {
            let gate = pre.instantiate_async(&mut *store).await?;
            let change = change.expect("an object gate is called for a change");
            let content = match &change.after {
                Some(object) => Some(store.data_mut().hold(object.clone())?),
                None => None,
            };
            let subject = v0_1::change(&change);
            gate.weir_hooks_object_gate_api()
                .call_check_object(store, &subject, content)
                .await
        }
    }
}

/// A store with every bound set.
pub(super) fn store<T: Send>(
    ready: &Ready,
    data: T,
    limiter: fn(&mut T) -> &mut Limiter,
    turns: Turns,
) -> Store<T> {
    let mut store = Store::new(&ready.engine, data);
    store.limiter(move |data| limiter(data));
    store.set_fuel(u64::MAX).expect("the engine counts fuel");
    store
        .fuel_async_yield_interval(Some(YIELD_FUEL))
        .expect("the engine counts fuel");
    if ready.lane == Lane::Composed {
        // The epoch moves only when an instance is to stop.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
    }
    store.call_hook_async(turns);
    store.set_hostcall_fuel(HOSTCALL_BYTES);
    store.set_max_component_handles(2 * HANDLES);
    store
}

/// Looks whether to stop after each host call, and yields after some: a guest that does little but call
/// uses so little fuel that it would not be stopped for minutes.
#[derive(Debug)]
pub(super) struct Turns {
    calls: AtomicU32,
    left: Left,
    stop: CancellationToken,
}

impl Turns {
    pub(super) fn new(left: &Left, stop: &CancellationToken) -> Self {
        Self {
            calls: AtomicU32::new(0),
            left: left.clone(),
            stop: stop.clone(),
        }
    }
}

#[async_trait]
impl<T: Send> CallHookHandler<T> for Turns {
    async fn handle_call_event(
        &self,
        store: StoreContextMut<'_, T>,
        event: CallHook,
    ) -> wasmtime::Result<()> {
        if !matches!(event, CallHook::ReturningFromHost) {
            return Ok(());
        }
        let fuel = u64::MAX - store.get_fuel()?;
        self.left.fuel.store(fuel, Ordering::Relaxed);
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.stop.is_cancelled() || calls % CALLS_PER_TURN == CALLS_PER_TURN - 1 {
            yield_now().await;
        }
        Ok(())
    }
}

fn used<T>(store: &Store<T>) -> u64 {
    u64::MAX - store.get_fuel().expect("the engine counts fuel")
}

/// Why the guest could not decide. A runtime that is refused memory may tell its program, which gives up in
/// its own words: the limit is the reason all the same.
fn gave_up(message: &str, state: &State) -> Failure {
    let said = format!("hook could not decide: {}", cut(message, TEXT_BYTES));
    match state.refused {
        Some(cause) => Failure::new(cause, said),
        None if state.limiter.refused() => {
            let limit = memory_limit(&state.limiter);
            Failure::new(Cause::LimitMemory, format!("{limit}; {said}"))
        }
        None => Failure::new(Cause::HookError, said),
    }
}

fn memory_limit(limiter: &Limiter) -> String {
    let limit = size(limiter.limit());
    format!("hook wanted more than {limit} of memory (limits.memory)")
}

/// Why a call into a guest ended without an answer, in words for its author.
pub(super) fn explain(
    error: &wasmtime::Error,
    limiter: &Limiter,
    log: &Log,
    refused: Option<Cause>,
) -> Failure {
    if let Some(overflow) = log.overflow() {
        return overflow;
    }
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.clone();
    }
    // A single allocation of half the address space or more is refused by the guest's own allocator, and
    // `limits.memory` is never that high.
    let panic = log.panic_message();
    if limiter.refused()
        || panic
            .as_ref()
            .is_some_and(|panic| panic.ends_with(CAPACITY_OVERFLOW))
    {
        return Failure::new(Cause::LimitMemory, memory_limit(limiter));
    }
    let root = error.root_cause().to_string();
    if root.contains(HOSTCALL_OVERFLOW) {
        let limit = size(HOSTCALL_BYTES as u64);
        return Failure::new(
            Cause::LimitMemory,
            format!("hook handed over more than {limit} in one call (a fixed limit)"),
        );
    }
    let cause = refused.unwrap_or(Cause::Trap);
    if let Some(message) = panic {
        return Failure::new(
            cause,
            format!("hook panicked: {}", cut(&message, TEXT_BYTES)),
        );
    }
    let what = match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => "call stack exhausted".to_owned(),
        Some(trap) => trap.to_string(),
        None => root,
    };
    Failure::new(
        cause,
        format!(
            "hook trapped: {}",
            cut(what.trim_start_matches("wasm trap: "), TEXT_BYTES)
        ),
    )
}
