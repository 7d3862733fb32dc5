//! Maintenance operations of one client in sequence: create, delete and restore a tag; dump and
//! restore as tasks; import commit records; create, fill and delete a repository; prepare garbage
//! collection.
//!
//! Whenever the server dies: acknowledged operations have taken effect, others completely or not at
//! all. Tasks finish. A deletion that was started is completed by the server, and then the name is
//! available again.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::types::{Commit, CommitRecordCreation, RefsDump, TagCreation};
use client::{DeleteRepositoryOptions, DeleteTagOptions, Error, Result};
use system_tests::{MAIN, Repo};

use super::task_ops::Fixture;
use super::{PATIENCE, Progress, is_gone};

/// Polling interval for background work.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Possible states: the last acknowledged one, and those requested since.
#[derive(Debug)]
struct Possible<T>(Vec<T>);

impl<T: Clone + Debug + PartialEq> Possible<T> {
    /// Records a request that changes the state.
    fn requested(&mut self, next: T) {
        self.0.push(next);
    }

    /// Records that the last request has been acknowledged.
    fn acknowledged(&mut self) {
        self.0.drain(..self.0.len() - 1);
    }

    /// Checks that the found state is possible. It must not change afterwards.
    fn settle(&mut self, found: T, what: &str) {
        assert!(self.0.contains(&found), "{what}: {found:?} of {:?}", self.0);
        self.0 = vec![found];
    }
}

/// State of a repository that is created and deleted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum RepositoryState {
    Absent,
    Complete,
}

/// Requested and acknowledged operations.
#[derive(Debug)]
pub(super) struct MaintenanceOps {
    name: String,
    /// The commit of the tag.
    tag: Possible<Option<String>>,
    /// Tasks: a dump, and its restore.
    dump: Option<String>,
    dumped: Option<RefsDump>,
    restore: Option<String>,
    /// Number of commit records that exist for certain. There may be one more.
    recorded: usize,
    has_records: bool,
    /// A repository that is created and deleted.
    temporary: Possible<RepositoryState>,
    is_deletion_requested: bool,
    /// A task that prepares garbage collection.
    gc_task: Option<String>,
}

/// Runs maintenance operations until the server is gone or the round ends.
pub(super) async fn run(
    repo: Repo,
    progress: Arc<Progress>,
    label: String,
    fixture: Arc<Fixture>,
) -> Vec<MaintenanceOps> {
    let mut maintenance = Vec::new();
    while !progress.is_over() {
        let mut op = MaintenanceOps::new(format!("maintenance-{label}-{}", maintenance.len()));
        let ran = op.run(&repo, &progress, &fixture).await;
        maintenance.push(op);
        match ran {
            Ok(()) => {}
            Err(e) if is_gone(&e) => break,
            Err(e) => panic!("{:?}: {e}", maintenance.last()),
        }
    }
    maintenance
}

impl MaintenanceOps {
    fn new(name: String) -> Self {
        Self {
            name,
            tag: Possible(vec![None]),
            dump: None,
            dumped: None,
            restore: None,
            recorded: 0,
            has_records: false,
            temporary: Possible(vec![RepositoryState::Absent]),
            is_deletion_requested: false,
            gc_task: None,
        }
    }

    async fn run(&mut self, repo: &Repo, progress: &Progress, fixture: &Fixture) -> Result<()> {
        self.tag(repo, progress, fixture).await?;
        self.dump_and_restore(repo, progress, fixture).await?;
        self.record(repo, fixture).await?;
        progress.count_maintenance_op();
        self.create_and_delete(repo, progress).await?;
        let (client, name) = (&repo.client, &fixture.dumped(repo).name);
        let prepared = client.prepare_garbage_collection_commits(name).await?;
        assert!(!prepared.gc_commits_location.is_empty());
        let prepared = client.prepare_garbage_collection_uncommitted(name, None);
        assert!(!prepared.await?.run_id.is_empty());
        let task = client.prepare_garbage_collection_commits_async(name);
        self.gc_task = Some(task.await?.id);
        progress.count_maintenance_op();
        Ok(())
    }

    async fn tag(&mut self, repo: &Repo, progress: &Progress, fixture: &Fixture) -> Result<()> {
        let (client, name) = (&repo.client, &repo.name);
        let root = Some(fixture.root.clone());
        let creation = TagCreation {
            id: self.name.clone(),
            r#ref: fixture.root.clone(),
            force: None,
        };
        self.tag.requested(root.clone());
        client.create_tag(name, &creation).await?;
        self.tag.acknowledged();
        progress.count_maintenance_op();
        self.tag.requested(None);
        let options = DeleteTagOptions::default();
        client.delete_tag(name, &self.name, &options).await?;
        self.tag.acknowledged();
        self.tag.requested(root);
        client.undo_tag(name, &self.name, None).await?;
        self.tag.acknowledged();
        progress.count_maintenance_op();
        Ok(())
    }

