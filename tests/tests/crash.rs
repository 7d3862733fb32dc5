//! Kills the server at random moments (`kill -9`) while clients write, delete, commit, merge,
//! change branches and tags in other ways, and create, fill and delete repositories. Repeats this
//! many times on one data folder, and also with two servers on one database.
//!
//! After each restart: acknowledged changes exist, other changes exist completely or not at all,
//! and the server starts. Each path has one writer, so that the model knows its possible contents.
//! The moment of the kill is chosen by the number of responses plus a short delay, so that slow and
//! fast machines have the same amount of work at risk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use client::Error;
use system_tests::{Backend, MAIN, Random, Repo, TestServer, effort};

use self::branch_ops::BranchOps;
use self::maintenance::MaintenanceOps;
use self::task_ops::{Fixture, TaskOps};

#[path = "crash/branch_ops.rs"]
mod branch_ops;
#[path = "crash/maintenance.rs"]
mod maintenance;
#[path = "crash/task_ops.rs"]
mod task_ops;
#[path = "crash/two_servers.rs"]
mod two_servers;

const WRITERS: u64 = 4;
/// A branch that is changed by merges only.
const TRUNK: &str = "trunk";
/// Size of large contents. All others are one line.
const BIG_BYTES: usize = 300_000;
/// Number of responses that a round waits for before the kill.
const ANSWERS: std::ops::Range<u64> = 1..16;
/// Additional delay of the kill, in microseconds.
const DELAY_US: std::ops::Range<u64> = 0..60_000;
/// Longer than the slowest round takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Content of a path: the number of the write, or `None` if there is no object.
type Content = Option<u64>;

/// Possible contents of each path: the last acknowledged one, and those requested since.
#[derive(Debug, Default)]
struct Model(BTreeMap<String, Vec<Content>>);

impl Model {
    fn ask(&mut self, path: &str, content: Content) {
        self.0
            .entry(path.to_owned())
            .or_insert_with(|| vec![None])
            .push(content);
    }

    /// Records that the last requested change has been acknowledged.
    fn acknowledge(&mut self, path: &str) {
        let allowed = self.0.get_mut(path).expect("the change was requested");
        allowed.drain(..allowed.len() - 1);
    }

    /// Checks that a path holds one of its possible contents after a restart. The content must not change afterwards.
    fn settle(&mut self, path: &str, found: Option<&[u8]>) {
        let allowed = self.0.get_mut(path).expect("the change was requested");
        let fits = |content: &Content| content.map(|n| bytes_of(path, n)).as_deref() == found;
        let held = allowed.iter().copied().find(fits);
        let held = held.unwrap_or_else(|| {
            panic!(
                "{path} holds {} bytes that match none of the writes {allowed:?}",
                found.map_or(0, <[u8]>::len)
            )
        });
        *allowed = vec![held];
    }
}

/// Every seventh content is large, so that a kill can interrupt it.
fn bytes_of(path: &str, number: u64) -> Vec<u8> {
    let line = format!("{path} {number}\n");
    let copies = if number.is_multiple_of(7) {
        BIG_BYTES / line.len()
    } else {
        1
    };
    line.repeat(copies).into_bytes()
}

/// Reports whether the server is gone. Panics on any other error.
fn is_gone(e: &Error) -> bool {
    assert!(e.status().is_none(), "{e}");
    true
}

/// Number of acknowledged operations in a round.
#[derive(Debug, Default)]
struct Progress {
    writes: AtomicU64,
    commits: AtomicU64,
    merges: AtomicU64,
    branch_ops: AtomicU64,
    task_ops: AtomicU64,
    maintenance: AtomicU64,
    over: AtomicBool,
}

impl Progress {
    fn count_branch_op(&self) {
        self.branch_ops.fetch_add(1, Ordering::Relaxed);
    }

    fn count_task_op(&self) {
        self.task_ops.fetch_add(1, Ordering::Relaxed);
    }

    fn count_maintenance_op(&self) {
        self.maintenance.fetch_add(1, Ordering::Relaxed);
    }

    /// Reports whether workers must stop, even if the server is still running.
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Waits until a random number of operations of a random kind has been acknowledged, and a
    /// short random time longer.
    fn wait(&self, random: &mut Random) {
        let answers = random.between(ANSWERS.start, ANSWERS.end);
        match random.between(0, 6) {
            0 => self.wait_for(&self.writes, 4 * answers),
            1 => self.wait_for(&self.commits, answers),
            2 => self.wait_for(&self.merges, random.between(1, 4)),
            3 => self.wait_for(&self.branch_ops, 2 * answers),
            4 => self.wait_for(&self.task_ops, random.between(1, 9)),
            _ => self.wait_for(&self.maintenance, random.between(1, 9)),
        }
        std::thread::sleep(Duration::from_micros(
            random.between(DELAY_US.start, DELAY_US.end),
        ));
    }

