//! File descriptors: as many as the system gives, and no more connections than they suffice for.

use rustix::process::{Resource, getrlimit, setrlimit};

use super::registry::RESERVED_CONNECTIONS;

/// Kept for the database, the log, the listener, ranges that are read.
const KEPT_DESCRIPTORS: u64 = 256;
/// A connection's socket, and the file that its request reads or writes.
const PER_CONNECTION: u64 = 2;

/// Operators are warned of a lower limit. From here on, the limit suffices for 1,888 connections, and is only noted.
const LOW_LIMIT: u64 = 4096;

/// Raises the limit of open files to what the system allows, and returns how many connections to
/// serve of those that are `wanted`.
pub(super) fn affordable_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let mut raised = limit;
    raised.current = limit.maximum;
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(e) => {
            tracing::warn!(error = %e, "failed to raise the limit of open files (RLIMIT_NOFILE)");
            limit.current
        }
    };
    let Some(current) = current else {
        return wanted;
    };
    let affordable = connections_of(current);
    if affordable >= wanted {
        return wanted;
    }
    let message = format!(
        "http.max_connections is {wanted}, but the limit of open files is {current}: {affordable} connections are served at once; \
         raise the limit (LimitNOFILE= of systemd, --ulimit nofile= of Docker) to {}, or lower http.max_connections",
        needed_for(wanted)
    );
    if is_low(current) {
        tracing::warn!("{message}");
    } else {
        tracing::info!("{message}");
    }
    affordable
}

/// Whether a limit of open files is so low that a server with ordinary traffic may reach it.
fn is_low(limit: u64) -> bool {
    limit < LOW_LIMIT
}

fn connections_of(descriptors: u64) -> usize {
    let left = descriptors.saturating_sub(KEPT_DESCRIPTORS + RESERVED_CONNECTIONS as u64);
    usize::try_from(left / PER_CONNECTION)
        .unwrap_or(usize::MAX)
        .max(1)
}

fn needed_for(connections: usize) -> u64 {
    connections as u64 * PER_CONNECTION + KEPT_DESCRIPTORS + RESERVED_CONNECTIONS as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_follow_from_descriptors() {
        for (descriptors, connections) in [(1024, 352), (256, 1), (20_320, 10_000)] {
            assert_eq!(connections_of(descriptors), connections, "{descriptors}");
        }
        assert_eq!(connections_of(needed_for(10_000)), 10_000);
    }

    #[test]
    fn operators_are_warned_of_low_limits_only() {
        for (limit, expected) in [(256, true), (1024, true), (4095, true)] {
            assert_eq!(is_low(limit), expected, "{limit}");
        }
        for limit in [4096, 20_000, 1 << 20] {
            assert!(!is_low(limit), "{limit}");
        }
        assert_eq!(connections_of(LOW_LIMIT), 1888);
    }

    #[test]
    fn the_limit_is_raised() {
        assert_eq!(affordable_connections(1), 1);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
