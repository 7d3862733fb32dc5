//! The reflog of branches and tags, and undo.

use api_types as types;
use auth::{Permission, arn};
use axum::Json;
use axum::extract::State;
use catalog::{RefName, UndoOutcome, UndoParams};

use crate::error::{Error, ErrorText, Result, parsed};
use crate::extract::{Caller, MaybeBody, Path};
use crate::query::{ListReflogQuery, Query};
use crate::{ApiState, SharedState, convert};

pub(crate) async fn list_reflog(
    State(api): State<SharedState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ListReflogQuery>,
) -> Result<Json<types::ReflogEntryList>> {
    let (branch, tag) = (&query.branch, &query.tag);
    let of = match (branch.as_str(), tag.as_str()) {
        ("", "") => {
            let actions = ["fs:ListBranches", "fs:ListTags"];
            let permissions = actions.map(|action| Permission::new(action, arn::repository(&id)));
            api.authorize(&caller, &permissions).await?;
            None
        }
        (branch, "") => {
            let permission = Permission::new("fs:ReadBranch", arn::branch(&id, branch));
            api.authorize(&caller, &[permission]).await?;
            Some(parsed(RefName::branch(branch))?)
        }
        ("", tag) => {
            let permission = Permission::new("fs:ReadTag", arn::tag(&id, tag));
            api.authorize(&caller, &[permission]).await?;
            Some(parsed(RefName::tag(tag))?)
        }
        _ => {
            return Err(Error::InvalidWith(
                ErrorText::message("both branch and tag are given")
                    .hint("send `branch` or `tag`, or neither to list all entries"),
            ));
        }
    };
    let repository = api.reader().repository(&id).await?;
    let (after, amount) = (&query.after, query.amount);
    let page = api
        .reader()
        .reflog(&repository, of.as_ref(), after, amount)
        .await?;
    let pagination = convert::pagination(&page);
    Ok(Json(types::ReflogEntryList {
        pagination,
        results: page.results.iter().map(convert::reflog_entry).collect(),
    }))
}

pub(crate) async fn undo_branch(
    State(api): State<SharedState>,
    caller: Caller,
    Path((id, branch)): Path<(String, String)>,
    MaybeBody(body): MaybeBody<types::UndoCreation>,
) -> Result<Json<types::UndoResult>> {
    let creation = Permission::new("fs:CreateBranch", arn::branch(&id, &branch));
    let undo = UndoRequest {
        of: parsed(RefName::branch(&branch))?,
        id,
        body,
        creation: Some(creation),
    };
    Ok(Json(undo_result(branch, &undo.run(&api, &caller).await?)))
}

pub(crate) async fn undo_tag(
    State(api): State<SharedState>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
    MaybeBody(body): MaybeBody<types::UndoCreation>,
) -> Result<Json<types::UndoResult>> {
    let undo = UndoRequest {
        of: parsed(RefName::tag(&tag))?,
        id,
        body,
        // Every undo of a tag needs the permission to create it.
        creation: None,
    };
    Ok(Json(undo_result(tag, &undo.run(&api, &caller).await?)))
}

/// A request to undo a change.
struct UndoRequest {
    /// The repository.
    id: String,
    of: RefName,
    body: Option<types::UndoCreation>,
    /// The additional permission for an undo that restores a deleted branch.
    creation: Option<Permission>,
}

impl UndoRequest {
    /// Finds the entry first and passes its id to the undo, so that the authorized change is the one undone.
    async fn run(self, api: &ApiState, caller: &Caller) -> Result<UndoOutcome> {
        let repository = api.reader().repository(&self.id).await?;
        let requested = self.body.as_ref().and_then(|body| body.entry.as_deref());
        let entry = api
            .reader()
            .entry_to_undo(&repository, &self.of, requested)
            .await?;
        if let Some(creation) = self.creation.filter(|_| entry.to.is_none()) {
            api.authorize(caller, &[creation]).await?;
        }
        let params = UndoParams {
            entry: Some(entry.id),
            force: self.body.and_then(|body| body.force).unwrap_or(false),
            actor: caller.0.committer.clone(),
        };
        Ok(api.catalog.undo(&repository, &self.of, params).await?)
    }
}

fn undo_result(id: String, undone: &UndoOutcome) -> types::UndoResult {
    types::UndoResult {
        id,
        commit_id: undone.commit_id.to_string(),
        uncommitted_restored: undone.restored_staged,
        undone: convert::reflog_entry(&undone.entry),
    }
}
