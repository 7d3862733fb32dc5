//! Task operations of one client in sequence: a commit and a merge as tasks, the merge of a pull
//! request, and a restore of refs.
//!
//! Whenever the server dies: an acknowledged task finishes, and its work is done once, or not at
//! all with an error. A pull request is either open or merged, and merging it again repairs it. A
//! repeated restore completes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use client::types::{
    Commit, CommitCreation, GarbageCollectionRules, PullRequestCreation, PullRequestStatus,
    RefsDump, RefsRestore, RepositoryCreation, TagCreation,
};
use client::{CommitAsyncOptions, CreateRepositoryOptions, ListTagsOptions, Result};
use system_tests::{MAIN, Repo};

use super::{PATIENCE, Progress, is_gone};

/// Message of commits made by tasks.
const MESSAGE: &str = "as a task";
/// Suffixes of additional branches.
const TO_MERGE: &str = "merge";
const TO_PULL: &str = "pull";
/// Status of the only acceptable error of a task: three servers died while running it.
const DIED: Option<i64> = Some(503);
/// Polling interval for tasks.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// What all operations need: a commit to start from, and a repository with its dump.
#[derive(Debug)]
pub(super) struct Fixture {
    /// The first commit of the repository in which the operations run.
    pub(super) root: String,
    /// A repository that was dumped, and its dump.
    dumped: Repo,
    dump: RefsDump,
    /// The commits of the dumped repository's main branch, oldest first.
    pub(super) commits: Vec<Commit>,
}

impl Fixture {
    /// Creates and dumps a repository with commits, branches and tags.
    pub(super) async fn make(repo: &Repo, root: &str) -> Self {
        let dumped = Repo::create(repo.client.clone(), "dumped").await;
        for (path, branch) in [("a", "b-1"), ("b", "b-2")] {
            dumped.put(MAIN, path, path).await.unwrap();
            let id = dumped.commit(MAIN, path).await.unwrap().id;
            dumped.branch(branch, &id).await.unwrap();
            let tag = TagCreation {
                id: format!("of-{path}"),
                r#ref: id,
                force: None,
            };
            let made = dumped.client.create_tag(&dumped.name, &tag).await;
            made.unwrap();
        }
        // Garbage collection needs rules.
        let rules = GarbageCollectionRules {
            default_retention_days: 1,
            branches: Vec::new(),
        };
        let set = dumped.client.set_gc_rules(&dumped.name, &rules).await;
        set.unwrap();
        let mut commits = dumped.log(MAIN, None).await.unwrap();
        commits.reverse();
        Self {
            root: root.to_owned(),
            commits,
            dump: dumped.client.dump_refs(&dumped.name).await.unwrap(),
            dumped,
        }
    }

    /// Creates a bare repository for the restore.
    pub(super) async fn make_bare(&self, restored: &Repo) -> Result<()> {
        let creation = RepositoryCreation {
            name: restored.name.clone(),
            storage_namespace: format!("local://tests/{}", self.dumped.name),
            default_branch: Some(MAIN.to_owned()),
            ..RepositoryCreation::default()
        };
        let options = CreateRepositoryOptions { bare: Some(true) };
        let made = restored.client.create_repository(&options, &creation).await;
        made.map(|_| ())
    }

    async fn restore(&self, restored: &Repo) -> Result<()> {
        let restore = Self::restore_of(&self.dump);
        restored.client.restore_refs(&restored.name, &restore).await
    }

    /// Converts a dump to the body of a restore request.
    pub(super) fn restore_of(dump: &RefsDump) -> RefsRestore {
        RefsRestore {
            commits_meta_range_id: dump.commits_meta_range_id.clone(),
            tags_meta_range_id: dump.tags_meta_range_id.clone(),
            branches_meta_range_id: dump.branches_meta_range_id.clone(),
            force: None,
        }
    }

    /// Returns the dumped repository on the server of `repo`.
    pub(super) fn dumped(&self, repo: &Repo) -> Repo {
        Repo {
            client: repo.client.clone(),
            name: self.dumped.name.clone(),
        }
    }

    /// Checks that the restored repository equals the dumped one.
    pub(super) async fn check(&self, restored: &Repo) {
        let dumped = self.dumped(restored);
        for branch in [MAIN, "b-1", "b-2"] {
            let ids = [dumped.log(branch, None), restored.log(branch, None)];
            let [theirs, ours] = futures::future::join_all(ids).await.try_into().unwrap();
            assert_eq!(
                ours.unwrap(),
                theirs.unwrap(),
                "{branch} of {}",
                restored.name
            );
        }
        let tags = [&dumped, restored].map(|repo| async {
            let options = ListTagsOptions::default();
            let listed = repo.client.list_tags(&repo.name, &options).await;
            listed.unwrap().results
        });
        let [theirs, ours] = futures::future::join_all(tags).await.try_into().unwrap();
        assert_eq!(ours, theirs, "tags of {}", restored.name);
        assert_eq!(
            restored.get("of-b", "a").await.unwrap(),
            Some(b"a".to_vec())
        );
    }
}

