//! Hints that a refusal carries in addition to lakeFS's error text: the branch that holds the gate,
//! and how to get another version of the gate.
//!
//! A change is checked by the version of a gate on the change's own branch. If the gate was
//! fixed on the destination branch only, the old version keeps refusing until the destination is
//! merged back. This module reads trees only after a refusal.

use std::sync::Arc;

use graveler::{Event, EventKind};

use crate::action_file::{FOLDER, FileError};
use crate::load::{LoadError, LoadedFile, Loader, MatchedAction, Origin, Tree};

/// Maximum number of gates that one refusal explains.
const MAX_GATES: usize = 5;

/// Remedy for a gate that refuses every change (decision 0002).
const REMEDY_FOR_DEAD_GATE: &str = "let the gate pass (start its service if that is down), or let the operator set actions.gates_source: source until the gate is repaired";

/// Hint about one gate that refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advice {
    /// Example: `gate 'csv' of branch dev`.
    pub(crate) gate: String,
    /// Example: `merge main into dev to update it`. `None` if no other version of the gate
    /// is known.
    pub(crate) remedy: Option<String>,
}

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.remedy {
            Some(remedy) => write!(f, "{}; {remedy}", self.gate),
            None => f.write_str(&self.gate),
        }
    }
}

/// Returns one hint per gate that refused, in order and without duplicates.
pub(crate) async fn advise(
    loader: &Loader,
    event: &Event,
    refused: &[MatchedAction],
) -> Result<Vec<Advice>, LoadError> {
    let mut gates: Vec<&MatchedAction> = Vec::new();
    for matched in refused {
        // `refused` has one item per failed hook, and a gate may have many hooks.
        if gates.len() < MAX_GATES && !gates.iter().any(|gate| gate.is_same(matched)) {
            gates.push(matched);
        }
    }
    let mut hints = Vec::new();
    for matched in gates {
        let advice = match matched.origin {
            Origin::Change => advise_for_change(loader, event, matched).await?,
            Origin::Destination => advise_for_destination(loader, event, matched).await?,
        };
        if !hints.contains(&advice) {
            hints.push(advice);
        }
    }
    Ok(hints)
}

/// How another branch differs in a gate.
#[derive(Debug, Clone, Copy)]
enum Difference {
    OtherVersion,
    /// The gate was deleted there.
    Deleted,
}

/// Another branch that may hold a different version of the gate.
struct OtherBranch {
    branch: String,
    tree: Tree,
}

async fn advise_for_change(
    loader: &Loader,
    event: &Event,
    matched: &MatchedAction,
) -> Result<Advice, LoadError> {
    let name = &matched.action.name;
    let Some(source) = source_of_change(loader, event).await? else {
        let gate = format!("gate '{name}' of {}", event.source_ref());
        return Ok(Advice { gate, remedy: None });
    };
    let gate = format!("gate '{name}' of {source}");
    let Some(other) = other_branch(loader, event, &source).await? else {
        return Ok(Advice { gate, remedy: None });
    };
    let from = &other.branch;
    let (difference, aim) = match difference(loader, event, matched, &source, &other).await? {
        None => return Ok(Advice { gate, remedy: None }),
        Some(Difference::OtherVersion) => ("has another version", "update"),
        Some(Difference::Deleted) => ("no longer has it", "remove"),
    };
    let how = match source {
        Source::Branch(branch) => format!("merge {from} into {branch} to {aim} it"),
        Source::Reference(reference) => {
            format!("create a branch at {reference}, merge {from} into it, and merge that branch")
        }
    };
    Ok(Advice {
        gate,
        remedy: Some(format!("{from} {difference}: {how}")),
    })
}

async fn advise_for_destination(
    loader: &Loader,
    event: &Event,
    matched: &MatchedAction,
) -> Result<Advice, LoadError> {
    let name = &matched.action.name;
    let branch = event.branch().map_or("", |branch| branch.as_str());
    let mut of_gate = matched.action.components();
    of_gate.push(&matched.file.path);
    if !loader.changes_any(event, &of_gate).await? {
        // The source is older than the gate, and the result of the merge keeps it.
        return Ok(Advice {
            gate: format!("gate '{name}' of branch {branch}"),
            remedy: None,
        });
    }
    let remedy = if loader.changes_only(event, &of_gate).await? {
        // The change is only the edit of the gate, so it cannot be split further.
        REMEDY_FOR_DEAD_GATE.to_owned()
    } else {
        format!(
            "commit that edit to {branch} by itself first; if the gate refuses that too, {REMEDY_FOR_DEAD_GATE}"
        )
    };
    Ok(Advice {
        gate: format!("gate '{name}' of branch {branch} before this change"),
        remedy: Some(format!(
            "the change edits or removes {} or its component, so the previous version checks the change too: {remedy}",
            matched.file.path
        )),
    })
}

