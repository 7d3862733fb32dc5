//! `kill -9` at random moments of writing, deleting, committing, merging and whatever else changes a
//! branch or tag, or makes, fills or deletes a repository, many times over, on one data folder; and of one of two
//! servers on one database.
//!
//! After each restart: what was acknowledged is there, what was not is there in full
//! or not at all, and the server starts. Each path has one writer, so that the model
//! knows which contents it may hold. The moment is so many answers and a little later,
//! so that a slow machine has as much to lose as a fast one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use client::Error;
use system_tests::{Backend, MAIN, Random, Repo, TestServer, effort};

use self::chores::Chore;
use self::errands::{Errand, Given};
use self::lives::Life;

#[path = "crash/chores.rs"]
mod chores;
#[path = "crash/errands.rs"]
mod errands;
#[path = "crash/lives.rs"]
mod lives;
#[path = "crash/two.rs"]
mod two;

const WRITERS: u64 = 4;
/// The branch that only merges change.
const TRUNK: &str = "trunk";
const BIG_BYTES: usize = 300_000;
/// Answers of one kind that a round waits for before its end.
const ANSWERS: std::ops::Range<u64> = 1..16;
/// How much later the end comes, in microseconds.
const LATER_US: std::ops::Range<u64> = 0..60_000;
/// Longer than the slowest round.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a path holds: the number of the write, none if the path is empty.
type Content = Option<u64>;

/// Contents that each path may hold: what was acknowledged last, and what was asked for since.
#[derive(Debug, Default)]
struct Model(BTreeMap<String, Vec<Content>>);

impl Model {
    fn ask(&mut self, path: &str, content: Content) {
        self.0
            .entry(path.to_owned())
            .or_insert_with(|| vec![None])
            .push(content);
    }

    /// The last thing asked for has happened.
    fn acknowledge(&mut self, path: &str) {
        let allowed = self.0.get_mut(path).expect("it was asked for");
        allowed.drain(..allowed.len() - 1);
    }

    /// After a restart a path holds one thing, and goes on holding it.
    fn settle(&mut self, path: &str, found: Option<&[u8]>) {
        let allowed = self.0.get_mut(path).expect("it was asked for");
        let fits = |content: &Content| content.map(|n| bytes_of(path, n)).as_deref() == found;
        let held = allowed.iter().copied().find(fits);
        let held = held.unwrap_or_else(|| {
            panic!(
                "{path} holds {} bytes that are none of the writes {allowed:?}",
                found.map_or(0, <[u8]>::len)
            )
        });
        *allowed = vec![held];
    }
}

/// Every seventh write is big, so that it can be cut in its middle.
fn bytes_of(path: &str, number: u64) -> Vec<u8> {
    let line = format!("{path} {number}\n");
    let copies = if number.is_multiple_of(7) {
        BIG_BYTES / line.len()
    } else {
        1
    };
    line.repeat(copies).into_bytes()
}

/// Whether the server is gone; any other failure is one of the server's.
fn is_gone(e: &Error) -> bool {
    assert!(e.status().is_none(), "{e}");
    true
}

/// What has been acknowledged in a round.
#[derive(Debug, Default)]
struct Progress {
    writes: AtomicU64,
    commits: AtomicU64,
    merges: AtomicU64,
    /// Steps of lives.
    steps: AtomicU64,
    /// Parts of errands.
    errands: AtomicU64,
    /// Parts of chores.
    chores: AtomicU64,
    over: AtomicBool,
}

