//! Runs one call in a fresh instance and collects the result.
//!
//! Every instance is used once, so no memory is ever shared between objects, repositories or users.
//! An instance runs on its own thread (`guests`). The caller waits until the deadline, then tells the
//! instance to stop and returns the results so far, whether or not the instance stops
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

use super::engine::Interruption;
use super::guest::Answer;
use super::guests::host_failed;
use super::limits::{
    CALLS_PER_YIELD, GRACE, GRACE_PARTS, HANDLES, HOSTCALL_BYTES, Limiter, TEXT_BYTES, YIELD_FUEL,
    cut, size,
};
use super::log::Log;
use super::outside;
use super::ready::Ready;
use super::report::{Cause, Failure};
use super::session::{Change, Run, SharedResults, State, Submitted};
use super::wasi::Seed;

/// End of the panic message of Rust's collections if a capacity exceeds what any allocator can
/// provide.
const CAPACITY_OVERFLOW: &str = "capacity overflow";
/// Part of wasmtime's error for a call that passes more than [`HOSTCALL_BYTES`].
const HOSTCALL_OVERFLOW: &str = "fuel allocated for hostcalls has been exhausted";

/// Outcome of one call.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) verdict: Result<Answer, Failure>,
    pub(super) submitted: Submitted,
    pub(super) log: Log,
    pub(super) peak_memory_bytes: u64,
    pub(super) fuel: u64,
}

/// A time limit with its description for error messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    pub(super) after: Duration,
    /// Example: `on one object (limits.time_per_object)`.
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

/// Stops an instance, either on request or on drop.
#[derive(Debug)]
pub(super) struct Stopper {
    token: CancellationToken,
    /// Set for composed components, whose code checks the epoch.
    epochs: Option<Engine>,
}

impl Stopper {
    pub(super) fn new(ready: &Ready) -> Self {
        Self {
            token: CancellationToken::new(),
            epochs: (ready.interruption == Interruption::FuelAndEpochs)
                .then(|| ready.engine.clone()),
        }
    }

    /// Returns the token that the instance checks.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    fn stop(&self) {
        self.token.cancel();
        if let Some(engine) = &self.epochs {
            // Other instances of the engine check their token and continue.
            engine.increment_epoch();
        }
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits for a call until its deadline. At the deadline, tells the call to stop and waits for a
/// short grace period. Returns `None` if the call has not ended by then.
///
/// # Errors
/// If the host panics.
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

/// Returns the results so far of a call that has not ended by its deadline.
pub(super) fn cut_off(left: &SharedResults, deadline: Deadline) -> Outcome {
    outcome(Err(deadline.failure()), left)
}

fn outcome(verdict: Result<Answer, Failure>, left: &SharedResults) -> Outcome {
    Outcome {
        verdict,
        submitted: std::mem::take(&mut left.submitted()),
        log: left.log.clone(),
        peak_memory_bytes: left.peak_memory_bytes.load(Ordering::Relaxed),
        fuel: left.fuel.load(Ordering::Relaxed),
    }
}

/// One call of a component, for one change (object gate) or for all changes (gate).
pub(super) struct Call {
    pub(super) ready: Arc<Ready>,
    pub(super) run: Arc<Run>,
    pub(super) change: Option<Change>,
    pub(super) left: SharedResults,
    pub(super) deadline: Deadline,
    pub(super) stop: CancellationToken,
}

impl Call {
    /// Runs until the call ends or is stopped. Must run on a thread of [`super::guests`].
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
        let call_hook = CancelHook::new(&left, &stop);
        let mut store = store(&ready, state, |s| &mut s.limiter, call_hook);
        let answer = until(&stop, ready.guest.check(&mut store, change.as_ref())).await;
        let verdict = match answer {
            None => Err(deadline.failure()),
            Some(Err(e)) => Err(explain(
                &e,
                &store.data().limiter,
                &left.log,
                store.data().refused,
            )),
            Some(Ok(Err(message))) => Err(failure_of_error(&message, store.data())),
            Some(Ok(Ok(verdict))) => Ok(verdict),
        };
        let tried_outside = store.data().tried_outside;
        let verdict = verdict.map_err(|failure| match failure.cause {
            Cause::HookError | Cause::Trap if tried_outside => {
                let message = format!("{} ({})", failure.message, outside::NOTE);
                Failure { message, ..failure }
            }
            _ => failure,
        });
        left.fuel.store(used(&store), Ordering::Relaxed);
        // Dropping the store unmaps its memory, which may take a while. That time still counts
        // toward the guest's deadline.
        drop(store);
        outcome(verdict, &left)
    }
}

