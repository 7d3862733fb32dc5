//! Every bound of the host by name, and the limiter of guest memory.
//!
//! What an action file may set is in [`super::Limits`]; these bound the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::ResourceLimiter;

/// A component may be this large.
pub(super) const COMPONENT_BYTES: usize = 64 << 20;
/// Compiled components kept in memory.
pub(super) const COMPILED_BYTES: u64 = 512 << 20;
/// Compiled components kept on disk; what was not used for longest goes first.
pub(super) const CACHE_BYTES: u64 = 2 << 30;
/// Processes that compile at once, unless configured otherwise. All are of low priority.
pub(super) const COMPILES: usize = 4;
/// Of these, for one repository.
pub(super) const COMPILES_EACH: usize = 1;
/// Components that are compiled or wait for it are held in memory: all of them, and those of one repository.
pub(super) const COMPILE_HELD_MIB: u32 = 1024;
pub(super) const COMPILE_HELD_EACH_MIB: u32 = 128;
/// Time on a processor for compiling one MiB of a component; ordinary ones take half of it.
pub(super) const COMPILE_TIME_PER_MIB: Duration = Duration::from_secs(5);
/// Memory for the same, and what every compiler may have.
pub(super) const COMPILE_MEMORY_PER_MIB: u64 = 64 << 20;
pub(super) const COMPILE_MEMORY: u64 = 256 << 20;
/// A compilation may take at least this long, waits for a processor included.
pub(super) const COMPILE_TIME: Duration = Duration::from_secs(120);
/// Compiled code that a compiler may hand over, and what is kept of its words when it fails.
pub(super) const CODE_BYTES: u64 = 512 << 20;
pub(super) const COMPILER_WORDS: u64 = 16 << 10;
/// How much lower than the server's the priority of a compiler is.
pub(super) const COMPILE_NICE: i32 = 10;
/// The lowest priority that there is.
pub(super) const LOWEST_PRIORITY: i32 = 19;
/// Components of which is known that they can't be used, and for how long: a cause may have been the machine's.
pub(super) const BROKEN: u64 = 1024;
pub(super) const BROKEN_AGE: Duration = Duration::from_secs(600);
/// A request waits this long for its component. Compilation goes on behind it.
pub(super) const COMPILE_WAIT: Duration = Duration::from_secs(120);

/// Instances alive at once, over all hooks: the size of the pool, each with a thread of its own.
pub(super) const INSTANCES: u32 = 64;
/// Threads for what the host computes from a guest's or a user's input: globs, digests, reports.
pub(super) const COMPUTATIONS: usize = 16;
/// How much lower the priority of a guest's thread is than that of the threads that serve.
pub(super) const GUEST_NICE: i32 = 10;
/// Globs of this length together are compiled at once, without a thread for it.
pub(super) const FEW_GLOBS_BYTES: usize = 256;
/// A thread without a guest ends after this.
pub(super) const GUEST_IDLE: Duration = Duration::from_secs(60);
/// Calls to storage under way for all guests: the threads that serve run them.
pub(super) const STORAGE_CALLS: usize = 16;
/// After its deadline a guest may take so much longer to say what it used, and then is not waited for.
pub(super) const GRACE_PARTS: u32 = 20;
pub(super) const GRACE: Duration = Duration::from_millis(100);
/// Guest memory that may be in use at once, by the limits of running instances.
pub(super) const MEMORY_MIB: u32 = 4096;
/// An instance waits this long for room.
pub(super) const ADMISSION_WAIT: Duration = Duration::from_secs(120);
/// Core instances, tables and memories of one component.
pub(super) const CORE_INSTANCES_EACH: u32 = 64;
pub(super) const TABLES_EACH: u32 = 64;
pub(super) const MEMORIES_EACH: u32 = 4;
pub(super) const TABLE_ELEMENTS: usize = 40_000;
/// Memory that stays with a slot of the pool, cleared instead of unmapped.
pub(super) const KEEP_RESIDENT: usize = 1 << 20;