impl Progress {
    fn lived(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn ran_errand(&self) {
        self.errands.fetch_add(1, Ordering::Relaxed);
    }

    fn did_chore(&self) {
        self.chores.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether those who work are to stop, also if the server is still there.
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Returns a while after a certain number of writes, commits, merges, steps of a life or
    /// parts of errands or chores was acknowledged.
    fn wait(&self, random: &mut Random) {
        let answers = random.between(ANSWERS.start, ANSWERS.end);
        match random.between(0, 6) {
            0 => self.wait_for(&self.writes, 4 * answers),
            1 => self.wait_for(&self.commits, answers),
            2 => self.wait_for(&self.merges, random.between(1, 4)),
            3 => self.wait_for(&self.steps, 2 * answers),
            4 => self.wait_for(&self.errands, random.between(1, 9)),
            _ => self.wait_for(&self.chores, random.between(1, 9)),
        }
        std::thread::sleep(Duration::from_micros(
            random.between(LATER_US.start, LATER_US.end),
        ));
    }

    fn wait_for(&self, kind: &AtomicU64, answers: u64) {
        let deadline = Instant::now() + PATIENCE;
        while kind.load(Ordering::Relaxed) < answers {
            assert!(
                Instant::now() < deadline,
                "the server does not get on: {self:?}"
            );
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Puts, overwrites and deletes until the server is gone.
async fn write(repo: Repo, progress: Arc<Progress>, worker: u64, round: u64) -> Model {
    let mut random = Random::new(round * WRITERS + worker);
    let mut model = Model::default();
    for number in 0.. {
        if progress.is_over() {
            break;
        }
        let earlier = number > 3 && random.between(0, 4) == 0;
        let n = if earlier {
            random.between(0, number)
        } else {
            number
        };
        let path = format!("w{worker}/{round}-{n}");
        let content = (!earlier || random.between(0, 2) == 0).then_some(number);
        model.ask(&path, content);
        let done = match content {
            Some(number) => repo.put(MAIN, &path, bytes_of(&path, number)).await,
            None => repo.delete(MAIN, &path).await,
        };
        match done {
            Ok(()) => {
                model.acknowledge(&path);
                progress.writes.fetch_add(1, Ordering::Relaxed);
            }
            Err(e) if is_gone(&e) => break,
            Err(e) => panic!("{e}"),
        }
    }
    model
}

/// Commits until the server is gone; returns the commits that were acknowledged.
async fn commit(repo: Repo, progress: Arc<Progress>) -> Vec<String> {
    let mut made = Vec::new();
    while !progress.is_over() {
        match repo.commit(MAIN, "whatever is staged").await {
            Ok(commit) => {
                made.push(commit.id);
                progress.commits.fetch_add(1, Ordering::Relaxed);
            }
            Err(e) if e.status() == Some(400) => {
                assert!(e.to_string().contains("no changes"), "{e}");
            }
            Err(e) if is_gone(&e) => break,
            Err(e) => panic!("{e}"),
        }
    }
    made
}

/// What the merges of one round left for certain.
#[derive(Debug, Default)]
struct Merged {
    /// (merge commit, path that it brought) of each that was acknowledged.
    done: Vec<(String, String)>,
    attempted: u64,
}

/// Branches, writes, commits and merges until the server is gone.
async fn merge(repo: Repo, progress: Arc<Progress>, label: String) -> Merged {
    let mut merged = Merged::default();
    while !progress.is_over() {
        let name = format!("m-{label}-{}", merged.attempted);
        let path = format!("merged/{name}");
        merged.attempted += 1;
        let steps = async {
            repo.branch(&name, TRUNK).await?;
            repo.put(&name, &path, bytes_of(&path, 1)).await?;
            repo.commit(&name, "one object").await?;
            repo.merge(&name, TRUNK).await
        };
        match steps.await {
            Ok(result) => {
                merged.done.push((result.reference, path));
                progress.merges.fetch_add(1, Ordering::Relaxed);
            }
            Err(e) if is_gone(&e) => break,
            Err(e) => panic!("{e}"),
        }
    }
    merged
}

/// Heads at the last restart, and everything that is held for certain.
#[derive(Debug)]
struct State {
    /// The repository's first commit.
    root: String,
    main: String,
    trunk: String,
    held: BTreeMap<String, u64>,
    commits: Vec<String>,
    merges: usize,
    lives: Vec<Life>,
    errands: Vec<Errand>,
    chores: Vec<Chore>,
    given: Arc<Given>,
}

impl State {
    async fn new(repo: &Repo) -> Self {
        repo.branch(TRUNK, MAIN).await.unwrap();
        let root = repo.head(MAIN).await.unwrap();
        Self {
            main: root.clone(),
            trunk: root.clone(),
            given: Arc::new(Given::make(repo, &root).await),
            root,
            held: BTreeMap::new(),
            commits: Vec::new(),
            merges: 0,
            lives: Vec::new(),
            errands: Vec::new(),
            chores: Vec::new(),
        }
    }

    /// What each round left is still there after all the others.
    async fn check(&mut self, repo: &Repo) {
        if !repo.uncommitted(MAIN).await.unwrap().is_empty() {
            repo.commit(MAIN, "the rest").await.unwrap();
        }
        let head = repo.head(MAIN).await.unwrap();
        let listed = repo.list(&head, "w").await.unwrap();
        assert_eq!(listed, self.held.keys().cloned().collect::<Vec<_>>());
        let log = chain(repo, MAIN, &self.root).await;
        assert!(self.commits.iter().all(|c| log.contains(c)));
        assert_eq!(
            repo.list(TRUNK, "merged/").await.unwrap().len(),
            self.merges
        );
        for life in &mut self.lives {
            life.settle(repo).await;
        }
        for errand in &mut self.errands {
            errand.settle(repo, &self.given, true).await;
        }
        for chore in &mut self.chores {
            chore.settle(repo, &self.given, true).await;
        }
        // The moments were such that there was something of each kind to lose.
        assert!(!self.held.is_empty() && !self.commits.is_empty());
        assert!(self.merges > 0 && !self.lives.is_empty());
        assert!(!self.errands.is_empty() && !self.chores.is_empty());
    }
}

async fn check_lives(repo: &Repo, mut lives: Vec<Life>, state: &mut State) {
    for life in &mut lives {
        life.settle(repo).await;
    }
    state.lives.extend(lives);
}

async fn check_errands(repo: &Repo, mut errands: Vec<Errand>, state: &mut State) {
    for errand in &mut errands {
        errand.settle(repo, &state.given, false).await;
    }
    state.errands.extend(errands);
}

async fn check_chores(repo: &Repo, mut chores: Vec<Chore>, state: &mut State) {
    for chore in &mut chores {
        chore.settle(repo, &state.given, false).await;
    }
    state.chores.extend(chores);
}

async fn check_writes(repo: &Repo, round: u64, models: Vec<Model>, state: &mut State) {
    for (worker, mut model) in models.into_iter().enumerate() {
        let paths: Vec<String> = model.0.keys().cloned().collect();
        for path in &paths {
            let found = repo.get(MAIN, path).await.unwrap();
            model.settle(path, found.as_deref());
        }
        let held = model
            .0
            .into_iter()
            .filter_map(|(path, content)| content[0].map(|n| (path, n)));
        let held: BTreeMap<String, u64> = held.collect();
        let listed = repo
            .list(MAIN, &format!("w{worker}/{round}-"))
            .await
            .unwrap();
        assert_eq!(
            listed,
            held.keys().cloned().collect::<Vec<_>>(),
            "the listing shows what can be read"
        );
        state.held.extend(held);
    }
}

/// The branch's first-parent chain from its head back to `since`, without gaps.
async fn chain(repo: &Repo, branch: &str, since: &str) -> Vec<String> {
    let log = repo.log(branch, Some(since)).await.unwrap();
    let ids: Vec<String> = log.iter().map(|c| c.id.clone()).collect();
    assert_eq!(
        ids.first().map(String::as_str),
        Some(repo.head(branch).await.unwrap().as_str())
    );
    assert_eq!(
        ids.last().map(String::as_str),
        Some(since),
        "{branch} no longer reaches {since}"
    );
    for (commit, parent) in log.iter().zip(&ids[1..]) {
        assert_eq!(&commit.parents[0], parent);
    }
    ids
}

async fn check_commits(repo: &Repo, commits: Vec<String>, state: &mut State) {
    let ids = chain(repo, MAIN, &state.main).await;
    assert!(
        commits.iter().all(|c| ids.contains(c)),
        "an acknowledged commit is not in the log"
    );
    state.main.clone_from(&ids[0]);
    state.commits.extend(commits);
}

async fn check_merges(repo: &Repo, round: u64, merged: Merged, state: &mut State) {
    let ids = chain(repo, TRUNK, &state.trunk).await;
    let listed = repo
        .list(TRUNK, &format!("merged/m-{round}-"))
        .await
        .unwrap();
    assert_eq!(
        listed.len(),
        ids.len() - 1,
        "each merge brought its object, and no object came otherwise"
    );
    assert!(listed.len() as u64 <= merged.attempted);
    for path in &listed {
        assert_eq!(
            repo.get(TRUNK, path).await.unwrap(),
            Some(bytes_of(path, 1))
        );
    }
    for (reference, path) in &merged.done {
        assert!(
            ids.contains(reference) && listed.contains(path),
            "the acknowledged merge of {path} is lost"
        );
    }
    state.merges += listed.len();
    state.trunk.clone_from(&ids[0]);
}

async fn one_round(
    server: &mut TestServer,
    name: &str,
    round: u64,
    random: &mut Random,
    state: &mut State,
) {
    let repo = Repo {
        client: server.client(),
        name: name.to_owned(),
    };
    let progress = Arc::new(Progress::default());
    let writers: Vec<_> = (0..WRITERS)
        .map(|w| tokio::spawn(write(repo.clone(), Arc::clone(&progress), w, round)))
        .collect();
    let committer = tokio::spawn(commit(repo.clone(), Arc::clone(&progress)));
    let merger = tokio::spawn(merge(
        repo.clone(),
        Arc::clone(&progress),
        round.to_string(),
    ));
    let root = state.root.clone();
    let liver = tokio::spawn(lives::lead(
        repo.clone(),
        Arc::clone(&progress),
        round.to_string(),
        root,
    ));
    let runner = tokio::spawn(errands::run(
        repo.clone(),
        Arc::clone(&progress),
        round.to_string(),
        Arc::clone(&state.given),
    ));
    let helper = tokio::spawn(chores::run(
        repo,
        Arc::clone(&progress),
        round.to_string(),
        Arc::clone(&state.given),
    ));
    progress.wait(random);
    server.kill9();
    let mut models = Vec::new();
    for writer in writers {
        models.push(writer.await.unwrap());
    }
    let (commits, merged) = (committer.await.unwrap(), merger.await.unwrap());
    let (lives, errands) = (liver.await.unwrap(), runner.await.unwrap());
    let chores = helper.await.unwrap();
    server.restart();
    let repo = Repo {
        client: server.client(),
        name: name.to_owned(),
    };
    check_writes(&repo, round, models, state).await;
    check_commits(&repo, commits, state).await;
    check_merges(&repo, round, merged, state).await;
    check_lives(&repo, lives, state).await;
    check_errands(&repo, errands, state).await;
    check_chores(&repo, chores, state).await;
}

async fn crash(backend: Backend, rounds: u64) {
    let mut server = TestServer::start(backend);
    let repo = server.repo("crash").await;
    let mut state = State::new(&repo).await;
    let mut random = Random::new(2013);
    for round in 0..rounds {
        one_round(&mut server, &repo.name, round, &mut random, &mut state).await;
    }
    let repo = Repo {
        client: server.client(),
        name: repo.name,
    };
    state.check(&repo).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_on_sqlite() {
    crash(Backend::Sqlite, effort(40, 200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_on_postgres() {
    crash(Backend::Postgres, effort(20, 100)).await;
}
