//! One repository, accessed through the typed client, with short methods: put, commit, merge, list.
//!
//! Methods that must succeed panic with the server's error. Methods that the server may refuse
//! return the client's result.

use client::types::{
    ActionRun, BranchCreation, CherryPickCreation, Commit, CommitCreation, Diff, HookRun,
    MergeResult, RepositoryCreation, ResetCreation, ResetCreationType, RevertCreation,
    UndoCreation, UndoResult,
};
use client::{
    ByteStream, Client, CommitOptions, CreateRepositoryOptions, DeleteBranchOptions,
    DeleteObjectOptions, DiffBranchOptions, Error, GetObjectOptions, HardResetBranchOptions,
    ListObjectsOptions, ListRepositoryRunsOptions, ListRunHooksOptions, LogCommitsOptions,
    PutObject, Result,
};
use futures::TryStreamExt as _;

/// The default branch of every test repository.
pub const MAIN: &str = "main";
/// Number of results that each request for a page asks for.
const PAGE: i64 = 1000;

/// A repository. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repo {
    pub client: Client,
    pub name: String,
}

impl Repo {
    /// Creates a repository.
    ///
    /// # Panics
    /// If it cannot be created.
    pub async fn create(client: Client, name: &str) -> Self {
        let made = Self::try_create(client, name).await;
        made.unwrap_or_else(|e| panic!("failed to create repository {name}: {e}"))
    }

