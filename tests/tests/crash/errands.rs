//! Errands of one client, one after the other: a commit and a merge as tasks, the merge of a pull request, a
//! restore of refs.
//!
//! Whichever the server dies in: a task that was acknowledged ends, and what it was to do is done once, or not at
//! all and said so; a pull request is open or merged, and to merge it again puts it right; a restore that is
//! repeated comes to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use client::types::{
    Commit, CommitCreation, GarbageCollectionRules, PullRequestCreation, PullRequestStatus,
    RefsDump, RefsRestore, RepositoryCreation, TagCreation,
};
use client::{CommitAsyncOptions, CreateRepositoryOptions, ListTagsOptions, Result};
use system_tests::{MAIN, Repo};

use super::{PATIENCE, Progress, is_gone};

/// The message of the commits that tasks make.
const MESSAGE: &str = "as a task";
/// What a branch beside the errand's is for.
const TO_MERGE: &str = "merge";
const TO_PULL: &str = "pull";
/// What a task may fail of: three servers died of it.
const DIED: Option<i64> = Some(503);
/// Between two looks at a task.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// What all errands begin with.
#[derive(Debug)]
pub(super) struct Given {
    /// The first commit of the repository that the errands are run in.
    pub(super) root: String,
    /// A repository that was dumped, and its dump.
    dumped: Repo,
    dump: RefsDump,
    /// The commits of the dumped repository's main branch, the first one first.
    pub(super) commits: Vec<Commit>,
}

impl Given {
    /// Makes and dumps a repository with commits, branches and tags.
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
        // Without rules nothing is prepared for garbage collection.
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

    /// A repository without anything, where the dump is.
    pub(super) async fn make_bare(&self, anew: &Repo) -> Result<()> {
        let creation = RepositoryCreation {
            name: anew.name.clone(),
            storage_namespace: format!("local://tests/{}", self.dumped.name),
            default_branch: Some(MAIN.to_owned()),
            ..RepositoryCreation::default()
        };
        let options = CreateRepositoryOptions { bare: Some(true) };
        let made = anew.client.create_repository(&options, &creation).await;
        made.map(|_| ())
    }

    async fn restore(&self, anew: &Repo) -> Result<()> {
        let restore = Self::restore_of(&self.dump);
        anew.client.restore_refs(&anew.name, &restore).await
    }

    /// What restores a dump.
    pub(super) fn restore_of(dump: &RefsDump) -> RefsRestore {
        RefsRestore {
            commits_meta_range_id: dump.commits_meta_range_id.clone(),
            tags_meta_range_id: dump.tags_meta_range_id.clone(),
            branches_meta_range_id: dump.branches_meta_range_id.clone(),
            force: None,
        }
    }

    /// The dumped repository, by the server that `repo` is on.
    pub(super) fn dumped(&self, repo: &Repo) -> Repo {
        Repo {
            client: repo.client.clone(),
            name: self.dumped.name.clone(),
        }
    }

    /// The restored repository shows what the dumped one does.
    pub(super) async fn check(&self, anew: &Repo) {
        let dumped = self.dumped(anew);
        for branch in [MAIN, "b-1", "b-2"] {
            let ids = [dumped.log(branch, None), anew.log(branch, None)];
            let [theirs, ours] = futures::future::join_all(ids).await.try_into().unwrap();
            assert_eq!(ours.unwrap(), theirs.unwrap(), "{branch} of {}", anew.name);
        }
        let tags = [&dumped, anew].map(|repo| async {
            let options = ListTagsOptions::default();
            let listed = repo.client.list_tags(&repo.name, &options).await;
            listed.unwrap().results
        });
        let [theirs, ours] = futures::future::join_all(tags).await.try_into().unwrap();
        assert_eq!(ours, theirs, "tags of {}", anew.name);
        assert_eq!(anew.get("of-b", "a").await.unwrap(), Some(b"a".to_vec()));
    }
}

/// A task that was acknowledged.
#[derive(Debug)]
struct Task {
    is_merge: bool,
    id: String,
    /// The commit that it made, once that was told.
    made: Option<String>,
}

/// What a task says of itself.
#[derive(Debug, PartialEq)]
enum Standing {
    Open,
    Made(String),
    Failed(Option<i64>),
}

/// How far an errand came for certain.
#[derive(Debug, Default)]
pub(super) struct Errand {
    /// Its branch; also the name of the repository that it restores.
    name: String,
    tasks: Vec<Task>,
    pull: Option<String>,
    /// The commit that merged the pull request.
    pulled: Option<String>,
    is_restore_begun: bool,
    is_restored: bool,
}

/// Runs one errand after the other until the server is gone or the end is told.
pub(super) async fn run(
    repo: Repo,
    progress: Arc<Progress>,
    label: String,
    given: Arc<Given>,
) -> Vec<Errand> {
    let mut errands = Vec::new();
    while !progress.is_over() {
        let mut errand = Errand {
            name: format!("errand-{label}-{}", errands.len()),
            ..Errand::default()
        };
        let ran = errand.run(&repo, &progress, &given).await;
        errands.push(errand);
        match ran {
            Ok(()) => {}
            Err(e) if is_gone(&e) => break,
            Err(e) => panic!("{:?}: {e}", errands.last()),
        }
    }
    errands
}