/// An acknowledged task.
#[derive(Debug)]
struct Task {
    is_merge: bool,
    id: String,
    /// The commit made by the task, once known.
    made: Option<String>,
}

/// Status of a task.
#[derive(Debug, PartialEq)]
enum TaskState {
    Open,
    Made(String),
    Failed(Option<i64>),
}

/// Acknowledged progress.
#[derive(Debug, Default)]
pub(super) struct TaskOps {
    /// Name of the branch, and of the restored repository.
    name: String,
    tasks: Vec<Task>,
    pull: Option<String>,
    /// The commit that merged the pull request.
    pulled: Option<String>,
    is_restore_begun: bool,
    is_restored: bool,
}

/// Runs operations in sequence until the server is gone or the round ends.
pub(super) async fn run(
    repo: Repo,
    progress: Arc<Progress>,
    label: String,
    fixture: Arc<Fixture>,
) -> Vec<TaskOps> {
    let mut task_ops = Vec::new();
    while !progress.is_over() {
        let mut task_op = TaskOps {
            name: format!("task-{label}-{}", task_ops.len()),
            ..TaskOps::default()
        };
        let ran = task_op.run(&repo, &progress, &fixture).await;
        task_ops.push(task_op);
        match ran {
            Ok(()) => {}
            Err(e) if is_gone(&e) => break,
            Err(e) => panic!("{:?}: {e}", task_ops.last()),
        }
    }
    task_ops
}

impl TaskOps {
    async fn run(&mut self, repo: &Repo, progress: &Progress, fixture: &Fixture) -> Result<()> {
        let on = self.name.clone();
        repo.branch(&on, &fixture.root).await?;
        repo.put(&on, "a", "a").await?;
        let (options, creation) = (
            CommitAsyncOptions::default(),
            CommitCreation {
                message: MESSAGE.to_owned(),
                ..CommitCreation::default()
            },
        );
        let client = &repo.client;
        let task = client.commit_async(&repo.name, &on, &options, &creation);
        self.await_task(repo, false, task.await?.id).await?;
        progress.count_task_op();

        let source = self.with_commit(repo, TO_MERGE, fixture).await?;
        let task = client.merge_into_branch_async(&repo.name, &source, &on, None);
        self.await_task(repo, true, task.await?.id).await?;
        progress.count_task_op();

        let creation = PullRequestCreation {
            title: on.clone(),
            source_branch: self.with_commit(repo, TO_PULL, fixture).await?,
            destination_branch: on.clone(),
            ..PullRequestCreation::default()
        };
        let pull = client.create_pull_request(&repo.name, &creation).await?.id;
        self.pull = Some(pull.clone());
        let merged = client.merge_pull_request(&repo.name, &pull).await?;
        self.pulled = Some(merged.reference);
        progress.count_task_op();

        self.is_restore_begun = true;
        let restored = self.restored(repo);
        fixture.make_bare(&restored).await?;
        fixture.restore(&restored).await?;
        self.is_restored = true;
        progress.count_task_op();
        Ok(())
    }

    fn name_for(&self, purpose: &str) -> String {
        format!("{}-{purpose}", self.name)
    }

    fn restored(&self, repo: &Repo) -> Repo {
        Repo {
            client: repo.client.clone(),
            name: self.name.clone(),
        }
    }

    /// Creates a branch with one more object than the repository's first commit.
    async fn with_commit(&self, repo: &Repo, purpose: &str, fixture: &Fixture) -> Result<String> {
        let branch = self.name_for(purpose);
        repo.branch(&branch, &fixture.root).await?;
        repo.put(&branch, purpose, purpose).await?;
        repo.commit(&branch, purpose).await?;
        Ok(branch)
    }

    /// Records a task and waits until it is done.
    async fn await_task(&mut self, repo: &Repo, is_merge: bool, id: String) -> Result<()> {
        self.tasks.push(Task {
            is_merge,
            id,
            made: None,
        });
        let task = self.tasks.last().expect("the task was pushed above");
        let made = match self.wait_for_end(repo, task).await? {
            TaskState::Made(commit) => Some(commit),
            other => panic!("{task:?} ended as {other:?}"),
        };
        self.tasks
            .last_mut()
            .expect("the task was pushed above")
            .made = made;
        Ok(())
    }

    /// Waits until a task has ended.
    async fn wait_for_end(&self, repo: &Repo, task: &Task) -> Result<TaskState> {
        let deadline = Instant::now() + PATIENCE;
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        loop {
            ticks.tick().await;
            match self.state_of(repo, task).await? {
                TaskState::Open => assert!(Instant::now() < deadline, "{task:?} does not end"),
                ended => return Ok(ended),
            }
        }
    }