    async fn dump_and_restore(
        &mut self,
        repo: &Repo,
        progress: &Progress,
        fixture: &Fixture,
    ) -> Result<()> {
        let dumped = fixture.dumped(repo);
        let task = dumped.client.dump_submit(&dumped.name).await?.id;
        self.dump = Some(task.clone());
        let refs = until(|| dump_of(&dumped, &task)).await?;
        self.dumped = Some(refs.clone());
        progress.count_maintenance_op();
        let restored = self.repository_for(repo, "restored");
        fixture.make_bare(&restored).await?;
        let restore = Fixture::restore_of(&refs);
        let task = restored
            .client
            .restore_submit(&restored.name, &restore)
            .await?
            .id;
        self.restore = Some(task.clone());
        until(|| restore_of(&restored, &task)).await?;
        progress.count_maintenance_op();
        Ok(())
    }

    /// Imports the commit records, parents first, as a mirror would.
    async fn record(&mut self, repo: &Repo, fixture: &Fixture) -> Result<()> {
        let mirror = self.repository_for(repo, "mirror");
        fixture.make_bare(&mirror).await?;
        self.has_records = true;
        for commit in &fixture.commits {
            let record = record_of(commit);
            let taken = mirror.client.create_commit_record(&mirror.name, &record);
            taken.await?;
            self.recorded += 1;
        }
        Ok(())
    }

    async fn create_and_delete(&mut self, repo: &Repo, progress: &Progress) -> Result<()> {
        let temporary = self.repository_for(repo, "temporary");
        self.temporary.requested(RepositoryState::Complete);
        Repo::try_create(temporary.client.clone(), &temporary.name).await?;
        self.temporary.acknowledged();
        temporary.put(MAIN, "a", "a").await?;
        temporary.commit(MAIN, "a").await?;
        temporary.put(MAIN, "b", "b").await?;
        progress.count_maintenance_op();
        self.temporary.requested(RepositoryState::Absent);
        self.is_deletion_requested = true;
        let options = DeleteRepositoryOptions::default();
        let deleted = temporary
            .client
            .delete_repository(&temporary.name, &options);
        deleted.await?;
        self.temporary.acknowledged();
        progress.count_maintenance_op();
        Ok(())
    }

    fn repository_for(&self, repo: &Repo, purpose: &str) -> Repo {
        Repo {
            client: repo.client.clone(),
            name: format!("{}-{purpose}", self.name),
        }
    }

    /// Checks the state against the acknowledged operations. If `to_the_end` is set, waits for
    /// background work.
    pub(super) async fn settle(&mut self, repo: &Repo, fixture: &Fixture, to_the_end: bool) {
        let tag = repo.client.get_tag(&repo.name, &self.name).await;
        let tag = found(tag).map(|tag| tag.commit_id);
        self.tag.settle(tag, &self.name);
        self.settle_records(repo, fixture).await;
        self.settle_temporary(repo, to_the_end).await;
        if to_the_end {
            self.settle_tasks(repo, fixture).await;
        }
    }

    async fn settle_records(&mut self, repo: &Repo, fixture: &Fixture) {
        if !self.has_records {
            return;
        }
        let mirror = self.repository_for(repo, "mirror");
        let get = async |commit: &Commit| {
            let taken = mirror.client.get_commit(&mirror.name, &commit.id).await;
            let taken = found(taken);
            if let Some(taken) = &taken {
                assert_eq!(taken, commit, "in {}", mirror.name);
            }
            taken.is_some()
        };
        let mut is_recorded = Vec::new();
        for (number, commit) in fixture.commits.iter().enumerate() {
            let is_there = get(commit).await;
            if is_there {
                assert!(number <= self.recorded, "{commit:?} was not requested");
            } else {
                assert!(number >= self.recorded, "{commit:?} is lost");
            }
            is_recorded.push(is_there);
        }
        // A client that got no response repeats its request.
        for (commit, was_there) in fixture.commits.iter().zip(is_recorded) {
            let record = record_of(commit);
            let taken = mirror.client.create_commit_record(&mirror.name, &record);
            match taken.await {
                Ok(()) => assert!(!was_there, "{commit:?} is recorded twice"),
                // The last write of a dead server may land after the lookup.
                Err(Error::Refused { status: 409, .. }) => {
                    assert!(was_there || get(commit).await, "{commit:?} is not there");
                }
                Err(e) => panic!("{commit:?} is refused: {e}"),
            }
        }
        self.recorded = fixture.commits.len();
    }

