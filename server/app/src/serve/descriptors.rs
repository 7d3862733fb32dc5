//! Raises the limit of file descriptors, and limits connections accordingly.

use rustix::process::{Resource, getrlimit, setrlimit};

use super::registry::RESERVED_CONNECTIONS;

/// Number of descriptors kept for the database, the log, the listener, and open range files.
const KEPT_DESCRIPTORS: u64 = 256;
/// Number of descriptors per connection: its socket, and a file that its request reads or writes.
const PER_CONNECTION: u64 = 2;

/// Lower limits of open files cause a warning. This limit is enough for 1,888 connections.
const LOW_LIMIT: u64 = 4096;

/// Raises the soft limit of open files to the hard limit. Returns how many of the `wanted`
/// connections the limit allows.
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
        "http.max_connections is {wanted}, but the limit of open files is {current}: at most {affordable} connections are served; \
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

/// Reports whether ordinary traffic may reach the limit of open files.
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
    fn connection_limit_follows_from_descriptors() {
        for (descriptors, connections) in [(1024, 352), (256, 1), (20_320, 10_000)] {
            assert_eq!(connections_of(descriptors), connections, "{descriptors}");
        }
        assert_eq!(connections_of(needed_for(10_000)), 10_000);
    }

    #[test]
    fn only_low_limits_cause_a_warning() {
        for (limit, expected) in [(256, true), (1024, true), (4095, true)] {
            assert_eq!(is_low(limit), expected, "{limit}");
        }
        for limit in [4096, 20_000, 1 << 20] {
            assert!(!is_low(limit), "{limit}");
        }
        assert_eq!(connections_of(LOW_LIMIT), 1888);
    }

    #[test]
    fn limit_is_raised() {
        let wanted = 1 << 40;
        let affordable = affordable_connections(wanted);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        let expected = limit.maximum.map_or(wanted, connections_of);
        assert_eq!(affordable, expected.min(wanted));
        assert_eq!(affordable_connections(1), 1, "not more than wanted");
    }
}
