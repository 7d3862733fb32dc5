//! Resolves a reference expression to a commit.
//!
//! A name is, in this order: a full commit id, a branch, a tag, or the prefix of exactly one
//! commit's id. Tag names may contain modifier characters, so an expression that does not resolve
//! is looked up as a tag name.

use super::RefStore;
use super::parse::{MODIFIERS, Modifiers, Step, parse};
use super::walk::Walk;
use crate::error::counted_parents;
use crate::error::not_found;
use crate::ids::is_lower_hex;
use crate::{
    CommitId, Error, Kind, RefKind, ReferenceProblem, Repository, ResolvedRef, Result, TagId,
};

impl RefStore {
    /// Resolves an expression.
    ///
    /// # Errors
    /// [`Error::InvalidReference`] if it is malformed, has `@` or `$` after anything but a branch,
    /// or has `^n` for a commit without an `n`-th parent; [`Error::NotFound`] if nothing has the
    /// name or the history is shorter than `~n`.
    pub(crate) async fn resolve(&self, repository: &Repository, text: &str) -> Result<ResolvedRef> {
        let resolved = self.resolve_expression(repository, text).await;
        let Err(Error::NotFound { .. } | Error::InvalidReference { .. }) = resolved else {
            return resolved;
        };
        if !text.contains(MODIFIERS) || TagId::parse(text).is_err() {
            return resolved;
        }
        let (_, tag) = self.branch_or_tag(repository, text).await?;
        tag.map_or(resolved, |tag| {
            Ok(ResolvedRef {
                kind: RefKind::Tag,
                branch: None,
                commit_id: tag.commit_id,
            })
        })
    }

    async fn resolve_expression(&self, repository: &Repository, text: &str) -> Result<ResolvedRef> {
        let expression = parse(text)?;
        let named = self.resolve_name(repository, expression.name).await?;
        let kind = match expression.modifiers {
            Modifiers::None => return Ok(named),
            Modifiers::Head => RefKind::BranchHead,
            Modifiers::Staging => RefKind::BranchStaging,
            Modifiers::Steps(steps) => {
                let commit_id = self.walk(repository, named.commit_id, &steps, text).await?;
                return Ok(ResolvedRef {
                    kind: RefKind::Commit,
                    branch: None,
                    commit_id,
                });
            }
        };
        if named.branch.is_none() {
            return Err(malformed(
                text,
                format!("{} is not a branch", expression.name),
            ));
        }
        Ok(ResolvedRef { kind, ..named })
    }

    /// Resolves an expression that must name a commit, not staged changes.
    ///
    /// # Errors
    /// As [`RefStore::resolve`], and [`Error::InvalidReference`] for `branch$`.
    pub(crate) async fn resolve_commit(
        &self,
        repository: &Repository,
        text: &str,
    ) -> Result<CommitId> {
        committed_side(&self.resolve(repository, text).await?, text)
    }

    async fn resolve_name(&self, repository: &Repository, name: &str) -> Result<ResolvedRef> {
        let commit = |commit_id| ResolvedRef {
            kind: RefKind::Commit,
            branch: None,
            commit_id,
        };
        if CommitId::is_full(name) {
            let id = CommitId::trusted(name);
            match self.commit(repository, &id).await {
                Ok(_) => return Ok(commit(id)),
                Err(Error::NotFound { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        let (branch, tag) = self.branch_or_tag(repository, name).await?;
        if let Some(branch) = branch {
            return Ok(ResolvedRef {
                kind: RefKind::Branch,
                commit_id: branch.record.commit_id.clone(),
                branch: Some(branch),
            });
        }
        if let Some(tag) = tag {
            return Ok(ResolvedRef {
                kind: RefKind::Tag,
                branch: None,
                commit_id: tag.commit_id,
            });
        }
        if name.len() < 64
            && is_lower_hex(name)
            && let Some(id) = self.commit_by_prefix(repository, name).await?
        {
            return Ok(commit(id));
        }
        Err(not_found(Kind::Reference, name))
    }

    async fn walk(
        &self,
        repository: &Repository,
        from: CommitId,
        steps: &[Step],
        text: &str,
    ) -> Result<CommitId> {
        let mut at = from;
        let mut walk = Walk::default();
        let mut commit_at = async |at: &CommitId| {
            let found = self.step(repository, std::slice::from_ref(at), &mut walk);
            Ok::<_, Error>(found.await?.pop().expect("as many commits as ids"))
        };
        for step in steps {
            match *step {
                Step::Ancestor(count) => {
                    for _ in 0..count {
                        let commit = commit_at(&at).await?;
                        let Some(parent) = commit.parents.first() else {
                            return Err(not_found(Kind::Reference, text));
                        };
                        at = parent.clone();
                    }
                }
                Step::Parent(0) => {}
                Step::Parent(number) => {
                    let commit = commit_at(&at).await?;
                    let Some(parent) = commit.parents.get(number as usize - 1) else {
                        let has = counted_parents(commit.parents.len());
                        return Err(malformed(text, format!("commit {at} has {has}")));
                    };
                    at = parent.clone();
                }
            }
        }
        Ok(at)
    }
}

/// The commit of a resolved reference. `text` names the reference in errors.
///
/// # Errors
/// [`Error::InvalidReference`] if it names staged changes.
pub(crate) fn committed_side(resolved: &ResolvedRef, text: &str) -> Result<CommitId> {
    if resolved.kind == RefKind::BranchStaging {
        return Err(Error::InvalidReference {
            reference: text.to_owned(),
            problem: ReferenceProblem::Staging,
        });
    }
    Ok(resolved.commit_id.clone())
}

fn malformed(text: &str, why: String) -> Error {
    Error::InvalidReference {
        reference: text.to_owned(),
        problem: ReferenceProblem::Malformed(why),
    }
}
