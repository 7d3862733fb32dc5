//! What the tests of all crates share: how thorough they are, fate, which stores that fail on purpose ask, and
//! which of their tables are read back by another implementation, and a small stack for what parses.
//!
//! Two thoroughnesses only: brief, for the test command, and long, for `cargo xtask soak`.
//! Never part of a server.

mod sample;

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Mutex;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

pub use self::sample::is_in_sample;

/// Set to anything: tests are long. `cargo xtask soak` sets it.
const LONG: &str = "WEIR_TEST_LONG";
/// Set to a number: tests that go through seeds try this one only.
const SEED: &str = "WEIR_TEST_SEED";
/// Cases of a property test.
const BRIEF_CASES: u32 = 200;
const LONG_CASES: u32 = 10_000;

/// How much a test does: `brief` in the test command, `long` in the soak.
#[must_use]
pub fn effort<T>(brief: T, long: T) -> T {
    if std::env::var_os(LONG).is_some() {
        long
    } else {
        brief
    }
}

/// How many cases a property test tries.
#[must_use]
pub fn cases() -> u32 {
    effort(BRIEF_CASES, LONG_CASES)
}

/// The seeds that a test goes through: from 0, so many of them, or the one that is asked for.
///
/// # Panics
/// If what is asked for is no number.
#[must_use]
pub fn seeds(brief: u64, long: u64) -> std::ops::Range<u64> {
    match std::env::var(SEED) {
        Ok(seed) => {
            let seed = seed.parse().expect("WEIR_TEST_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..effort(brief, long),
    }
}

/// The stack of [`on_small_stack`]: a quarter of what a thread of the server has.
const SMALL_STACK_BYTES: usize = 512 << 10;

/// Runs something on a thread whose stack is small, so that a parser that calls itself once for each
/// level of its input ends the process at a depth that is quickly reached.
///
/// # Panics
/// If what is run does, or there is no thread to be had.
pub fn on_small_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|threads| {
        std::thread::Builder::new()
            .stack_size(SMALL_STACK_BYTES)
            .spawn_scoped(threads, run)
            .expect("there is a thread to be had")
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A wait for one's turn.
pub type Turn<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Decides which calls of a store fail, and when each of them goes on.
pub trait Fate: Debug + Send + Sync {
    /// Whether what befalls `parts` of 256 calls befalls this one.
    fn strikes(&self, parts: u8) -> bool;

    /// Waits until the call may go on.
    fn turn(&self) -> Turn<'_>;
}

/// Fate by dice: the same seed and the same questions get the same answers.
#[derive(Debug)]
pub struct Dice {
    rng: Mutex<StdRng>,
    yields: u8,
}

impl Dice {
    /// `yields` of 256 turns let other tasks run first.
    #[must_use]
    pub fn new(seed: u64, yields: u8) -> Self {
        Self {
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            yields,
        }
    }
}

impl Fate for Dice {
    fn strikes(&self, parts: u8) -> bool {
        let mut rng = self.rng.lock().expect("no holder of the dice panics");
        rng.random::<u8>() < parts
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            if self.strikes(self.yields) {
                tokio::task::yield_now().await;
            }
        })
    }
}
