//! The kinds of tasks, and the form of their ids.

/// The length of the random part of a task id.
pub(super) const NANOID_LENGTH: usize = 20;

/// The kind of work that a task performs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskKind {
    /// The prefix of its task ids.
    pub prefix: &'static str,
    /// Its name in the task's record.
    pub operation: &'static str,
}

impl TaskKind {
    /// Preparing the list of commits that garbage collection keeps.
    pub const PREPARE_GC_COMMITS: Self = Self {
        prefix: "GCPC",
        operation: "gc_prepare_commits",
    };
}

/// Whether this is a well-formed id for a task of this kind. Checked because the id becomes part of a key.
pub(super) fn is_valid_id(kind: TaskKind, id: &str) -> bool {
    id.strip_prefix(kind.prefix).is_some_and(|rest| {
        rest.len() == NANOID_LENGTH
            && rest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    })
}
