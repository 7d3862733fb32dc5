//! The scheduler: every call of a store waits here, and the seed decides which one goes on.
//!
//! The runtime has one thread and asks for the next turn when it would fall asleep, so
//! exactly one call goes on at a time, and whatever it wakes runs to its next call
//! first. Time is the scheduler's as well: it passes with each turn. The same seed
//! is the same run.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base::ManualClock;
use base::testing::{FaultSchedule, Turn};

use super::random::Random;

/// The longest that one turn takes, in seconds of the scheduler's time.
const TURN_SECS: u64 = 20;
/// Of 256 turns so many come late,
const LATE: u8 = 8;
/// by so many turns at most.
const LATE_TURNS: u64 = 40;
/// So many turns are given at most while one call of a store that is not in memory is under way.
const OVERTAKEN_TURNS: u64 = 8;

#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    clock: Arc<ManualClock>,
}

#[derive(Debug)]
struct State {
    random: Random,
    /// Turns given so far.
    now: u64,
    tickets: u64,
    waiting: Vec<Waiting>,
    /// The turns given when each call began that is under way, by tickets.
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

    /// Lets one of those who wait go on. To be called when nobody else can run.
    pub(super) fn open(&self) {
        let mut state = self.state();
        let Some(earliest) = state.waiting.iter().map(|w| w.not_before).min() else {
            return;
        };
        let oldest = state.calls.values().min();
        if oldest.is_some_and(|began| state.now >= began + OVERTAKEN_TURNS) {
            // Its end wakes the thread.
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

    /// Notes that a call of a store is under way, until the answer is dropped.
    pub(super) fn call(&self) -> UnderWay<'_> {
        let mut state = self.state();
        state.tickets += 1;
        let (ticket, now) = (state.tickets, state.now);
        state.calls.insert(ticket, now);
        UnderWay { gate: self, ticket }
    }

    /// Ready when so many more turns have been given.
    pub(super) fn later(&self, turns: u64) -> Wait<'_> {
        Wait {
            gate: self,
            turns,
            ticket: None,
        }
    }
}

impl FaultSchedule for Gate {
    fn should_fail(&self, parts: u8) -> bool {
        self.state().random.should_fail(parts)
    }

    fn turn(&self) -> Turn<'_> {
        let mut state = self.state();
        let late = match state.random.should_fail(LATE) {
            true => state.random.below(LATE_TURNS),
            false => 0,
        };
        Box::pin(self.later(late))
    }
}

/// A call of a store, from its beginning to its end or until it is given up.
#[derive(Debug)]
pub(super) struct UnderWay<'a> {
    gate: &'a Gate,
    ticket: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.gate.state().calls.remove(&self.ticket);
    }
}

/// A place among those who wait, given up when dropped.
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
