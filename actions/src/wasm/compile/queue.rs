//! Schedules compilations: a limited number over all repositories, and one per repository.
//!
//! Components of one repository wait for each other. Components of different repositories compete
//! only for the global slots. Components that are already compiled never wait here.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::shares::Shares;
use crate::wasm::limits::{COMPILE_HELD_EACH_MIB, COMPILE_HELD_MIB, COMPILES_EACH};
use crate::wasm::report::{Cause, Failure};

/// Schedules the compilations of all repositories.
#[derive(Debug)]
pub(in crate::wasm) struct CompileQueue {
    all: Slots,
    shares: Shares<Slots>,
}

/// Slots for running compilations, and a budget for the bytes of waiting components.
#[derive(Debug)]
struct Slots {
    running: Arc<Semaphore>,
    held_mib: Arc<Semaphore>,
}

impl Slots {
    fn new(running: usize, held_mib: u32) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running)),
            held_mib: Arc::new(Semaphore::new(held_mib as usize)),
        }
    }

    fn hold(&self, mib: u32) -> Option<OwnedSemaphorePermit> {
        self.held_mib.clone().try_acquire_many_owned(mib).ok()
    }

    async fn run(&self) -> OwnedSemaphorePermit {
        let permit = self.running.clone().acquire_owned().await;
        permit.expect("never closed")
    }
}

/// Permission to compile. Released on drop.
#[derive(Debug)]
pub(in crate::wasm) struct CompileSlot {
    _held: [OwnedSemaphorePermit; 2],
    _running: [OwnedSemaphorePermit; 2],
    _slots: Arc<Slots>,
}

impl CompileQueue {
    /// Allows `at_once` concurrent compilations.
    pub(in crate::wasm) fn new(at_once: usize) -> Self {
        Self {
            all: Slots::new(at_once.max(1), COMPILE_HELD_MIB),
            shares: Shares::default(),
        }
    }

    /// Waits for a compile slot for a component of `bytes` bytes, first within the repository and
    /// then globally.
    ///
    /// # Errors
    /// [`Cause::Busy`] immediately, if too many bytes are waiting already.
    pub(in crate::wasm) async fn acquire(
        &self,
        repository: &str,
        bytes: usize,
    ) -> Result<CompileSlot, Failure> {
        let mib = u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX);
        let mib = mib.clamp(1, COMPILE_HELD_EACH_MIB);
        let new_share = || Slots::new(COMPILES_EACH, COMPILE_HELD_EACH_MIB);
        let slots = self.shares.of(repository, new_share);
        let (Some(own), Some(all)) = (slots.hold(mib), self.all.hold(mib)) else {
            let message = "the server is compiling too many components";
            return Err(Failure::new(Cause::Busy, message).hint("try again"));
        };
        Ok(CompileSlot {
            _held: [own, all],
            _running: [slots.run().await, self.all.run().await],
            _slots: slots,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// Regression test: two components that took a minute each blocked the first gate of every
    /// other repository.
    #[tokio::test]
    async fn one_repository_cannot_occupy_all_compile_slots() {
        let queue = CompileQueue::new(2);
        let first = queue.acquire("greedy", 1).await.unwrap();
        let mut second = Box::pin(queue.acquire("greedy", 1));
        assert!(
            second.as_mut().now_or_never().is_none(),
            "a repository compiles one component at a time"
        );
        assert!(queue.acquire("other", 1).now_or_never().unwrap().is_ok());
        drop(first);
        assert!(second.now_or_never().unwrap().is_ok());
    }

    #[tokio::test]
    async fn one_repository_cannot_fill_the_queue() {
        let queue = CompileQueue::new(2);
        let _running = queue.acquire("greedy", 64 << 20).await.unwrap();
        let mut waiting = Box::pin(queue.acquire("greedy", 64 << 20));
        assert!(waiting.as_mut().now_or_never().is_none());
        let refused = queue.acquire("greedy", 1).now_or_never().unwrap();
        assert_eq!(refused.unwrap_err().cause, Cause::Busy);
        assert!(
            queue
                .acquire("other", 64 << 20)
                .now_or_never()
                .unwrap()
                .is_ok()
        );
    }
}
