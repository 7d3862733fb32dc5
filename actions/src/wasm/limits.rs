//! All fixed limits of the host, and the limiter of guest memory.
//!
//! [`super::Limits`] holds the limits that action files can set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Maximum size of a component.
pub(super) const COMPONENT_BYTES: usize = 64 << 20;
/// Capacity of the in-memory cache of compiled components.
pub(super) const COMPILED_BYTES: u64 = 512 << 20;
/// Capacity of the disk cache of compiled components. Least recently used files are evicted first.
pub(super) const CACHE_BYTES: u64 = 2 << 30;
/// Default for the number of concurrent compilers. All run at low priority.
pub(super) const COMPILES: usize = 4;
/// Maximum number of concurrent compilers per repository.
pub(super) const COMPILES_EACH: usize = 1;
/// Maximum memory for components that are being compiled or are waiting, in total and per
/// repository.
pub(super) const COMPILE_HELD_MIB: u32 = 1024;
pub(super) const COMPILE_HELD_EACH_MIB: u32 = 128;
/// CPU time for compiling one MiB of a component. Ordinary components take half of it.
pub(super) const COMPILE_TIME_PER_MIB: Duration = Duration::from_secs(5);
/// Memory for compiling one MiB of a component, and the minimum for every compiler.
pub(super) const COMPILE_MEMORY_PER_MIB: u64 = 64 << 20;
pub(super) const COMPILE_MEMORY: u64 = 256 << 20;
/// Minimum wall-clock limit of a compilation, including waiting for a CPU.
pub(super) const COMPILE_TIME: Duration = Duration::from_secs(120);
/// Maximum size of compiled code, and of the part of a compiler's error output that is kept.
pub(super) const CODE_BYTES: u64 = 512 << 20;
pub(super) const COMPILER_WORDS: u64 = 16 << 10;
/// Difference in nice value between a compiler and the server.
pub(super) const COMPILE_NICE: i32 = 10;
/// Capacity and time to live of the cache of unusable components. Entries expire because the cause
/// may have been the machine and not the component.
pub(super) const BROKEN: u64 = 1024;
pub(super) const BROKEN_AGE: Duration = Duration::from_secs(600);
/// How long the checks and hooks of one event wait for compilations in total. Compilations continue
/// in the background afterwards.
pub(crate) const COMPILE_WAIT: Duration = Duration::from_secs(120);

/// Maximum number of live instances over all hooks. It is the size of the pool; each instance has
/// its own thread.
pub(super) const INSTANCES: u32 = 64;
/// Globs with a total length of up to this many bytes are compiled on the calling thread.
pub(super) const FEW_GLOBS_BYTES: usize = 256;
/// Maximum number of concurrent storage calls for all guests, of which a repository makes at most half.
/// They run on the serving threads.
pub(super) const STORAGE_CALLS: u32 = 16;
/// Grace period after a guest's deadline: the hook's time divided by `GRACE_PARTS`, at most
/// `GRACE`. Then the caller stops waiting.
pub(super) const GRACE_PARTS: u32 = 20;
pub(super) const GRACE: Duration = Duration::from_millis(100);
/// Maximum guest memory in use, counted by the limits of running instances.
pub(super) const MEMORY_MIB: u32 = 4096;
/// How long an instance waits for admission.
pub(super) const ADMISSION_WAIT: Duration = Duration::from_secs(120);
/// Maximum numbers of core instances, tables and memories per component.
pub(super) const CORE_INSTANCES_EACH: u32 = 64;
pub(super) const TABLES_EACH: u32 = 64;
pub(super) const MEMORIES_EACH: u32 = 4;
pub(super) const TABLE_ELEMENTS: usize = 40_000;
/// Memory that a pool slot keeps mapped; it is cleared instead of unmapped.
pub(super) const KEEP_RESIDENT: usize = 1 << 20;

