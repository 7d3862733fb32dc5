//! Chores of one client, one after the other: a tag made, deleted and brought back; a dump and a restore as tasks; commits
//! taken in as records; a repository made, filled and deleted; what garbage collection asks for.
//!
//! Whichever the server dies in: what was acknowledged is so, the rest is so or not at all; tasks come to
//! their end; a deletion that was begun goes on to its end by itself, and the name is free then.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::types::{Commit, CommitRecordCreation, RefsDump, TagCreation};
use client::{DeleteRepositoryOptions, DeleteTagOptions, Error, Result};
use system_tests::{MAIN, Repo};

use super::errands::Given;
use super::{PATIENCE, Progress, is_gone};

/// Between two looks at what goes on by itself.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What may be, the last being what was asked for last.
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

/// A repository that is made and deleted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stands {
    Not,
    Whole,
}

/// What was begun, and what of it was acknowledged.
#[derive(Debug)]
pub(super) struct Chore {
    name: String,
    /// The commit of the tag.
    tag: Possible<Option<String>>,
    /// Tasks: a dump, and a restore of it.
    dump: Option<String>,
    dumped: Option<RefsDump>,
    restore: Option<String>,
    /// Commits taken in: so many for certain, perhaps one more.
    recorded: usize,
    has_records: bool,
    gone: Possible<Stands>,
    is_deletion_asked: bool,
    /// A task that lists commits.
    lists: Option<String>,
}

/// Does one chore after the other until the server is gone or the end is told.
pub(super) async fn run(
    repo: Repo,
    progress: Arc<Progress>,
    label: String,
    given: Arc<Given>,
) -> Vec<Chore> {
    let mut chores = Vec::new();
    while !progress.is_over() {
        let mut chore = Chore::new(format!("chore-{label}-{}", chores.len()));
        let ran = chore.run(&repo, &progress, &given).await;
        chores.push(chore);
        match ran {
            Ok(()) => {}
            Err(e) if is_gone(&e) => break,
            Err(e) => panic!("{:?}: {e}", chores.last()),
        }
    }
    chores
}

impl Chore {
    fn new(name: String) -> Self {
        Self {
            name,
            tag: Possible(vec![None]),
            dump: None,
            dumped: None,
            restore: None,
            recorded: 0,
            has_records: false,
            gone: Possible(vec![Stands::Not]),
            is_deletion_asked: false,
            lists: None,
        }
    }

    async fn run(&mut self, repo: &Repo, progress: &Progress, given: &Given) -> Result<()> {
        self.tag(repo, progress, given).await?;
        self.dump_and_restore(repo, progress, given).await?;
        self.record(repo, given).await?;
        progress.did_chore();
        self.make_and_delete(repo, progress).await?;
        let (client, name) = (&repo.client, &given.dumped(repo).name);
        let prepared = client.prepare_garbage_collection_commits(name).await?;
        assert!(!prepared.gc_commits_location.is_empty());
        let prepared = client.prepare_garbage_collection_uncommitted(name, None);
        assert!(!prepared.await?.run_id.is_empty());
        let task = client.prepare_garbage_collection_commits_async(name);
        self.lists = Some(task.await?.id);
        progress.did_chore();
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
        progress.did_chore();
        self.tag.asked(None);
        let options = DeleteTagOptions::default();
        client.delete_tag(name, &self.name, &options).await?;
        self.tag.acknowledged();
        self.tag.asked(root);
        client.undo_tag(name, &self.name, None).await?;
        self.tag.acknowledged();
        progress.did_chore();
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
        progress.did_chore();
        let anew = self.beside(repo, "restored");
        given.make_bare(&anew).await?;
        let restore = Given::restore_of(&refs);
        let task = anew.client.restore_submit(&anew.name, &restore).await?.id;
        self.restore = Some(task.clone());
        until(|| restore_of(&anew, &task)).await?;
        progress.did_chore();
        Ok(())
    }

    /// Parents first, as a mirror does.
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
        self.gone.asked(Stands::Whole);
        Repo::try_create(gone.client.clone(), &gone.name).await?;
        self.gone.acknowledged();
        gone.put(MAIN, "a", "a").await?;
        gone.commit(MAIN, "a").await?;
        gone.put(MAIN, "b", "b").await?;
        progress.did_chore();
        self.gone.asked(Stands::Not);
        self.is_deletion_asked = true;
        let options = DeleteRepositoryOptions::default();
        let deleted = gone.client.delete_repository(&gone.name, &options);
        deleted.await?;
        self.gone.acknowledged();
        progress.did_chore();
        Ok(())
    }

    fn beside(&self, repo: &Repo, purpose: &str) -> Repo {
        Repo {
            client: repo.client.clone(),
            name: format!("{}-{purpose}", self.name),
        }
    }

    /// All is as it was acknowledged. `to_the_end`: what goes on by itself is waited for.
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
                assert!(number <= self.recorded, "nobody asked for {commit:?}");
            } else {
                assert!(number >= self.recorded, "{commit:?} is lost");
            }
            is_recorded.push(is_there);
        }
        // Whoever was told of nothing asks again.
        for (commit, was_there) in given.commits.iter().zip(is_recorded) {
            let record = record_of(commit);
            let taken = mirror.client.create_commit_record(&mirror.name, &record);
            match taken.await {
                Ok(()) => assert!(!was_there, "{commit:?} is recorded twice"),
                // A dead server's last write may land after the look.
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
                    self.gone = Possible(vec![Stands::Not]);
                    return;
                }
            },
        };
        if stands.is_some() {
            // No half of it was made, and no half of it deleted.
            assert!(gone.log(MAIN, None).await.unwrap().len() <= 2);
            gone.list(MAIN, "").await.unwrap();
        }
        let stands = if stands.is_some() {
            Stands::Whole
        } else {
            Stands::Not
        };
        self.gone.settle(stands, &gone.name);
        if to_the_end && stands == Stands::Not && self.is_deletion_asked {
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
            // A server died of it, and it is to be started again; or it made its lists.
            assert_eq!(ended.result.is_none(), ended.error.is_some(), "{ended:?}");
        }
    }
}

/// What is there; none if there is nothing.
#[track_caller]
fn found<T>(answer: Result<T>) -> Option<T> {
    match answer {
        Ok(found) => Some(found),
        Err(Error::Refused { status: 404, .. }) => None,
        Err(e) => panic!("{e}"),
    }
}

/// Looks until there is something.
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
        assert!(Instant::now() < deadline, "it does not come to its end");
    }
}

/// What a dump that is done has dumped.
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