/// Returns the same seed for the same inputs.
fn seed(ready: &Ready, run: &Run, change: Option<&Change>) -> Seed {
    let mut hash = Sha256::new();
    hash.update(ready.digest);
    for part in [run.config_text(), change.map_or("", |c| c.path.as_str())] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Returns the result of `call`, or `None` if it was stopped. Checks for a stop whenever the call
/// yields and when it ends.
pub(super) async fn until<T>(stop: &CancellationToken, call: impl Future<Output = T>) -> Option<T> {
    let answer = tokio::select! {
        biased;
        () = stop.cancelled() => return None,
        answer = call => answer,
    };
    (!stop.is_cancelled()).then_some(answer)
}

/// Creates a store with all limits set.
pub(super) fn store<T: Send>(
    ready: &Ready,
    data: T,
    limiter: fn(&mut T) -> &mut Limiter,
    call_hook: CancelHook,
) -> Store<T> {
    let mut store = Store::new(&ready.engine, data);
    store.limiter(move |data| limiter(data));
    store.set_fuel(u64::MAX).expect("the engine counts fuel");
    store
        .fuel_async_yield_interval(Some(YIELD_FUEL))
        .expect("the engine counts fuel");
    if ready.interruption == Interruption::FuelAndEpochs {
        // The epoch advances only when an instance must stop.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
    }
    store.call_hook_async(call_hook);
    store.set_hostcall_fuel(HOSTCALL_BYTES);
    store.set_max_component_handles(2 * HANDLES);
    store
}

/// Checks for a stop after each host call, and yields after several. A guest that mostly makes host
/// calls uses so little fuel that fuel alone would not stop it for minutes.
#[derive(Debug)]
pub(super) struct CancelHook {
    calls: AtomicU32,
    left: SharedResults,
    stop: CancellationToken,
}

impl CancelHook {
    pub(super) fn new(left: &SharedResults, stop: &CancellationToken) -> Self {
        Self {
            calls: AtomicU32::new(0),
            left: left.clone(),
            stop: stop.clone(),
        }
    }
}

#[async_trait]
impl<T: Send> CallHookHandler<T> for CancelHook {
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
        if self.stop.is_cancelled() || calls % CALLS_PER_YIELD == CALLS_PER_YIELD - 1 {
            yield_now().await;
        }
        Ok(())
    }
}

fn used<T>(store: &Store<T>) -> u64 {
    u64::MAX - store.get_fuel().expect("the engine counts fuel")
}

/// Explains why the guest returned an error. A language runtime may turn a refused allocation into
/// an error message of its own, so the memory limit is named before that message.
fn failure_of_error(message: &str, state: &State) -> Failure {
    let reason = format!("hook could not decide: {}", cut(message, TEXT_BYTES));
    match state.refused {
        Some(cause) => Failure::new(cause, reason),
        None if state.limiter.refused() => {
            let limit = memory_limit(&state.limiter);
            Failure::new(Cause::LimitMemory, format!("{limit}; {reason}"))
        }
        None => Failure::new(Cause::HookError, reason),
    }
}

fn memory_limit(limiter: &Limiter) -> String {
    let limit = size(limiter.limit());
    format!("hook needed more than {limit} of memory (limits.memory)")
}

/// Explains to the hook's author why a call ended without a verdict.
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
    // The guest's own allocator refuses a single allocation of half the address space or more.
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
            format!("hook passed more than {limit} in one call (a fixed limit)"),
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

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::threads::Threads;

    const DEADLINE: Deadline = Deadline {
        after: Duration::from_secs(5),
        what: "(timeout)",
    };

    fn stopper(token: &CancellationToken) -> Stopper {
        Stopper {
            token: token.clone(),
            epochs: None,
        }
    }

    /// A guest in a native copy cannot be interrupted. The caller answers after the grace period, which
    /// is at most 5 % of the limit.
    #[tokio::test(start_paused = true)]
    async fn caller_does_not_wait_for_a_guest_that_cannot_stop() {
        for (after, grace) in [
            (DEADLINE.after, GRACE),
            (Duration::from_millis(400), Duration::from_millis(20)),
        ] {
            let deadline = Deadline { after, ..DEADLINE };
            let token = CancellationToken::new();
            let stuck = tokio::spawn(std::future::pending::<()>());
            let started = Instant::now();
            let ended = supervise(stuck, stopper(&token), deadline).await;
            assert!(ended.unwrap().is_none());
            // The test's clock jumps from one timer to the next.
            assert_eq!(started.elapsed(), after + grace);
            assert!(token.is_cancelled(), "the guest must be told to stop");
            assert!(grace.as_secs_f64() <= after.as_secs_f64() * 0.05);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn guest_that_stops_in_the_grace_period_returns_its_results() {
        let token = CancellationToken::new();
        let stop = token.clone();
        let call = tokio::spawn(async move {
            stop.cancelled().await;
            "findings"
        });
        let ended = supervise(call, stopper(&token), DEADLINE).await;
        assert_eq!(ended.unwrap(), Some("findings"));
    }

    /// A guest does not block its caller, even if the guest never gives up the CPU.
    #[tokio::test]
    async fn guest_that_blocks_its_thread_is_abandoned() {
        let threads = Threads::new("blocked", 1).unwrap();
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let call = threads.spawn(move || blocked.recv().is_err());
        let token = CancellationToken::new();
        let deadline = Deadline {
            after: Duration::from_millis(1),
            ..DEADLINE
        };
        let ended = supervise(call, stopper(&token), deadline).await;
        assert!(ended.unwrap().is_none() && token.is_cancelled());
        drop(release);
    }
}