/// Interval at which a hook's time is checked while its instances wait for admission.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// Maximum number of objects that one hook checks concurrently.
pub(super) const PARALLELISM: usize = 64;
/// Units of fuel between two yields: about a millisecond.
pub(super) const YIELD_FUEL: u64 = 10_000_000;
/// Host calls between two yields. A host call costs no fuel, however long it takes.
pub(super) const CALLS_PER_YIELD: u32 = 16;
/// Maximum duration of one storage call, including the wait for its turn. A host call may need
/// several; its instance's deadline limits it.
pub(super) const HOST_CALL: Duration = Duration::from_secs(60);
/// Maximum number of bytes that a guest can pass in one call.
pub(super) const HOSTCALL_BYTES: usize = 8 << 20;
/// Maximum number of bytes that a guest can read in one call.
pub(super) const READ_BYTES: u32 = 8 << 20;
/// Maximum number of spans in one `read-many`.
pub(super) const SPANS: usize = 4096;
/// Spans with smaller gaps are fetched together.
pub(super) const SPAN_GAP: u64 = 64 << 10;
/// Maximum number of concurrent fetches per `read-many`.
pub(super) const FETCHES: usize = 4;
/// Maximum number of open scans per instance. Each may hold a connection.
pub(super) const SCANS: usize = 16;
/// Maximum number of bytes that `chunks.next` waits for, even if the guest asks for more.
pub(super) const CHUNK_BYTES: usize = 256 << 10;
/// Page size of listings and diffs.
pub(super) const PAGE: usize = 1000;
/// Rows of a page whose paths are matched between two yields.
pub(super) const ROWS_PER_YIELD: usize = 16;
/// Maximum number of open handles per instance: objects, listings, findings and streams.
pub(super) const HANDLES: usize = 1024;

/// Maximum length of the prefix and the start of a listing or diff. No path is longer.
pub(super) const PATH_BYTES: usize = 4096;
/// Log bytes that are kept per instance regardless of the logs of other instances.
pub(super) const LOG_EACH: usize = 4096;
/// Maximum length of a finding's texts and names, and maximum number of its properties.
pub(super) const TEXT_BYTES: usize = 4096;
pub(super) const NAME_BYTES: usize = 256;
pub(super) const PROPERTIES: usize = 32;
/// Maximum total size of a finding's properties. Further properties are dropped.
pub(super) const PROPERTY_BYTES: usize = 8192;
/// Maximum total size of the findings of an instance, of a hook's report, and of a hook's instances
/// that are not collected yet. Further findings are only counted.
pub(super) const FINDINGS_BYTES: usize = 16 << 20;
/// Bytes of findings that are kept per instance regardless of the findings of other instances.
pub(super) const FINDINGS_EACH: usize = 64 << 10;
pub(super) const METRICS: usize = 100;
pub(super) const SUMMARY_BYTES: usize = 64 << 10;

/// Limits for calling `describe`.
pub(super) const DESCRIBE_MEMORY: u64 = 64 << 20;
pub(super) const DESCRIBE_TIME: Duration = Duration::from_secs(1);
pub(super) const DESCRIBE_BYTES: usize = 256 << 10;

/// Counts the memory of an instance and rejects growth beyond the limit.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: u64,
    used: u64,
    /// Peak memory, shared with the caller that waits for the instance.
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

    /// Reports whether the guest was refused memory, which explains a later trap.
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

/// Formats a size the way action files write it: `64MiB`.
pub(super) fn size(bytes: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >= 1 << shift && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

/// Truncates text to at most `limit` bytes at a character boundary and appends a mark.
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
    fn limit_applies_to_all_memories_together() {
        let peak = Arc::default();
        let mut l = Limiter::new(100, Arc::clone(&peak));
        assert!(l.memory_growing(0, 60, None).expect("never fails"));
        assert!(!l.memory_growing(0, 60, None).expect("never fails") && l.refused());
        assert!(l.memory_growing(60, 100, None).expect("never fails"));
        assert_eq!(peak.load(Ordering::Relaxed), 100);
    }

    #[test]
    fn text_is_truncated_at_character_boundaries() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("éééééé", 8), "éé …");
        assert_eq!(cut("abc", 0), " …");
    }

    #[test]
    fn sizes_use_action_file_format() {
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