    /// Creates a repository whose storage namespace has the repository's name.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn try_create(client: Client, name: &str) -> Result<Self> {
        Self::try_create_in(client, name, name).await
    }

    /// Creates a repository whose storage namespace is `folder`, below the tests' namespace.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn try_create_in(client: Client, name: &str, folder: &str) -> Result<Self> {
        let creation = RepositoryCreation {
            name: name.to_owned(),
            storage_namespace: format!("local://tests/{folder}"),
            default_branch: Some(MAIN.to_owned()),
            ..RepositoryCreation::default()
        };
        let options = CreateRepositoryOptions::default();
        client.create_repository(&options, &creation).await?;
        Ok(Self {
            client,
            name: name.to_owned(),
        })
    }

    /// Writes an object.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn put(&self, branch: &str, path: &str, content: impl Into<Vec<u8>>) -> Result<()> {
        let body = reqwest::Body::from(content.into());
        self.client
            .put_object(&self.name, branch, path, body, &PutObject::default())
            .await
            .map(|_| ())
    }

    /// Reads an object. Returns `None` if it does not exist.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn get(&self, reference: &str, path: &str) -> Result<Option<Vec<u8>>> {
        match self
            .client
            .get_object(&self.name, reference, path, &GetObjectOptions::default())
            .await
        {
            Ok(body) => read_all(body).await.map(Some),
            Err(e) if e.status() == Some(404) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Commits staged changes.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn commit(&self, branch: &str, message: &str) -> Result<Commit> {
        let creation = CommitCreation {
            message: message.to_owned(),
            ..CommitCreation::default()
        };
        self.client
            .commit(&self.name, branch, &CommitOptions::default(), &creation)
            .await
    }

    /// Merges a reference into a branch.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn merge(&self, source: &str, destination: &str) -> Result<MergeResult> {
        self.client
            .merge_into_branch(&self.name, source, destination, None)
            .await
    }

    /// Creates a branch.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn branch(&self, name: &str, source: &str) -> Result<()> {
        let creation = BranchCreation {
            name: name.to_owned(),
            source: source.to_owned(),
            ..BranchCreation::default()
        };
        self.client
            .create_branch(&self.name, &creation)
            .await
            .map(|_| ())
    }

    /// Returns the head commit of a branch.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn head(&self, branch: &str) -> Result<String> {
        self.client
            .get_branch(&self.name, branch)
            .await
            .map(|b| b.commit_id)
    }

    /// Returns the paths of all objects under a prefix, in order.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn list(&self, reference: &str, prefix: &str) -> Result<Vec<String>> {
        let mut options = ListObjectsOptions {
            amount: Some(PAGE),
            prefix: Some(prefix.to_owned()),
            ..ListObjectsOptions::default()
        };
        let mut paths = Vec::new();
        loop {
            let page = self
                .client
                .list_objects(&self.name, reference, &options)
                .await?;
            paths.extend(page.results.into_iter().map(|o| o.path));
            if !page.pagination.has_more {
                return Ok(paths);
            }
            options.after = Some(page.pagination.next_offset);
        }
    }

    /// Returns the staged changes of a branch.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn uncommitted(&self, branch: &str) -> Result<Vec<Diff>> {
        let mut options = DiffBranchOptions {
            amount: Some(PAGE),
            ..DiffBranchOptions::default()
        };
        let mut changes = Vec::new();
        loop {
            let page = self
                .client
                .diff_branch(&self.name, branch, &options)
                .await?;
            changes.extend(page.results);
            if !page.pagination.has_more {
                return Ok(changes);
            }
            options.after = Some(page.pagination.next_offset);
        }
    }

    /// Returns the commits along first parents, newest first, back to `stop_at` (included) or to
    /// the first commit.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn log(&self, reference: &str, stop_at: Option<&str>) -> Result<Vec<Commit>> {
        let mut options = LogCommitsOptions {
            amount: Some(PAGE),
            first_parent: Some(true),
            stop_at: stop_at.map(str::to_owned),
            ..LogCommitsOptions::default()
        };
        let mut commits = Vec::new();
        loop {
            let page = self
                .client
                .log_commits(&self.name, reference, &options)
                .await?;
            commits.extend(page.results);
            if !page.pagination.has_more {
                return Ok(commits);
            }
            options.after = Some(page.pagination.next_offset);
        }
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn delete(&self, branch: &str, path: &str) -> Result<()> {
        self.client
            .delete_object(&self.name, branch, path, &DeleteObjectOptions::default())
            .await
    }

    /// Deletes a branch.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn drop_branch(&self, branch: &str) -> Result<()> {
        self.client
            .delete_branch(&self.name, branch, &DeleteBranchOptions::default())
            .await
    }

    /// Reverts a commit. A merge is reverted relative to its first parent.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn revert(&self, branch: &str, commit: &str) -> Result<()> {
        let creation = RevertCreation {
            r#ref: commit.to_owned(),
            parent_number: 1,
            ..RevertCreation::default()
        };
        self.client
            .revert_branch(&self.name, branch, &creation)
            .await
    }

    /// Cherry-picks a commit onto a branch.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn cherry_pick(&self, branch: &str, commit: &str) -> Result<Commit> {
        let creation = CherryPickCreation {
            r#ref: commit.to_owned(),
            ..CherryPickCreation::default()
        };
        self.client.cherry_pick(&self.name, branch, &creation).await
    }

    /// Resets staged changes, either at a path or all of them.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn reset(&self, branch: &str, path: Option<&str>) -> Result<()> {
        let creation = ResetCreation {
            r#type: match path {
                Some(_) => ResetCreationType::Object,
                None => ResetCreationType::Reset,
            },
            path: path.map(str::to_owned),
            force: None,
        };
        self.client
            .reset_branch(&self.name, branch, &creation)
            .await
    }

    /// Moves a branch's head to a commit.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn hard_reset(&self, branch: &str, commit: &str) -> Result<()> {
        let options = HardResetBranchOptions::default();
        self.client
            .hard_reset_branch(&self.name, branch, commit, &options)
            .await
    }

    /// Undoes the change of a branch recorded in this reflog entry, or the latest change.
    ///
    /// # Errors
    /// Errors of the client.
    pub async fn undo(&self, branch: &str, entry: Option<&str>) -> Result<UndoResult> {
        let creation = entry.map(|entry| UndoCreation {
            entry: Some(entry.to_owned()),
            force: None,
        });
        self.client
            .undo_branch(&self.name, branch, creation.as_ref())
            .await
    }

    /// Returns the newest run of a branch, its hooks, and the log of each.
    ///
    /// # Panics
    /// If there is no run, or it cannot be read.
    pub async fn newest_run(&self, branch: &str) -> (ActionRun, Vec<(HookRun, String)>) {
        let options = ListRepositoryRunsOptions {
            branch: Some(branch.to_owned()),
            ..ListRepositoryRunsOptions::default()
        };
        let runs = self
            .client
            .list_repository_runs(&self.name, &options)
            .await
            .expect("failed to list runs");
        let run = runs
            .results
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("no run on {branch}"));
        let hooks = self
            .client
            .list_run_hooks(&self.name, &run.run_id, &ListRunHooksOptions::default())
            .await;
        let mut logs = Vec::new();
        for hook in hooks.expect("failed to list the hooks of a run").results {
            let body = self
                .client
                .get_run_hook_output(&self.name, &run.run_id, &hook.hook_run_id)
                .await;
            let log = read_all(body.expect("failed to read a hook's log"))
                .await
                .expect("failed to read a hook's log");
            logs.push((hook, String::from_utf8_lossy(&log).into_owned()));
        }
        (run, logs)
    }
}

/// Reads the whole response body.
///
/// # Errors
/// Errors of the client, for example if the body is incomplete.
pub async fn read_all(body: ByteStream) -> Result<Vec<u8>> {
    body.try_fold(Vec::new(), |mut all, piece| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    })
    .await
}

/// Returns the status and the error of a refused request.
///
/// # Panics
/// If the request was not refused.
pub fn refusal<T: std::fmt::Debug>(result: Result<T>) -> (u16, client::types::Error) {
    match result {
        Err(Error::Refused { status, error, .. }) => (status, *error),
        other => panic!("expected a refusal, got {other:?}"),
    }
}
