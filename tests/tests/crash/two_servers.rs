//! Two servers on one PostgreSQL database. One is killed repeatedly while both write, commit and
//! merge.
//!
//! The surviving server has every change that either server acknowledged. It also makes progress:
//! nothing held by the dead server blocks it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use system_tests::{Backend, MAIN, Random, Repo, TestServer, effort};

use super::{
    Merged, Progress, State, TRUNK, WRITERS, branch_ops, check_branch_ops, check_commits,
    check_maintenance, check_merges, check_task_ops, check_writes, commit, maintenance, merge,
    task_ops, write,
};

/// Number of writes, commits and merges that the survivor must acknowledge after the other's death.
const REQUIRED_PROGRESS: (u64, u64, u64) = (20, 2, 1);

/// The workers of one server.
struct Workers {
    progress: Arc<Progress>,
    writers: Vec<tokio::task::JoinHandle<super::Model>>,
    committer: tokio::task::JoinHandle<Vec<String>>,
    merger: tokio::task::JoinHandle<Merged>,
    branch_worker: tokio::task::JoinHandle<Vec<branch_ops::BranchOps>>,
    task_worker: tokio::task::JoinHandle<Vec<task_ops::TaskOps>>,
    maintenance_worker: tokio::task::JoinHandle<Vec<maintenance::MaintenanceOps>>,
}

impl Workers {
    fn start(repo: &Repo, number: u64, round: u64, state: &State) -> Self {
        let progress = Arc::new(Progress::default());
        let share = WRITERS / 2;
        let label = format!("{round}-{number}");
        Self {
            writers: (number * share..(number + 1) * share)
                .map(|w| tokio::spawn(write(repo.clone(), Arc::clone(&progress), w, round)))
                .collect(),
            committer: tokio::spawn(commit(repo.clone(), Arc::clone(&progress))),
            merger: tokio::spawn(merge(repo.clone(), Arc::clone(&progress), label.clone())),
            branch_worker: tokio::spawn(branch_ops::run(
                repo.clone(),
                Arc::clone(&progress),
                label.clone(),
                state.root.clone(),
            )),
            task_worker: tokio::spawn(task_ops::run(
                repo.clone(),
                Arc::clone(&progress),
                label.clone(),
                Arc::clone(&state.fixture),
            )),
            maintenance_worker: tokio::spawn(maintenance::run(
                repo.clone(),
                Arc::clone(&progress),
                label,
                Arc::clone(&state.fixture),
            )),
            progress,
        }
    }

    /// Waits until this server has acknowledged a number of further operations.
    fn wait_for_progress(&self) {
        let progress = &self.progress;
        for (kind, more) in [
            (&progress.writes, REQUIRED_PROGRESS.0),
            (&progress.commits, REQUIRED_PROGRESS.1),
            (&progress.merges, REQUIRED_PROGRESS.2),
        ] {
            progress.wait_for(kind, kind.load(Ordering::Relaxed) + more);
        }
        progress.over.store(true, Ordering::Relaxed);
    }
}

async fn one_round(
    servers: &mut [TestServer; 2],
    name: &str,
    round: u64,
    random: &mut Random,
    state: &mut State,
) {
    let repo = |server: &TestServer| Repo {
        client: server.client(),
        name: name.to_owned(),
    };
    let workers = [0, 1].map(|number: u64| {
        let repo = repo(&servers[number as usize]);
        Workers::start(&repo, number, round, state)
    });
    let victim = random.between(0, 2) as usize;
    workers[victim].progress.wait(random);
    servers[victim].kill9();
    workers[1 - victim].wait_for_progress();

    let (mut models, mut commits, mut merged) = (Vec::new(), Vec::new(), Merged::default());
    let (mut branch_ops, mut task_ops, mut maintenance) = (Vec::new(), Vec::new(), Vec::new());
    for server_workers in workers {
        for writer in server_workers.writers {
            models.push(writer.await.unwrap());
        }
        commits.extend(server_workers.committer.await.unwrap());
        let more = server_workers.merger.await.unwrap();
        merged.done.extend(more.done);
        merged.attempted += more.attempted;
        branch_ops.extend(server_workers.branch_worker.await.unwrap());
        task_ops.extend(server_workers.task_worker.await.unwrap());
        maintenance.extend(server_workers.maintenance_worker.await.unwrap());
    }
    let survivor = repo(&servers[1 - victim]);
    check_writes(&survivor, round, models, state).await;
    check_commits(&survivor, commits, state).await;
    check_merges(&survivor, round, merged, state).await;
    check_branch_ops(&survivor, branch_ops, state).await;
    check_task_ops(&survivor, task_ops, state).await;
    check_maintenance(&survivor, maintenance, state).await;
    servers[victim].restart();
    let restarted = repo(&servers[victim]);
    assert_eq!(restarted.head(MAIN).await.unwrap(), state.main);
    assert_eq!(restarted.head(TRUNK).await.unwrap(), state.trunk);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn surviving_server_keeps_all_changes_and_makes_progress() {
    let one = TestServer::start(Backend::Postgres);
    let two = one.start_second_server();
    let repo = one.repo("two").await;
    let mut state = State::new(&repo).await;
    let mut random = Random::new(2017);
    let mut servers = [one, two];
    for round in 0..effort(6, 60) {
        one_round(&mut servers, &repo.name, round, &mut random, &mut state).await;
    }
    let repo = Repo {
        client: servers[1].client(),
        name: repo.name,
    };
    state.check(&repo).await;
}
