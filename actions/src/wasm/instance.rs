//! One call into a fresh instance, and what it left.
//!
//! An instance is used once: no memory of one object, repository or user is ever
//! seen by another. Interruption is fuel that yields to the runtime every
//! millisecond or so, and a yield every few host calls, where a timeout can stop the call
//! (docs/decisions/0004-interruption.md).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::yield_now;
use wasmtime::{CallHook, CallHookHandler, Engine, Store, StoreContextMut, Trap};

use super::cache::{Callable, Ready};
use super::limits::{
    CALLS_PER_TURN, HANDLES, HOSTCALL_BYTES, Limiter, TEXT_BYTES, YIELD_FUEL, cut, size,
};
use super::log::Log;
use super::session::{Change, Output, Run, State};
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
    pub(super) output: Output,
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

/// Calls the component: for one change, or for all of them.
pub(super) async fn judge(
    engine: &Engine,
    ready: &Ready,
    run: Arc<Run>,
    seed: &Seed,
    change: Option<Change>,
    deadline: Deadline,
) -> Outcome {
    let log = Log::new(run.limits.log_bytes, run.log_room.clone());
    let subject = change.as_ref().map(|c| c.path.clone());
    let mut store = store(engine, State::new(run, seed, subject, log), |s| {
        &mut s.limiter
    });
    let answer = tokio::time::timeout(deadline.after, call(&mut store, ready, change)).await;
    let verdict = match answer {
        Err(_) => Err(deadline.failure()),
        Ok(Err(e)) => Err(explain(
            &e,
            &store.data().limiter,
            &store.data().out.log,
            store.data().refused,
        )),
        Ok(Ok(Err(message))) => Err(gave_up(&message, store.data())),
        Ok(Ok(Ok(verdict))) => Ok(verdict),
    };
    let asked_outside = store.data().asked_outside;
    let verdict = verdict.map_err(|failure| match failure.cause {
        Cause::HookError | Cause::Trap if asked_outside => {
            let message = format!("{} ({})", failure.message, outside::NOTE);
            Failure::new(failure.cause, message)
        }
        _ => failure,
    });
    let fuel = used(&store);
    let state = store.into_data();
    Outcome {
        verdict,
        peak_memory_bytes: state.limiter.peak(),
        output: state.out,
        fuel,
    }
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
    engine: &Engine,
    data: T,
    limiter: fn(&mut T) -> &mut Limiter,
) -> Store<T> {
    let mut store = Store::new(engine, data);
    store.limiter(move |data| limiter(data));
    store.set_fuel(u64::MAX).expect("the engine counts fuel");
    store
        .fuel_async_yield_interval(Some(YIELD_FUEL))
        .expect("the engine counts fuel");
    store.call_hook_async(Turns::default());
    store.set_hostcall_fuel(HOSTCALL_BYTES);
    store.set_max_component_handles(2 * HANDLES);
    store
}

/// Yields to the runtime after some host calls: a guest that does little but call would use so little
/// fuel that it had the thread for minutes, and its limit of time would not be looked at.
#[derive(Debug, Default)]
struct Turns {
    calls: AtomicU32,
}

#[async_trait]
impl<T: Send> CallHookHandler<T> for Turns {
    async fn handle_call_event(
        &self,
        _: StoreContextMut<'_, T>,
        event: CallHook,
    ) -> wasmtime::Result<()> {
        if matches!(event, CallHook::ReturningFromHost)
            && self.calls.fetch_add(1, Ordering::Relaxed) % CALLS_PER_TURN == CALLS_PER_TURN - 1
        {
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
