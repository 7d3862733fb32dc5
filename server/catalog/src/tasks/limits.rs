//! Limits of tasks.

use std::time::Duration;

/// How many tasks one server runs concurrently. Hooks may occupy each of them for an hour.
pub const MAX_RUNNING_TASKS: usize = 32;
/// How many tasks one server accepts, including those that wait to run. Further tasks are refused.
pub const MAX_OPEN_TASKS: usize = 1_000;
/// How long the status of a task is available after its end.
pub const TASK_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// The interval at which a server with tasks writes its heartbeat.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// A server whose last heartbeat is at least this old counts as dead.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of times that all servers together start a task before it is marked failed. The task itself may crash
/// the servers. Waiting in the queue is not an attempt, and an attempt that a shutdown interrupts does not count.
pub const MAX_ATTEMPTS: u32 = 3;
/// How many findings of hooks are stored with a rejected task.
pub const MAX_FINDINGS: usize = 1_000;
/// How many bytes of conflicting paths are stored with a failed task.
pub const MAX_CONFLICT_BYTES: usize = 256 << 10;
