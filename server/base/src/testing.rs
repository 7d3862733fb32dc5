//! Test support shared by all crates: test effort, fault schedules, sampling of written SSTables, small stacks.
//!
//! There are two levels of effort: brief for `cargo xtask test`, and long for `cargo xtask soak`. Servers do not use
//! this module.

mod sample;

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Mutex;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

pub use self::sample::is_in_sample;

/// If this variable is set, tests run with long effort. `cargo xtask soak` sets it.
const LONG: &str = "WEIR_TEST_LONG";
/// If this variable is set to a number, seeded tests run only with this seed.
const SEED: &str = "WEIR_TEST_SEED";
/// Number of cases of a property test.
const BRIEF_CASES: u32 = 200;
const LONG_CASES: u32 = 10_000;

/// Returns `long` in `cargo xtask soak` and `brief` otherwise.
#[must_use]
pub fn effort<T>(brief: T, long: T) -> T {
    if std::env::var_os(LONG).is_some() {
        long
    } else {
        brief
    }
}

/// Returns the number of cases of a property test.
#[must_use]
pub fn cases() -> u32 {
    effort(BRIEF_CASES, LONG_CASES)
}

/// Returns the seeds of a test: the seed from `WEIR_TEST_SEED` if it is set, otherwise `brief` or `long` seeds
/// starting at 0.
///
/// # Panics
/// If `WEIR_TEST_SEED` is not a number.
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

/// Stack size of [`on_small_stack`]: a quarter of that of a server thread.
const SMALL_STACK_BYTES: usize = 512 << 10;

/// Runs a closure on a thread with a small stack. A parser that recurses with the nesting of its input then overflows
/// the stack at a small depth, which aborts the test process.
///
/// # Panics
/// If the closure panics or the thread cannot be started.
pub fn on_small_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|threads| {
        std::thread::Builder::new()
            .stack_size(SMALL_STACK_BYTES)
            .spawn_scoped(threads, run)
            .expect("a thread can be started")
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The future that [`FaultSchedule::turn`] returns.
pub type Turn<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Decides which calls to a store fail and when each call continues.
pub trait FaultSchedule: Debug + Send + Sync {
    /// Returns whether this call fails. `rate` is the number of calls out of 256 that fail on average.
    fn should_fail(&self, rate: u8) -> bool;

    /// Waits until the call may continue.
    fn turn(&self) -> Turn<'_>;
}

/// A pseudorandom schedule: the same seed and the same sequence of calls give the same faults.
#[derive(Debug)]
pub struct SeededFaults {
    rng: Mutex<StdRng>,
    yields: u8,
}

impl SeededFaults {
    /// Creates a schedule in which `yields` of 256 turns let other tasks run first.
    #[must_use]
    pub fn new(seed: u64, yields: u8) -> Self {
        Self {
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            yields,
        }
    }
}

impl FaultSchedule for SeededFaults {
    fn should_fail(&self, rate: u8) -> bool {
        let mut rng = self
            .rng
            .lock()
            .expect("no code panics while it holds this lock");
        rng.random::<u8>() < rate
    }

    fn turn(&self) -> Turn<'_> {
        Box::pin(async {
            if self.should_fail(self.yields) {
                tokio::task::yield_now().await;
            }
        })
    }
}