    fn wait_for(&self, kind: &AtomicU64, answers: u64) {
        let deadline = Instant::now() + PATIENCE;
        while kind.load(Ordering::Relaxed) < answers {
            assert!(
                Instant::now() < deadline,
                "the server makes no progress: {self:?}"
            );
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Puts, overwrites and deletes objects until the server is gone.
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

/// Commits until the server is gone. Returns the acknowledged commits.
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

/// Acknowledged merges of one round.
#[derive(Debug, Default)]
struct Merged {
    /// (merge commit, path of its object) of each acknowledged merge.
    done: Vec<(String, String)>,
    attempted: u64,
}

/// Creates branches, writes, commits and merges until the server is gone.
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

/// Heads at the last restart, and all acknowledged changes.
#[derive(Debug)]
struct State {
    /// The repository's first commit.
    root: String,
    main: String,
    trunk: String,
    held: BTreeMap<String, u64>,
    commits: Vec<String>,
    merges: usize,
    branch_ops: Vec<BranchOps>,
    task_ops: Vec<TaskOps>,
    maintenance: Vec<MaintenanceOps>,
    fixture: Arc<Fixture>,
}

impl State {
    async fn new(repo: &Repo) -> Self {
        repo.branch(TRUNK, MAIN).await.unwrap();
        let root = repo.head(MAIN).await.unwrap();
        Self {
            main: root.clone(),
            trunk: root.clone(),
            fixture: Arc::new(Fixture::make(repo, &root).await),
            root,
            held: BTreeMap::new(),
            commits: Vec::new(),
            merges: 0,
            branch_ops: Vec::new(),
            task_ops: Vec::new(),
            maintenance: Vec::new(),
        }
    }

    /// Checks that the changes of all rounds still exist.
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
        for branch_op in &mut self.branch_ops {
            branch_op.settle(repo).await;
        }
        for task_op in &mut self.task_ops {
            task_op.settle(repo, &self.fixture, true).await;
        }
        for op in &mut self.maintenance {
            op.settle(repo, &self.fixture, true).await;
        }
        // Check that operations of every kind were at risk.
        assert!(!self.held.is_empty() && !self.commits.is_empty());
        assert!(self.merges > 0 && !self.branch_ops.is_empty());
        assert!(!self.task_ops.is_empty() && !self.maintenance.is_empty());
    }
}

async fn check_branch_ops(repo: &Repo, mut branch_ops: Vec<BranchOps>, state: &mut State) {
    for branch_op in &mut branch_ops {
        branch_op.settle(repo).await;
    }
    state.branch_ops.extend(branch_ops);
}

async fn check_task_ops(repo: &Repo, mut task_ops: Vec<TaskOps>, state: &mut State) {
    for task_op in &mut task_ops {
        task_op.settle(repo, &state.fixture, false).await;
    }
    state.task_ops.extend(task_ops);
}

async fn check_maintenance(repo: &Repo, mut maintenance: Vec<MaintenanceOps>, state: &mut State) {
    for op in &mut maintenance {
        op.settle(repo, &state.fixture, false).await;
    }
    state.maintenance.extend(maintenance);
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
            "listing and reads must agree"
        );
        state.held.extend(held);
    }
}

/// Returns the branch's first-parent chain from its head back to `since`, without gaps.
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
        "every object must come from exactly one merge"
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
    let branch_worker = tokio::spawn(branch_ops::run(
        repo.clone(),
        Arc::clone(&progress),
        round.to_string(),
        root,
    ));
    let task_worker = tokio::spawn(task_ops::run(
        repo.clone(),
        Arc::clone(&progress),
        round.to_string(),
        Arc::clone(&state.fixture),
    ));
    let maintenance_worker = tokio::spawn(maintenance::run(
        repo,
        Arc::clone(&progress),
        round.to_string(),
        Arc::clone(&state.fixture),
    ));
    progress.wait(random);
    server.kill9();
    let mut models = Vec::new();
    for writer in writers {
        models.push(writer.await.unwrap());
    }
    let (commits, merged) = (committer.await.unwrap(), merger.await.unwrap());
    let (branch_ops, task_ops) = (branch_worker.await.unwrap(), task_worker.await.unwrap());
    let maintenance = maintenance_worker.await.unwrap();
    server.restart();
    let repo = Repo {
        client: server.client(),
        name: name.to_owned(),
    };
    check_writes(&repo, round, models, state).await;
    check_commits(&repo, commits, state).await;
    check_merges(&repo, round, merged, state).await;
    check_branch_ops(&repo, branch_ops, state).await;
    check_task_ops(&repo, task_ops, state).await;
    check_maintenance(&repo, maintenance, state).await;
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
async fn acknowledged_changes_survive_crashes_on_sqlite() {
    crash(Backend::Sqlite, effort(40, 200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_changes_survive_crashes_on_postgres() {
    crash(Backend::Postgres, effort(20, 100)).await;
}