    /// Returns the current state of a task.
    async fn state_of(&self, repo: &Repo, task: &Task) -> Result<TaskState> {
        let (client, name, on) = (&repo.client, &repo.name, &self.name);
        let (completed, made, status_code) = if task.is_merge {
            let source = self.name_for(TO_MERGE);
            let status = client.merge_into_branch_async_status(name, &source, on, &task.id);
            let status = status.await?;
            let made = status.result.map(|result| result.reference);
            (status.completed, made, status.status_code)
        } else {
            let status = client.commit_async_status(name, on, &task.id).await?;
            let made = status.result.map(|commit| commit.id);
            (status.completed, made, status.status_code)
        };
        Ok(match (completed, made) {
            (false, None) => TaskState::Open,
            (true, Some(commit)) => TaskState::Made(commit),
            (true, None) => TaskState::Failed(status_code),
            (false, made) => panic!("{task:?} is not done and made {made:?}"),
        })
    }

    /// Checks that everything acknowledged has taken effect, or that a repeated request completes
    /// it. If `to_the_end` is set, waits for tasks of dead servers.
    pub(super) async fn settle(&mut self, repo: &Repo, fixture: &Fixture, to_the_end: bool) {
        let mut ended = Vec::new();
        for task in &self.tasks {
            let state = match to_the_end {
                true => self.wait_for_end(repo, task).await.unwrap(),
                false => self.state_of(repo, task).await.unwrap(),
            };
            if let Some(commit) = &task.made {
                assert_eq!(state, TaskState::Made(commit.clone()), "{task:?}");
            }
            ended.push(state);
        }
        let log = match repo.log(&self.name, None).await {
            Err(e) if e.status() == Some(404) && self.tasks.is_empty() => return,
            log => log.unwrap(),
        };
        for (task, state) in self.tasks.iter().zip(ended) {
            let source = match task.is_merge {
                true => Some(repo.head(&self.name_for(TO_MERGE)).await.unwrap()),
                false => None,
            };
            let made = made(&log, source.as_deref());
            match state {
                TaskState::Made(commit) => assert_eq!(made, [commit.as_str()], "{task:?}"),
                TaskState::Failed(why) => assert_eq!((why, made), (DIED, vec![]), "{task:?}"),
                TaskState::Open => assert!(made.len() <= 1, "{task:?} made {made:?}"),
            }
        }
        assert!(made(&log, None).len() <= 1, "{} in {log:?}", self.name);
        self.settle_pull(repo).await;
        self.settle_restore(repo, fixture).await;
    }

    async fn settle_pull(&mut self, repo: &Repo) {
        let Some(id) = self.pull.as_ref() else {
            return;
        };
        let (client, name) = (&repo.client, &repo.name);
        let found = client.get_pull_request(name, id).await.unwrap();
        if found.status == PullRequestStatus::Open {
            assert_eq!(self.pulled, None, "{id} was merged");
            let merged = client.merge_pull_request(name, id).await.unwrap();
            self.pulled = Some(merged.reference);
        } else if self.pulled.is_none() {
            self.pulled.clone_from(&found.merged_commit_id);
        }
        let again = client.merge_pull_request(name, id).await.unwrap_err();
        assert_eq!(again.status(), Some(400), "{again}");
        let found = client.get_pull_request(name, id).await.unwrap();
        assert_eq!(found.status, PullRequestStatus::Merged);
        assert_eq!(found.merged_commit_id, self.pulled);
        let log = repo.log(&self.name, None).await.unwrap();
        let source = repo.head(&self.name_for(TO_PULL)).await.unwrap();
        assert_eq!(made(&log, Some(&source)), [self.pulled.as_deref().unwrap()]);
    }

    async fn settle_restore(&mut self, repo: &Repo, fixture: &Fixture) {
        if !self.is_restore_begun {
            return;
        }
        let restored = self.restored(repo);
        if !self.is_restored {
            match restored.client.get_repository(&restored.name).await {
                Err(e) if e.status() == Some(404) => fixture.make_bare(&restored).await.unwrap(),
                found => assert_eq!(found.unwrap().id, restored.name),
            }
            if let Err(e) = fixture.restore(&restored).await {
                // The restore had completed, but the response was lost.
                assert!(e.to_string().contains("bare repository"), "{e}");
            }
            self.is_restored = true;
        }
        fixture.check(&restored).await;
    }
}

/// Returns the merges of `source` in a log, or the commits made by tasks.
fn made<'a>(log: &'a [Commit], source: Option<&str>) -> Vec<&'a str> {
    let is_it = |commit: &&Commit| match source {
        Some(_) => commit.parents.get(1).map(String::as_str) == source,
        None => commit.message == MESSAGE,
    };
    let ids = log.iter().filter(is_it).map(|commit| commit.id.as_str());
    ids.collect()
}
