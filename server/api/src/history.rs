//! Revert, cherry-pick, resets, and commits recorded without a branch.

use api_types as types;
use axum::Json;
use axum::extract::State;
use catalog::{CherryPickParams, Commit, CommitId, GateLog, MetaRangeId, ResetScope, RevertParams};
use http::{HeaderMap, StatusCode};

use crate::commits::{answer_commit, gate_headers};
use crate::error::{Context as _, During, Error, ErrorText, Result, parsed};
use crate::extract::{Body, Caller, Path};
use crate::query::{HardResetBranchQuery, Query};
use crate::{SharedState, convert};

pub(crate) async fn revert_branch(
    State(api): State<SharedState>,
    caller: Caller,
    Path((id, branch)): Path<(String, String)>,
    Body(body): Body<types::RevertCreation>,
) -> Result<(StatusCode, HeaderMap)> {
    let repository = api.reader().repository(&id).await?;
    let overrides = body.commit_overrides.unwrap_or_default();
    let request = RevertParams {
        committer: caller.0.committer,
        parent_number: parent_number(body.parent_number)?,
        message: overrides.message.unwrap_or_default(),
        metadata: overrides.metadata.unwrap_or_default(),
        allow_empty: body.allow_empty.unwrap_or(false),
        force: body.force.unwrap_or(false),
    };
    let gates = GateLog::default();
    api.catalog
        .with_gate_log(&gates)
        .revert(&repository, &branch, &body.r#ref, request)
        .await
        .during(During::Revert)?;
    Ok((StatusCode::NO_CONTENT, gate_headers(&gates.gates())))
}

pub(crate) async fn cherry_pick(
    State(api): State<SharedState>,
    caller: Caller,
    Path((id, branch)): Path<(String, String)>,
    Body(body): Body<types::CherryPickCreation>,
) -> Result<(StatusCode, HeaderMap, Json<types::Commit>)> {
    let repository = api.reader().repository(&id).await?;
    let overrides = body.commit_overrides.unwrap_or_default();
    let request = CherryPickParams {
        committer: caller.0.committer,
        parent_number: parent_number(body.parent_number.unwrap_or(0))?,
        message: overrides.message.filter(|message| !message.is_empty()),
        metadata: overrides.metadata,
        force: body.force.unwrap_or(false),
    };
    let gates = GateLog::default();
    let made = api
        .catalog
        .with_gate_log(&gates)
        .cherry_pick(&repository, &branch, &body.r#ref, request)
        .await
        .during(During::CherryPick)?;
    Ok(answer_commit(made, gates.gates()))
}

/// The 1-based parent number. 0 means that the commit has only one parent.
fn parent_number(given: i64) -> Result<usize> {
    usize::try_from(given).map_err(|_| {
        Error::Invalid(format!(
            "parent number {given} is invalid: use 1 for the first parent, or 0 if there is only one"
        ))
    })
}

pub(crate) async fn reset_branch(
    State(api): State<SharedState>,
    caller: Caller,
    Path((id, branch)): Path<(String, String)>,
    Body(body): Body<types::ResetCreation>,
) -> Result<StatusCode> {
    let repository = api.reader().repository(&id).await?;
    let (scope, force) = (reset_scope(body.r#type, body.path)?, body.force);
    let actor = &caller.0.committer;
    api.catalog
        .reset_branch(&repository, &branch, scope, force.unwrap_or(false), actor)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn reset_scope(kind: types::ResetCreationType, path: Option<String>) -> Result<ResetScope> {
    use types::ResetCreationType as Kind;
    let missing = || {
        Error::InvalidWith(ErrorText::message("path is required").hint(
            "give the `path` to reset, or \"reset\" as `type` to reset all uncommitted changes",
        ))
    };
    match kind {
        Kind::Reset => Ok(ResetScope::All),
        Kind::Object => path
            .filter(|path| !path.is_empty())
            .map(|path| ResetScope::Key(path.into_bytes()))
            .ok_or_else(missing),
        Kind::CommonPrefix => path
            .map(|path| ResetScope::Prefix(path.into_bytes()))
            .ok_or_else(missing),
    }
}

pub(crate) async fn hard_reset_branch(
    State(api): State<SharedState>,
    caller: Caller,
    Path((id, branch)): Path<(String, String)>,
    Query(query): Query<HardResetBranchQuery>,
) -> Result<StatusCode> {
    let repository = api.reader().repository(&id).await?;
    let (reference, force) = (&query.r#ref, query.force.unwrap_or(false));
    let actor = &caller.0.committer;
    api.catalog
        .hard_reset_branch(&repository, &branch, reference, force, actor)
        .await
        .during(During::HardReset { branch: &branch })?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn create_commit_record(
    State(api): State<SharedState>,
    Path(id): Path<String>,
    Body(body): Body<types::CommitRecordCreation>,
) -> Result<StatusCode> {
    let repository = api.reader().repository(&id).await?;
    let force = body.force.unwrap_or(false);
    api.catalog
        .create_commit_record(&repository, &commit_from_record(body)?, force)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn commit_from_record(body: types::CommitRecordCreation) -> Result<Commit> {
    let non_negative = |what: &str, number: i64| {
        i32::try_from(number)
            .ok()
            .filter(|number| *number >= 0)
            .ok_or_else(|| Error::Invalid(format!("{what} {number} is out of range")))
    };
    // The tree of the initial commit is empty and has no id.
    let meta_range_id = match body.metarange_id.as_str() {
        "" => MetaRangeId::trusted(""),
        id => parsed(MetaRangeId::parse(id))?,
    };
    if let Some(bad) = body.parents.iter().find(|id| !CommitId::is_full(id)) {
        return Err(Error::Invalid(format!(
            "parent {bad:?} is not a commit id: 64 lower-case hex digits"
        )));
    }
    Ok(Commit {
        id: CommitId::trusted(body.commit_id),
        committer: body.committer,
        message: body.message,
        creation_date: convert::instant(body.creation_date)?,
        meta_range_id,
        metadata: body.metadata.unwrap_or_default(),
        parents: body.parents.into_iter().map(CommitId::trusted).collect(),
        version: non_negative("version", body.version)?,
        generation: non_negative("generation", body.generation)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{parent_number, reset_scope};
    use api_types::ResetCreationType as Kind;
    use catalog::ResetScope;

    #[test]
    fn reset_requires_a_path_except_for_everything() {
        let path = |text: &str| Some(text.to_owned());
        for (kind, path, scope) in [
            (Kind::Reset, None, Some(ResetScope::All)),
            (Kind::Reset, path("ignored"), Some(ResetScope::All)),
            (
                Kind::Object,
                path("a"),
                Some(ResetScope::Key(b"a".to_vec())),
            ),
            (Kind::Object, path(""), None),
            (Kind::Object, None, None),
            (
                Kind::CommonPrefix,
                path(""),
                Some(ResetScope::Prefix(Vec::new())),
            ),
            (Kind::CommonPrefix, None, None),
        ] {
            assert_eq!(reset_scope(kind, path).ok(), scope, "{kind:?}");
        }
    }

    #[test]
    fn parent_numbers_start_at_one_and_zero_means_the_only_one() {
        assert_eq!(parent_number(0).ok(), Some(0));
        assert_eq!(parent_number(2).ok(), Some(2));
        assert!(parent_number(-1).is_err());
    }
}