/// Hint for a change whose action files are invalid: says where to correct them.
pub(crate) async fn advise_on_invalid(
    loader: &Loader,
    event: &Event,
    errors: &[FileError],
) -> Result<Option<String>, LoadError> {
    let correct = match source_of_change(loader, event).await? {
        Some(source @ Source::Branch(_)) => {
            format!("correct the action files on {source}, or delete them there, and try again")
        }
        Some(Source::Reference(reference)) => format!(
            "create a branch at {reference}, correct or delete the action files there, and merge that branch"
        ),
        None => return Ok(None),
    };
    let elsewhere = if errors.iter().any(FileError::may_be_misplaced) {
        format!(
            "; every object directly below {FOLDER} is an action file, so keep other files elsewhere"
        )
    } else {
        String::new()
    };
    Ok(Some(format!(
        "{correct}{elsewhere}; no hook ran, so this run id has no record"
    )))
}

/// The source of the change's own gates.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Branch(String),
    /// The source of a merge that is not a branch: a tag, a commit or an expression.
    Reference(String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Branch(branch) => write!(f, "branch {branch}"),
            Self::Reference(reference) => f.write_str(reference),
        }
    }
}

async fn source_of_change(loader: &Loader, event: &Event) -> Result<Option<Source>, LoadError> {
    if event.kind() != EventKind::PreMerge {
        let branch = event.branch();
        return Ok(branch.map(|branch| Source::Branch(branch.to_string())));
    }
    let Some(name) = event.merge_source() else {
        return Ok(None);
    };
    let found = loader.reader().branch(&event.repository, name).await;
    Ok(Some(match found {
        Ok(_) => Source::Branch(name.to_owned()),
        Err(catalog::Error::NotFound { .. } | catalog::Error::InvalidName { .. }) => {
            Source::Reference(name.to_owned())
        }
        Err(e) => return Err(e.into()),
    }))
}

/// Returns the branch that may have another version of the gate: the destination of a merge, or the
/// default branch for other changes.
async fn other_branch(
    loader: &Loader,
    event: &Event,
    source: &Source,
) -> Result<Option<OtherBranch>, LoadError> {
    if let (EventKind::PreMerge, Some(destination), Some(base)) =
        (event.kind(), event.branch(), event.base())
    {
        return Ok(Some(OtherBranch {
            branch: destination.to_string(),
            tree: loader.tree(&event.repository, base),
        }));
    }
    let default = event.repository.default_branch.to_string();
    if matches!(source, Source::Branch(branch) if *branch == default) {
        return Ok(None);
    }
    let tree = loader.head(&event.repository, &default).await?;
    Ok(tree.map(|tree| OtherBranch {
        branch: default,
        tree,
    }))
}

/// Compares the gate with that of another branch.
async fn difference(
    loader: &Loader,
    event: &Event,
    matched: &MatchedAction,
    source: &Source,
    other: &OtherBranch,
) -> Result<Option<Difference>, LoadError> {
    let Some(file) = gate_in(loader, event, matched, &other.tree).await? else {
        // A gate that the other branch never had is new in the change.
        let is_deleted = had_gate(loader, event, matched, source, other).await?;
        return Ok(is_deleted.then_some(Difference::Deleted));
    };
    if !file.is_same(&matched.file) {
        return Ok(Some(Difference::OtherVersion));
    }
    for component in matched.action.components() {
        let (own, others) = (&matched.tree, &other.tree);
        if loader.differs(own, others, component).await? {
            return Ok(Some(Difference::OtherVersion));
        }
    }
    Ok(None)
}

/// Returns the file of a tree that has the path or the name of the gate.
async fn gate_in(
    loader: &Loader,
    event: &Event,
    matched: &MatchedAction,
    tree: &Tree,
) -> Result<Option<Arc<LoadedFile>>, LoadError> {
    let files = loader.files(event, tree).await?;
    let is_gate = |file: &&Arc<LoadedFile>| {
        file.path == matched.file.path || file.action.name == matched.action.name
    };
    Ok(files.files.iter().find(is_gate).cloned())
}

/// Reports whether the nearest common ancestor of the change's source and another branch has the gate.
async fn had_gate(
    loader: &Loader,
    event: &Event,
    matched: &MatchedAction,
    source: &Source,
    other: &OtherBranch,
) -> Result<bool, LoadError> {
    let (reader, repository) = (loader.reader(), &event.repository);
    let (Source::Branch(source) | Source::Reference(source)) = source;
    let found = reader.find_merge_base(repository, source, &other.branch);
    let Some(base) = found.await?.base else {
        return Ok(false);
    };
    let base = reader.commit(repository, base.as_str()).await?;
    let tree = loader.tree(repository, &base.meta_range_id);
    Ok(gate_in(loader, event, matched, &tree).await?.is_some())
}
