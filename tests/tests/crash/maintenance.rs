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

use super::task_ops::Given;
use super::{PATIENCE, Progress, is_gone};

/// Polling interval for background work.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Possible states. The last one was requested last.
#[derive(Debug)]
struct Possible<T>(Vec<T>);

impl<T: Clone + Debug + PartialEq> Possible<T> {
    fn asked(&mut self, next: T) {
        self.0.push(next);
    }

    fn acknowledged(&mut self) {
        self.0.drain(..self.0.len() - 1);
    }

    fn settle(&mut self, found: T, what: &str) {
        assert!(self.0.contains(&found), "{what}: {found:?} of {:?}", self.0);
        self.0 = vec![found];
    }
}

/// State of a repository that is created and deleted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum RepositoryState {
    Not,
    Whole,
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
    gone: Possible<RepositoryState>,
    is_deletion_asked: bool,
    /// A task that prepares garbage collection.
    lists: Option<String>,
}

/// Runs maintenance operations until the server is gone or the round ends.
pub(super) async fn run(
    repo: Repo,
    progress: Arc<Progress>,
    label: String,
    given: Arc<Given>,
) -> Vec<MaintenanceOps> {
    let mut maintenance = Vec::new();
    while !progress.is_over() {
        let mut op = MaintenanceOps::new(format!("maintenance-{label}-{}", maintenance.len()));
        let ran = op.run(&repo, &progress, &given).await;
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
            gone: Possible(vec![RepositoryState::Not]),
            is_deletion_asked: false,
            lists: None,
        }
    }

    async fn run(&mut self, repo: &Repo, progress: &Progress, given: &Given) -> Result<()> {
        self.tag(repo, progress, given).await?;
        self.dump_and_restore(repo, progress, given).await?;
        self.record(repo, given).await?;
        progress.count_maintenance_op();
        self.make_and_delete(repo, progress).await?;
        let (client, name) = (&repo.client, &given.dumped(repo).name);
        let prepared = client.prepare_garbage_collection_commits(name).await?;
        assert!(!prepared.gc_commits_location.is_empty());
        let prepared = client.prepare_garbage_collection_uncommitted(name, None);
        assert!(!prepared.await?.run_id.is_empty());
        let task = client.prepare_garbage_collection_commits_async(name);
        self.lists = Some(task.await?.id);
        progress.count_maintenance_op();
        Ok(())
    }

    async fn tag(&mut self, repo: &Repo, progress: &Progress, given: &Given) -> Result<()> {
        let (client, name) = (&repo.client, &repo.name);
        let root = Some(given.root.clone());
        let creation = TagCreation {
            id: self.name.clone(),
            r#ref: given.root.clone(),
            force: None,
        };
        self.tag.asked(root.clone());
        client.create_tag(name, &creation).await?;
        self.tag.acknowledged();
        progress.count_maintenance_op();
        self.tag.asked(None);
        let options = DeleteTagOptions::default();
        client.delete_tag(name, &self.name, &options).await?;
        self.tag.acknowledged();
        self.tag.asked(root);
        client.undo_tag(name, &self.name, None).await?;
        self.tag.acknowledged();
        progress.count_maintenance_op();
        Ok(())
    }

    async fn dump_and_restore(
        &mut self,
        repo: &Repo,
        progress: &Progress,
        given: &Given,
    ) -> Result<()> {
        let dumped = given.dumped(repo);
        let task = dumped.client.dump_submit(&dumped.name).await?.id;
        self.dump = Some(task.clone());
        let refs = until(|| dump_of(&dumped, &task)).await?;
        self.dumped = Some(refs.clone());
        progress.count_maintenance_op();
        let anew = self.beside(repo, "restored");
        given.make_bare(&anew).await?;
        let restore = Given::restore_of(&refs);
        let task = anew.client.restore_submit(&anew.name, &restore).await?.id;
        self.restore = Some(task.clone());
        until(|| restore_of(&anew, &task)).await?;
        progress.count_maintenance_op();
        Ok(())
    }

    /// Imports parents first, like a mirror.
    async fn record(&mut self, repo: &Repo, given: &Given) -> Result<()> {
        let mirror = self.beside(repo, "mirror");
        given.make_bare(&mirror).await?;
        self.has_records = true;
        for commit in &given.commits {
            let record = record_of(commit);
            let taken = mirror.client.create_commit_record(&mirror.name, &record);
            taken.await?;
            self.recorded += 1;
        }
        Ok(())
    }

    async fn make_and_delete(&mut self, repo: &Repo, progress: &Progress) -> Result<()> {
        let gone = self.beside(repo, "gone");
        self.gone.asked(RepositoryState::Whole);
        Repo::try_create(gone.client.clone(), &gone.name).await?;
        self.gone.acknowledged();
        gone.put(MAIN, "a", "a").await?;
        gone.commit(MAIN, "a").await?;
        gone.put(MAIN, "b", "b").await?;
        progress.count_maintenance_op();
        self.gone.asked(RepositoryState::Not);
        self.is_deletion_asked = true;
        let options = DeleteRepositoryOptions::default();
        let deleted = gone.client.delete_repository(&gone.name, &options);
        deleted.await?;
        self.gone.acknowledged();
        progress.count_maintenance_op();
        Ok(())
    }

    fn beside(&self, repo: &Repo, purpose: &str) -> Repo {
        Repo {
            client: repo.client.clone(),
            name: format!("{}-{purpose}", self.name),
        }
    }

    /// Checks the state against the acknowledged operations. If `to_the_end` is set, waits for
    /// background work.
    pub(super) async fn settle(&mut self, repo: &Repo, given: &Given, to_the_end: bool) {
        let tag = repo.client.get_tag(&repo.name, &self.name).await;
        let tag = found(tag).map(|tag| tag.commit_id);
        self.tag.settle(tag, &self.name);
        self.settle_records(repo, given).await;
        self.settle_gone(repo, to_the_end).await;
        if to_the_end {
            self.settle_tasks(repo, given).await;
        }
    }

    async fn settle_records(&mut self, repo: &Repo, given: &Given) {
        if !self.has_records {
            return;
        }
        let mirror = self.beside(repo, "mirror");
        let get = async |commit: &Commit| {
            let taken = mirror.client.get_commit(&mirror.name, &commit.id).await;
            let taken = found(taken);
            if let Some(taken) = &taken {
                assert_eq!(taken, commit, "in {}", mirror.name);
            }
            taken.is_some()
        };
        let mut is_recorded = Vec::new();
        for (number, commit) in given.commits.iter().enumerate() {
            let is_there = get(commit).await;
            if is_there {
                assert!(number <= self.recorded, "{commit:?} was not requested");
            } else {
                assert!(number >= self.recorded, "{commit:?} is lost");
            }
            is_recorded.push(is_there);
        }
        // A client that got no response repeats its request.
        for (commit, was_there) in given.commits.iter().zip(is_recorded) {
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
        self.recorded = given.commits.len();
    }

    async fn settle_gone(&mut self, repo: &Repo, to_the_end: bool) {
        let gone = self.beside(repo, "gone");
        let client = &gone.client;
        let get = || async {
            match client.get_repository(&gone.name).await {
                Err(e) if e.status() == Some(410) => Ok(None),
                answer => Ok(Some(found(answer))),
            }
        };
        let stands = match to_the_end {
            true => until(get).await.unwrap(),
            false => match get().await.unwrap() {
                Some(stands) => stands,
                None => {
                    assert!(self.is_deletion_asked, "{} is being deleted", gone.name);
                    self.gone = Possible(vec![RepositoryState::Not]);
                    return;
                }
            },
        };
        if stands.is_some() {
            // It was neither created nor deleted partially.
            assert!(gone.log(MAIN, None).await.unwrap().len() <= 2);
            gone.list(MAIN, "").await.unwrap();
        }
        let stands = if stands.is_some() {
            RepositoryState::Whole
        } else {
            RepositoryState::Not
        };
        self.gone.settle(stands, &gone.name);
        if to_the_end && stands == RepositoryState::Not && self.is_deletion_asked {
            let namespace = format!("{}-again", gone.name);
            Repo::try_create_in(client.clone(), &gone.name, &namespace)
                .await
                .unwrap();
            assert_eq!(gone.list(MAIN, "").await.unwrap(), Vec::<String>::new());
        }
    }

    async fn settle_tasks(&mut self, repo: &Repo, given: &Given) {
        let dumped = given.dumped(repo);
        if let Some(task) = &self.dump {
            let refs = until(|| dump_of(&dumped, task)).await.unwrap();
            assert!(self.dumped.is_none() || self.dumped.as_ref() == Some(&refs));
        }
        if let Some(task) = &self.restore {
            let anew = self.beside(repo, "restored");
            until(|| restore_of(&anew, task)).await.unwrap();
            given.check(&anew).await;
        }
        if let Some(task) = &self.lists {
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
async fn until<T, F>(look: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + PATIENCE;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        if let Some(found) = look().await? {
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

async fn restore_of(anew: &Repo, task: &str) -> Result<Option<()>> {
    let status = anew.client.restore_status(&anew.name, task).await?;
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