    async fn settle_temporary(&mut self, repo: &Repo, to_the_end: bool) {
        let temporary = self.repository_for(repo, "temporary");
        let client = &temporary.client;
        let get = || async {
            match client.get_repository(&temporary.name).await {
                Err(e) if e.status() == Some(410) => Ok(None),
                answer => Ok(Some(found(answer))),
            }
        };
        let found = match to_the_end {
            true => until(get).await.unwrap(),
            false => match get().await.unwrap() {
                Some(found) => found,
                None => {
                    assert!(
                        self.is_deletion_requested,
                        "{} is being deleted without a request",
                        temporary.name
                    );
                    self.temporary = Possible(vec![RepositoryState::Absent]);
                    return;
                }
            },
        };
        if found.is_some() {
            // It was neither created nor deleted partially.
            assert!(temporary.log(MAIN, None).await.unwrap().len() <= 2);
            temporary.list(MAIN, "").await.unwrap();
        }
        let state = if found.is_some() {
            RepositoryState::Complete
        } else {
            RepositoryState::Absent
        };
        self.temporary.settle(state, &temporary.name);
        if to_the_end && state == RepositoryState::Absent && self.is_deletion_requested {
            let namespace = format!("{}-again", temporary.name);
            Repo::try_create_in(client.clone(), &temporary.name, &namespace)
                .await
                .unwrap();
            assert_eq!(
                temporary.list(MAIN, "").await.unwrap(),
                Vec::<String>::new()
            );
        }
    }

    async fn settle_tasks(&mut self, repo: &Repo, fixture: &Fixture) {
        let dumped = fixture.dumped(repo);
        if let Some(task) = &self.dump {
            let refs = until(|| dump_of(&dumped, task)).await.unwrap();
            assert!(self.dumped.is_none() || self.dumped.as_ref() == Some(&refs));
        }
        if let Some(task) = &self.restore {
            let restored = self.repository_for(repo, "restored");
            until(|| restore_of(&restored, task)).await.unwrap();
            fixture.check(&restored).await;
        }
        if let Some(task) = &self.gc_task {
            let (client, name) = (&dumped.client, &dumped.name);
            let ended = until(|| async {
                let status = client.prepare_garbage_collection_commits_status(name, task);
                let status = status.await?;
                Ok(status.completed.then_some(status))
            });
            let ended = ended.await.unwrap();
            // Either servers died while running it and it must be submitted again, or it created
            // its lists.
            assert_eq!(ended.result.is_none(), ended.error.is_some(), "{ended:?}");
        }
    }
}

/// Returns the result, or `None` if it does not exist.
#[track_caller]
fn found<T>(answer: Result<T>) -> Option<T> {
    match answer {
        Ok(found) => Some(found),
        Err(Error::Refused { status: 404, .. }) => None,
        Err(e) => panic!("{e}"),
    }
}

/// Polls until there is a result.
async fn until<T, F>(poll: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + PATIENCE;
    let mut ticks = tokio::time::interval(POLL_INTERVAL);
    loop {
        ticks.tick().await;
        if let Some(found) = poll().await? {
            return Ok(found);
        }
        assert!(
            Instant::now() < deadline,
            "background work did not finish in time"
        );
    }
}

/// Returns the content of a finished dump.
async fn dump_of(dumped: &Repo, task: &str) -> Result<Option<RefsDump>> {
    let status = dumped.client.dump_status(&dumped.name, task).await?;
    assert_eq!(status.error, None, "{task}");
    assert_eq!(status.done, status.refs.is_some(), "{task}");
    Ok(status.refs)
}

async fn restore_of(restored: &Repo, task: &str) -> Result<Option<()>> {
    let status = restored.client.restore_status(&restored.name, task).await?;
    assert_eq!(status.error, None, "{task}");
    Ok(status.done.then_some(()))
}

fn record_of(commit: &Commit) -> CommitRecordCreation {
    CommitRecordCreation {
        commit_id: commit.id.clone(),
        version: commit.version.unwrap_or_default(),
        committer: commit.committer.clone(),
        message: commit.message.clone(),
        metarange_id: commit.meta_range_id.clone(),
        creation_date: commit.creation_date,
        parents: commit.parents.clone(),
        metadata: commit.metadata.clone(),
        generation: commit.generation.unwrap_or_default(),
        force: None,
    }
}
