//! Whose component is compiled next: a few at once over all, one at once of a repository.
//!
//! So the components of one repository wait for each other, and those of another only for a
//! processor. Nothing waits here that is compiled already.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::wasm::limits::{COMPILE_HELD_EACH_MIB, COMPILE_HELD_MIB, COMPILES_EACH};
use crate::wasm::{Cause, Failure};

/// Turns of all repositories.
#[derive(Debug)]
pub(in crate::wasm) struct Turns {
    all: Room,
    /// Of repositories with a turn or in the queue; others hold nothing.
    repositories: Mutex<HashMap<String, Weak<Room>>>,
}

/// What may be compiled at once, and how much of what waits may be held.
#[derive(Debug)]
struct Room {
    running: Arc<Semaphore>,
    held_mib: Arc<Semaphore>,
}

impl Room {
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

/// The right to compile, until it is dropped.
#[derive(Debug)]
pub(in crate::wasm) struct Turn {
    _held: [OwnedSemaphorePermit; 2],
    _running: [OwnedSemaphorePermit; 2],
    _room: Arc<Room>,
}

impl Turns {
    /// So many processes at once.
    pub(in crate::wasm) fn new(at_once: usize) -> Self {
        Self {
            all: Room::new(at_once.max(1), COMPILE_HELD_MIB),
            repositories: Mutex::default(),
        }
    }

    fn room(&self, repository: &str) -> Arc<Room> {
        // A panic while the lock was held can at worst have lost an entry that is made anew.
        let lock = self.repositories.lock();
        let mut rooms = lock.unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = rooms.get(repository).and_then(Weak::upgrade) {
            return room;
        }
        rooms.retain(|_, room| room.strong_count() > 0);
        let room = Arc::new(Room::new(COMPILES_EACH, COMPILE_HELD_EACH_MIB));
        rooms.insert(repository.to_owned(), Arc::downgrade(&room));
        room
    }

    /// Waits for the turn of a repository's component of so many bytes: first among its own, then over all.
    ///
    /// # Errors
    /// [`Cause::Busy`] at once if too much waits already.
    pub(in crate::wasm) async fn turn(
        &self,
        repository: &str,
        bytes: usize,
    ) -> Result<Turn, Failure> {
        let mib = u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX);
        let mib = mib.clamp(1, COMPILE_HELD_EACH_MIB);
        let room = self.room(repository);
        let (Some(own), Some(all)) = (room.hold(mib), self.all.hold(mib)) else {
            return Err(Failure::new(
                Cause::Busy,
                "the server is compiling too many components: try again",
            ));
        };
        Ok(Turn {
            _held: [own, all],
            _running: [room.run().await, self.all.run().await],
            _room: room,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// Two components that took a minute each kept every other repository from its first gate.
    #[tokio::test]
    async fn one_repository_leaves_the_compiler_to_others() {
        let turns = Turns::new(2);
        let first = turns.turn("greedy", 1).await.unwrap();
        let mut second = Box::pin(turns.turn("greedy", 1));
        assert!(second.as_mut().now_or_never().is_none(), "one at once");
        assert!(turns.turn("other", 1).now_or_never().unwrap().is_ok());
        drop(first);
        assert!(second.now_or_never().unwrap().is_ok());
    }

    #[tokio::test]
    async fn one_repository_can_not_fill_the_queue() {
        let turns = Turns::new(2);
        let _running = turns.turn("greedy", 64 << 20).await.unwrap();
        let mut waiting = Box::pin(turns.turn("greedy", 64 << 20));
        assert!(waiting.as_mut().now_or_never().is_none());
        let refused = turns.turn("greedy", 1).now_or_never().unwrap();
        assert_eq!(refused.unwrap_err().cause, Cause::Busy);
        assert!(
            turns
                .turn("other", 64 << 20)
                .now_or_never()
                .unwrap()
                .is_ok()
        );
    }

    #[tokio::test]
    async fn repositories_that_compile_nothing_are_forgotten() {
        let turns = Turns::new(1);
        for n in 0..100 {
            drop(turns.turn(&n.to_string(), 1).await.unwrap());
        }
        assert_eq!(turns.repositories.lock().unwrap().len(), 1);
    }
}
