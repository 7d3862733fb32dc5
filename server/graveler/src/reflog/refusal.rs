//! Error messages for changes that cannot be undone. Each says what to do instead.

use kv::first_entries;

use super::{Reflog, folder, kind_and_name, reflog_partition};
use crate::records::Stored as _;
use crate::{CommitId, Error, RefName, ReflogEntry, Repository, Result};

/// How many later changes a message names.
const MAX_NAMED: usize = 5;

impl Reflog {
    /// The error for an undo of a reference that changed since. It names the reference's current
    /// state, the later changes and a remedy.
    pub(crate) async fn explain_moved_reference(
        &self,
        repository: &Repository,
        entry: &ReflogEntry,
        now: Option<&CommitId>,
    ) -> Result<Error> {
        let later = self.later_changes(repository, entry).await?;
        let (kind, name) = kind_and_name(&entry.reference);
        let place = |at: Option<&CommitId>| match at {
            Some(id) => format!("commit {id}"),
            None => "nothing (deleted)".to_owned(),
        };
        let later = if later.is_empty() {
            "the reflog does not record what changed it since".to_owned()
        } else {
            format!("since then, newest first: {}", later.join(", "))
        };
        let remedy = match (now, &entry.to, &entry.reference) {
            (Some(_), None, _) => format!("delete the {kind} of that name first, or create a {kind} with another name at the commit"),
            (Some(_), Some(_), RefName::Branch(_)) => {
                "undo what came later first, or revert the unwanted commits, or reset the branch to a commit".to_owned()
            }
            _ => "undo what came later first".to_owned(),
        };
        Ok(Error::MovedOn {
            problem: format!(
                "cannot undo {} {} of {kind} {name}, which took it from {} to {}: now it is at {}; {later}",
                entry.operation.as_str(),
                entry.id,
                place(entry.from.as_ref()),
                place(entry.to.as_ref()),
                place(now),
            ),
            advice: remedy,
        })
    }

    /// Up to [`MAX_NAMED`] changes that came after the entry, newest first.
    async fn later_changes(
        &self,
        repository: &Repository,
        entry: &ReflogEntry,
    ) -> Result<Vec<String>> {
        let folder = folder(&entry.reference);
        let (partition, folder) = (reflog_partition(repository), folder.as_bytes());
        let newest = first_entries(self.kv.as_ref(), &partition, folder, MAX_NAMED).await?;
        let mut named = Vec::new();
        for row in newest {
            if &row.key[folder.len()..] >= entry.id.as_bytes() {
                break;
            }
            let later = ReflogEntry::decode(row.value)?;
            let operation = later.operation.as_str();
            named.push(match later.actor.as_str() {
                "" => format!("{operation} {}", later.id),
                actor => format!("{operation} {} by {actor}", later.id),
            });
        }
        Ok(named)
    }
}

/// The error for a redo of a reset whose tokens were merged with others or committed.
pub(crate) fn tokens_no_longer_staged(entry: &ReflogEntry) -> Error {
    let (kind, name) = kind_and_name(&entry.reference);
    Error::MovedOn {
        problem: format!(
            "the uncommitted changes that undo {} restored on {kind} {name} were merged with others or committed",
            entry.id
        ),
        advice: format!("reset the {kind} instead"),
    }
}

/// The error for an undo of a creation.
pub(crate) fn refused_creation(entry: &ReflogEntry) -> Error {
    let (kind, name) = kind_and_name(&entry.reference);
    Error::with_advice(
        format!(
            "{} {} created {kind} {name}, and undo deletes nothing",
            entry.operation.as_str(),
            entry.id
        ),
        format!("delete the {kind} instead; the deletion can be undone"),
    )
}

/// The error for an undo of a reset that kept no staged changes.
pub(crate) fn no_staged_changes_kept(entry: &ReflogEntry) -> Error {
    let (kind, name) = kind_and_name(&entry.reference);
    Error::InvalidValue(format!(
        "{} {} did not move the head of {kind} {name}, and no uncommitted changes that it discarded are kept: there is nothing to undo",
        entry.operation.as_str(),
        entry.id
    ))
}

/// The reason of an undo: the operation and reason of the undone entry.
pub(crate) fn undo_reason(entry: &ReflogEntry) -> String {
    match entry.reason.as_str() {
        "" => entry.operation.as_str().to_owned(),
        reason => format!("{}: {reason}", entry.operation.as_str()),
    }
}