impl Errand {
    async fn run(&mut self, repo: &Repo, progress: &Progress, given: &Given) -> Result<()> {
        let on = self.name.clone();
        repo.branch(&on, &given.root).await?;
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
        self.see_through(repo, false, task.await?.id).await?;
        progress.ran_errand();

        let source = self.with_commit(repo, TO_MERGE, given).await?;
        let task = client.merge_into_branch_async(&repo.name, &source, &on, None);
        self.see_through(repo, true, task.await?.id).await?;
        progress.ran_errand();

        let creation = PullRequestCreation {
            title: on.clone(),
            source_branch: self.with_commit(repo, TO_PULL, given).await?,
            destination_branch: on.clone(),
            ..PullRequestCreation::default()
        };
        let pull = client.create_pull_request(&repo.name, &creation).await?.id;
        self.pull = Some(pull.clone());
        let merged = client.merge_pull_request(&repo.name, &pull).await?;
        self.pulled = Some(merged.reference);
        progress.ran_errand();

        self.is_restore_begun = true;
        let anew = self.anew(repo);
        given.make_bare(&anew).await?;
        given.restore(&anew).await?;
        self.is_restored = true;
        progress.ran_errand();
        Ok(())
    }

    fn beside(&self, purpose: &str) -> String {
        format!("{}-{purpose}", self.name)
    }

    fn anew(&self, repo: &Repo) -> Repo {
        Repo {
            client: repo.client.clone(),
            name: self.name.clone(),
        }
    }

    /// A branch with one object more than the repository's first commit.
    async fn with_commit(&self, repo: &Repo, purpose: &str, given: &Given) -> Result<String> {
        let branch = self.beside(purpose);
        repo.branch(&branch, &given.root).await?;
        repo.put(&branch, purpose, purpose).await?;
        repo.commit(&branch, purpose).await?;
        Ok(branch)
    }

    /// Notes a task, and asks for it until it is done.
    async fn see_through(&mut self, repo: &Repo, is_merge: bool, id: String) -> Result<()> {
        self.tasks.push(Task {
            is_merge,
            id,
            made: None,
        });
        let task = self.tasks.last().expect("it was put there");
        let made = match self.end_of(repo, task).await? {
            Standing::Made(commit) => Some(commit),
            other => panic!("{task:?} ended as {other:?}"),
        };
        self.tasks.last_mut().expect("it was put there").made = made;
        Ok(())
    }

    /// How a task ends: it does.
    async fn end_of(&self, repo: &Repo, task: &Task) -> Result<Standing> {
        let deadline = Instant::now() + PATIENCE;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            match self.look(repo, task).await? {
                Standing::Open => assert!(Instant::now() < deadline, "{task:?} does not end"),
                ended => return Ok(ended),
            }
        }
    }

    async fn look(&self, repo: &Repo, task: &Task) -> Result<Standing> {
        let (client, name, on) = (&repo.client, &repo.name, &self.name);
        let (completed, made, status_code) = if task.is_merge {
            let source = self.beside(TO_MERGE);
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
            (false, None) => Standing::Open,
            (true, Some(commit)) => Standing::Made(commit),
            (true, None) => Standing::Failed(status_code),
            (false, made) => panic!("{task:?} is not done and made {made:?}"),
        })
    }

    /// All is as it was acknowledged, or is put right by asking again. `to_the_end`: tasks of servers that
    /// died are waited for.
    pub(super) async fn settle(&mut self, repo: &Repo, given: &Given, to_the_end: bool) {
        let mut ended = Vec::new();
        for task in &self.tasks {
            let standing = match to_the_end {
                true => self.end_of(repo, task).await.unwrap(),
                false => self.look(repo, task).await.unwrap(),
            };
            if let Some(commit) = &task.made {
                assert_eq!(standing, Standing::Made(commit.clone()), "{task:?}");
            }
            ended.push(standing);
        }
        let log = match repo.log(&self.name, None).await {
            Err(e) if e.status() == Some(404) && self.tasks.is_empty() => return,
            log => log.unwrap(),
        };
        for (task, standing) in self.tasks.iter().zip(ended) {
            let source = match task.is_merge {
                true => Some(repo.head(&self.beside(TO_MERGE)).await.unwrap()),
                false => None,
            };
            let made = made(&log, source.as_deref());
            match standing {
                Standing::Made(commit) => assert_eq!(made, [commit.as_str()], "{task:?}"),
                Standing::Failed(why) => assert_eq!((why, made), (DIED, vec![]), "{task:?}"),
                Standing::Open => assert!(made.len() <= 1, "{task:?} made {made:?}"),
            }
        }
        assert!(made(&log, None).len() <= 1, "{} in {log:?}", self.name);
        self.settle_pull(repo).await;
        self.settle_restore(repo, given).await;
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
        let source = repo.head(&self.beside(TO_PULL)).await.unwrap();
        assert_eq!(made(&log, Some(&source)), [self.pulled.as_deref().unwrap()]);
    }

    async fn settle_restore(&mut self, repo: &Repo, given: &Given) {
        if !self.is_restore_begun {
            return;
        }
        let anew = self.anew(repo);
        if !self.is_restored {
            match anew.client.get_repository(&anew.name).await {
                Err(e) if e.status() == Some(404) => given.make_bare(&anew).await.unwrap(),
                found => assert_eq!(found.unwrap().id, anew.name),
            }
            if let Err(e) = given.restore(&anew).await {
                // It had come to its end, and nobody was told.
                assert!(e.to_string().contains("bare repository"), "{e}");
            }
            self.is_restored = true;
        }
        given.check(&anew).await;
    }
}

/// The merges of `source` in a log, or the commits that tasks made.
fn made<'a>(log: &'a [Commit], source: Option<&str>) -> Vec<&'a str> {
    let is_it = |commit: &&Commit| match source {
        Some(_) => commit.parents.get(1).map(String::as_str) == source,
        None => commit.message == MESSAGE,
    };
    let ids = log.iter().filter(is_it).map(|commit| commit.id.as_str());
    ids.collect()
}
