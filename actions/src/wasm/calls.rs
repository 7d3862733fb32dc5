//! Calls instances: waits for admission, runs each on a guest thread, and stops it at its deadline.

use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Admitted, Pool};
use super::describe::{self, Describing};
use super::guests::Guests;
use super::instance::{self, Call, CancelHook, Deadline, Outcome, Stopper};
use super::limits::{DESCRIBE_BYTES, DESCRIBE_MEMORY, DESCRIBE_TIME};
use super::log::{self, Log};
use super::ready::Ready;
use super::report::{Cause, Failure};
use super::session::{Change, Run, SharedResults};
use crate::computations::Computations;

/// Calls instances. Shared by all hooks.
pub(super) struct Calls {
    pub(super) admission: Admission,
    pub(super) guests: Guests,
    pub(super) computations: Computations,
}

impl Calls {
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

    /// Returns the component's description. Cached with the component.
    pub(super) async fn description(
        &self,
        ready: &Arc<Ready>,
        share: &Arc<Pool>,
    ) -> Result<Arc<Value>, Failure> {
        if let Some(known) = ready.description.get() {
            return Ok(Arc::clone(known));
        }
        // Each caller waits in its own repository's share. Only admitted callers wait for each other.
        let admitted = self.admission.admit(share, DESCRIBE_MEMORY).await?;
        ready
            .description
            .get_or_try_init(|| self.describe(ready, admitted))
            .await
            .cloned()
    }

    async fn describe(
        &self,
        ready: &Arc<Ready>,
        admitted: Admitted,
    ) -> Result<Arc<Value>, Failure> {
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
        described.map(Arc::new).map_err(|f| Failure {
            message: format!("component does not describe itself: {}", f.message),
            ..f
        })
    }
}

/// Calls `describe` on an instance. Runs on a thread of `guests`.
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
    let call = ready.guest.describe(&mut store);
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
    describe::parse(&text)
}
