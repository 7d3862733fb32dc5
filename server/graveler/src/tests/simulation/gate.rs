//! The scheduler: every store call waits here, and the seed decides which one continues.
//!
//! The runtime has one thread, and gives the next turn when the thread would park. Exactly one call
//! therefore continues at a time, and every task that it wakes runs until its own next call. Each turn
//! also advances the clock. Equal seeds give equal runs, except with real drivers.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base::ManualClock;
use base::testing::{FaultSchedule, Turn};

use super::random::Random;

/// The maximum duration of a turn, in seconds of the scheduler's clock.
const TURN_SECS: u64 = 20;
/// How many of 256 turns are delayed.
const LATE: u8 = 8;
/// The maximum delay, in turns.
const LATE_TURNS: u64 = 40;
/// The maximum number of turns given while one call of a real driver is in flight.
const OVERTAKEN_TURNS: u64 = 8;

#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    clock: Arc<ManualClock>,
}

#[derive(Debug)]
struct State {
    random: Random,
    /// Number of turns given so far.
    now: u64,
    tickets: u64,
    waiting: Vec<Waiting>,
    /// Calls in flight: the number of turns given when each began, by ticket.
    calls: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    not_before: u64,
    waker: Waker,
}

impl Gate {
    pub(super) fn new(seed: u64, clock: Arc<ManualClock>) -> Self {
        Self {
            state: Mutex::new(State {
                random: Random::new(seed),
                now: 0,
                tickets: 0,
                waiting: Vec::new(),
                calls: BTreeMap::new(),
            }),
            clock,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the gate panics")
    }

    /// Lets one of the waiting calls continue. Called when nothing else can run.
    pub(super) fn release_next(&self) {
        let mut state = self.state();
        let Some(earliest) = state.waiting.iter().map(|w| w.not_before).min() else {
            return;
        };
        let oldest = state.calls.values().min();
        if oldest.is_some_and(|began| state.now >= began + OVERTAKEN_TURNS) {
            // The end of that call wakes the thread.
            return;
        }
        state.now = earliest.max(state.now + 1);
        let now = state.now;
        let mut due: Vec<usize> = (0..state.waiting.len())
            .filter(|&i| state.waiting[i].not_before <= now)
            .collect();
        due.sort_by_key(|&i| state.waiting[i].ticket);
        let next = due[state.random.below(due.len() as u64) as usize];
        let secs = state.random.below(TURN_SECS);
        let next = state.waiting.swap_remove(next);
        drop(state);
        self.clock.advance(Duration::from_secs(secs));
        next.waker.wake();
    }

    /// Counts a store call as in flight until the returned value is dropped.
    pub(super) fn call(&self) -> InFlight<'_> {
        let mut state = self.state();
        state.tickets += 1;
        let (ticket, now) = (state.tickets, state.now);
        state.calls.insert(ticket, now);
        InFlight { gate: self, ticket }
    }

    /// Completes after this many more turns.
    pub(super) fn wait_turns(&self, turns: u64) -> Wait<'_> {
        Wait {
            gate: self,
            turns,
            ticket: None,
        }
    }
}

impl FaultSchedule for Gate {
    fn should_fail(&self, parts: u8) -> bool {
        self.state().random.chance(parts)
    }

    fn turn(&self) -> Turn<'_> {
        let mut state = self.state();
        let late = match state.random.chance(LATE) {
            true => state.random.below(LATE_TURNS),
            false => 0,
        };
        Box::pin(self.wait_turns(late))
    }
}

/// A store call in flight, until it ends or is abandoned.
#[derive(Debug)]
pub(super) struct InFlight<'a> {
    gate: &'a Gate,
    ticket: u64,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.gate.state().calls.remove(&self.ticket);
    }
}

/// A place in the queue of waiting calls, given up when dropped.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    gate: &'a Gate,
    turns: u64,
    ticket: Option<u64>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.gate.state();
        let Some(ticket) = self.ticket else {
            state.tickets += 1;
            let place = Waiting {
                ticket: state.tickets,
                not_before: state.now + self.turns,
                waker: context.waker().clone(),
            };
            let ticket = place.ticket;
            state.waiting.push(place);
            drop(state);
            self.ticket = Some(ticket);
            return Poll::Pending;
        };
        match state.waiting.iter_mut().find(|w| w.ticket == ticket) {
            Some(place) => {
                place.waker.clone_from(context.waker());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.gate.state().waiting.retain(|w| w.ticket != ticket);
        }
    }
}