/// A hook's time is looked at no more often than this while it waits for room.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// Objects of one hook judged at once, whatever its action says.
pub(super) const PARALLELISM: usize = 64;
/// Units of work between two looks at the clock: about a millisecond.
pub(super) const YIELD_FUEL: u64 = 10_000_000;
/// Host calls between two turns for others: a call costs no fuel, however long it takes.
pub(super) const CALLS_PER_TURN: u32 = 16;
/// One host call may take this long.
pub(super) const HOST_CALL: Duration = Duration::from_secs(60);
/// What a guest may hand over in one call.
pub(super) const HOSTCALL_BYTES: usize = 8 << 20;
/// What a guest may ask for in one call.
pub(super) const READ_BYTES: u32 = 8 << 20;
/// Spans in one `read-many`.
pub(super) const SPANS: usize = 4096;
/// Spans nearer than this are fetched as one.
pub(super) const SPAN_GAP: u64 = 64 << 10;
/// Fetches of one `read-many` under way at once.
pub(super) const FETCHES: usize = 4;
/// Scans that an instance has under way; each may hold a connection.
pub(super) const SCANS: usize = 16;
/// What `chunks.next` waits for, if the guest asks for as much.
pub(super) const CHUNK_BYTES: usize = 256 << 10;
/// Rows of one page of a listing or a diff.
pub(super) const PAGE: usize = 1000;
/// Objects, listings, findings and streams that an instance holds at once.
pub(super) const HANDLES: usize = 1024;

/// The prefix and the start of a listing or diff: no path is longer.
pub(super) const PATH_BYTES: usize = 4096;
/// Of an instance's log, so much is kept whatever others of the hook wrote.
pub(super) const LOG_EACH: usize = 4096;
/// Texts of a finding, and how many properties it has.
pub(super) const TEXT_BYTES: usize = 4096;
pub(super) const NAME_BYTES: usize = 256;
pub(super) const PROPERTIES: usize = 32;
/// All properties of a finding together; what does not fit is left out.
pub(super) const PROPERTY_BYTES: usize = 8192;
/// All findings of one instance, and of one hook; more are only counted.
pub(super) const FINDINGS_BYTES: usize = 16 << 20;
pub(super) const METRICS: usize = 100;
pub(super) const SUMMARY_BYTES: usize = 64 << 10;

/// `describe`.
pub(super) const DESCRIBE_MEMORY: u64 = 64 << 20;
pub(super) const DESCRIBE_TIME: Duration = Duration::from_secs(1);
pub(super) const DESCRIBE_BYTES: usize = 256 << 10;

/// Counts the memory of an instance and refuses to let it grow beyond its limit.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: u64,
    used: u64,
    /// The most that was used, told to those who answer.
    peak: Arc<AtomicU64>,
    refused: bool,
}

impl Limiter {
    pub(super) fn new(limit: u64, peak: Arc<AtomicU64>) -> Self {
        Self {
            limit,
            used: 0,
            peak,
            refused: false,
        }
    }

    /// Whether the guest was refused memory. If it trapped after that, this is why.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    fn grow(&mut self, more: u64) -> bool {
        let wanted = self.used.saturating_add(more);
        if wanted > self.limit {
            self.refused = true;
            return false;
        }
        self.used = wanted;
        self.peak.fetch_max(wanted, Ordering::Relaxed);
        true
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current) as u64))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = desired.saturating_sub(current);
        if desired > TABLE_ELEMENTS {
            self.refused = true;
            return Ok(false);
        }
        Ok(self.grow((elements * size_of::<usize>()) as u64))
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_EACH as usize
    }

    fn tables(&self) -> usize {
        TABLES_EACH as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_EACH as usize
    }
}

/// A size as action files write it: `64MiB`.
pub(super) fn size(bytes: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >= 1 << shift && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

/// At most `limit` bytes of a text, cut between characters, with a mark.
pub(super) fn cut(text: &str, limit: usize) -> String {
    const MARK: &str = " …";
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_over_all_memories() {
        let peak = Arc::default();
        let mut l = Limiter::new(100, Arc::clone(&peak));
        assert!(l.memory_growing(0, 60, None).expect("never fails"));
        assert!(!l.memory_growing(0, 60, None).expect("never fails") && l.refused());
        assert!(l.memory_growing(60, 100, None).expect("never fails"));
        assert_eq!(peak.load(Ordering::Relaxed), 100);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("éééééé", 8), "éé …");
        assert_eq!(cut("abc", 0), " …");
    }

    #[test]
    fn sizes_read_like_action_files() {
        assert_eq!(
            [
                size(64 << 20),
                size(1 << 30),
                size(1536),
                size(1000),
                size(0)
            ],
            ["64MiB", "1GiB", "1536B", "1000B", "0B"]
        );
    }
}
