//! What a refusal adds to lakeFS's words: whose gate refused, and how to get a newer version of it.
//!
//! A gate that was corrected on the branch that a change goes to still judges as the change has it,
//! until that branch is merged back. Looks at trees only after a refusal.

use graveler::{Event, EventKind};

use crate::load::{Judge, LoadError, LoadedFile, Loader, Origin, Tree};

/// Gates that one refusal tells of.
const MAX_GATES: usize = 5;

/// What is to be said of one gate that refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advice {
    /// `gate 'csv' of branch dev`
    pub(crate) gate: String,
    /// `merge main into dev to update it`; none if there is no other version to get.
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

/// Tells of the gates that refused, in order, each once.
pub(crate) async fn advise(
    loader: &Loader,
    event: &Event,
    refused: &[Judge],
) -> Result<Vec<Advice>, LoadError> {
    let mut told = Vec::new();
    for judge in refused.iter().take(MAX_GATES) {
        let advice = match judge.origin {
            Origin::Change => of_change(loader, event, judge).await?,
            Origin::Destination => of_destination(event, judge),
        };
        if !told.contains(&advice) {
            told.push(advice);
        }
    }
    Ok(told)
}

/// A version of the gate on another branch.
struct Elsewhere {
    branch: String,
    tree: Tree,
}

async fn of_change(loader: &Loader, event: &Event, judge: &Judge) -> Result<Advice, LoadError> {
    let name = &judge.action.name;
    let Some(branch) = branch_of_change(event) else {
        let gate = format!("gate '{name}' of {}", event.source_ref);
        return Ok(Advice { gate, remedy: None });
    };
    let gate = format!("gate '{name}' of branch {branch}");
    let remedy = match elsewhere(loader, event, &branch).await? {
        Some(other) if is_other_version(loader, event, judge, &other.tree).await? => {
            let from = other.branch;
            Some(format!(
                "{from} has another version: merge {from} into {branch} to update it"
            ))
        }
        _ => None,
    };
    Ok(Advice { gate, remedy })
}

fn of_destination(event: &Event, judge: &Judge) -> Advice {
    let name = &judge.action.name;
    let branch = event.branch.as_ref().map_or("", |branch| branch.as_str());
    Advice {
        gate: format!("gate '{name}' of branch {branch} as it is before this change"),
        remedy: Some(format!(
            "the change edits or removes {} or its component, and is judged by both versions: commit that edit to {branch} by itself first",
            judge.file.path
        )),
    }
}

/// The branch that the change's own gates are read from.
pub(crate) fn branch_of_change(event: &Event) -> Option<String> {
    match event.kind {
        EventKind::PreMerge => event.merge_source.clone(),
        _ => event.branch.as_ref().map(ToString::to_string),
    }
}

/// Where a newer version may be: on the branch that a merge goes to; of other changes, on the default branch.
async fn elsewhere(
    loader: &Loader,
    event: &Event,
    branch: &str,
) -> Result<Option<Elsewhere>, LoadError> {
    if let (EventKind::PreMerge, Some(destination), Some(base)) =
        (event.kind, &event.branch, &event.base)
    {
        return Ok(Some(Elsewhere {
            branch: destination.to_string(),
            tree: loader.tree(&event.repository, base),
        }));
    }
    let default = event.repository.default_branch.to_string();
    if default == branch {
        return Ok(None);
    }
    let tree = loader.head(&event.repository, &default).await?;
    Ok(tree.map(|tree| Elsewhere {
        branch: default,
        tree,
    }))
}

/// Whether a tree has the gate, but another version of its file or of a component that it names.
async fn is_other_version(
    loader: &Loader,
    event: &Event,
    judge: &Judge,
    tree: &Tree,
) -> Result<bool, LoadError> {
    let files = match loader.files(event, tree).await {
        Err(LoadError::Invalid(_)) => return Ok(false),
        files => files?,
    };
    let is_of_gate =
        |file: &LoadedFile| file.path == judge.file.path || file.action.name == judge.action.name;
    let Some(file) = files.files.iter().find(|file| is_of_gate(file)) else {
        return Ok(false);
    };
    if !file.is_same(&judge.file) {
        return Ok(true);
    }
    for component in judge.action.components() {
        if loader.differs(&judge.tree, tree, component).await? {
            return Ok(true);
        }
    }
    Ok(false)
}
