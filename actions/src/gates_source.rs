//! The setting that selects the trees whose action files check a change.

/// Selects the action files that check a commit or merge before it lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GatesSource {
    /// Only the action files of the change itself, as in lakeFS. A change can edit or delete its
    /// own gate.
    Source,
    /// The action files of the change, plus the destination's version of each file that the change
    /// edits, moves or deletes, or whose component it edits or deletes. The destination's actions
    /// load their components from the destination tree and are recorded under their own names.
    /// Action files of the destination that do not parse are ignored, so that a change can repair
    /// them.
    #[default]
    Both,
}
