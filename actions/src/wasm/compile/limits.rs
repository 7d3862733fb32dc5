//! Resource limits of the compiler process.

use std::time::Duration;

use crate::wasm::limits::{COMPILE_MEMORY, COMPILE_MEMORY_PER_MIB, COMPILE_TIME_PER_MIB};

/// Resource limits for compiling one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// CPU time over all threads, rounded down to whole seconds, at least one second. A small
    /// component gets an eighth of it plus 5 s per MiB.
    pub cpu_time: Duration,
    /// Memory of the process. A small component gets a quarter of it plus 64 MiB per MiB, but at least
    /// 256 MiB unless this limit is lower.
    pub memory_bytes: u64,
}

impl CompileLimits {
    /// Returns the limits for a component of `bytes` bytes.
    pub(super) fn of(self, bytes: usize) -> Self {
        let mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
        let more = COMPILE_TIME_PER_MIB.saturating_mul(mib);
        let cpu_time = (self.cpu_time / 8).saturating_add(more);
        let memory = self.memory_bytes / 4 + COMPILE_MEMORY_PER_MIB * u64::from(mib);
        Self {
            cpu_time: cpu_time.min(self.cpu_time).max(Duration::from_secs(1)),
            memory_bytes: memory.max(COMPILE_MEMORY).min(self.memory_bytes),
        }
    }
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            cpu_time: Duration::from_secs(120),
            memory_bytes: 2 << 30,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_components_get_lower_limits() {
        let limits = |bytes| {
            let limits = CompileLimits::default().of(bytes);
            (limits.cpu_time.as_secs(), limits.memory_bytes >> 20)
        };
        assert_eq!(
            [30 << 10, 10 << 20, 64 << 20].map(limits),
            [(15, 512), (65, 1152), (120, 2048)]
        );
        let least = CompileLimits {
            cpu_time: Duration::from_secs(1),
            memory_bytes: 1 << 20,
        };
        assert_eq!(least.of(0), least);
    }
}
