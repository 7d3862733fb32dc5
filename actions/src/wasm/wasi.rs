//! The WASI implementation, which language runtimes need. It grants no access and is deterministic.
//!
//! There are no files, environment variables, arguments or network. The wall clock stands at the
//! time of the event, the monotonic clock counts calls, and random numbers come from the seed.
//! Printed output goes to the hook's log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime_wasi::clocks::{HostMonotonicClock, HostWallClock};
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::log::Log;

/// Maximum number of random bytes per call. A guest that requests more traps.
const RANDOM_BYTES: u64 = 64 << 10;
/// The random stream repeats after this many bytes.
const RANDOM_PERIOD: u64 = 4096;

pub(super) type Seed = [u8; 32];

/// Creates the context of one instance.
pub(super) fn context(seed: &Seed, time: Duration, log: &Log) -> WasiCtx {
    let mut half = [0; 16];
    half.copy_from_slice(&seed[..16]);
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(log.clone())
        .stderr(log.clone())
        .wall_clock(FixedClock(time))
        .monotonic_clock(CountingClock(AtomicU64::new(0)))
        .secure_random(numbers(seed, 0))
        .insecure_random(numbers(seed, 1))
        .insecure_random_seed(u128::from_le_bytes(half))
        .max_random_size(RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    builder.build()
}

fn numbers(seed: &Seed, stream: u8) -> Deterministic {
    let block = |n: u64| {
        Sha256::new()
            .chain_update(seed)
            .chain_update([stream])
            .chain_update(n.to_le_bytes())
            .finalize()
    };
    Deterministic::new((0..RANDOM_PERIOD / 32).flat_map(block).collect())
}

struct FixedClock(Duration);

impl HostWallClock for FixedClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

/// Advances by a microsecond per call, so that a guest that polls the clock until some time has
/// passed does not loop forever.
struct CountingClock(AtomicU64);

impl HostMonotonicClock for CountingClock {
    fn resolution(&self) -> u64 {
        1000
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(1000, Ordering::Relaxed)
    }
}
