//! Two servers on one PostgreSQL, one of them killed, again and again, while both write, commit and merge.
//!
//! What either acknowledged is there, by the one that is left; and the one that is left goes on: nothing
//! that the dead one held keeps it waiting.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use system_tests::{Backend, MAIN, Random, Repo, TestServer, effort};

use super::{
    Merged, Progress, State, TRUNK, WRITERS, check_chores, check_commits, check_errands,
    check_lives, check_merges, check_writes, chores, commit, errands, lives, merge, write,
};

/// What the one that is left must acknowledge after the other's death, of each kind.
const GOES_ON: (u64, u64, u64) = (20, 2, 1);

/// Those who work with one server.
struct Crew {
    progress: Arc<Progress>,
    writers: Vec<tokio::task::JoinHandle<super::Model>>,
    committer: tokio::task::JoinHandle<Vec<String>>,
    merger: tokio::task::JoinHandle<Merged>,
    liver: tokio::task::JoinHandle<Vec<lives::Life>>,
    runner: tokio::task::JoinHandle<Vec<errands::Errand>>,
    helper: tokio::task::JoinHandle<Vec<chores::Chore>>,
}

impl Crew {
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
            liver: tokio::spawn(lives::lead(
                repo.clone(),
                Arc::clone(&progress),
                label.clone(),
                state.root.clone(),
            )),
            runner: tokio::spawn(errands::run(
                repo.clone(),
                Arc::clone(&progress),
                label.clone(),
                Arc::clone(&state.given),
            )),
            helper: tokio::spawn(chores::run(
                repo.clone(),
                Arc::clone(&progress),
                label,
                Arc::clone(&state.given),
            )),
            progress,
        }
    }

    /// Returns when so much more was acknowledged by this server.
    fn wait_until_it_goes_on(&self) {
        let progress = &self.progress;
        for (kind, more) in [
            (&progress.writes, GOES_ON.0),
            (&progress.commits, GOES_ON.1),
            (&progress.merges, GOES_ON.2),
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
    let crews = [0, 1].map(|number: u64| {
        let repo = repo(&servers[number as usize]);
        Crew::start(&repo, number, round, state)
    });
    let victim = random.between(0, 2) as usize;
    crews[victim].progress.wait(random);
    servers[victim].kill9();
    crews[1 - victim].wait_until_it_goes_on();

    let (mut models, mut commits, mut merged) = (Vec::new(), Vec::new(), Merged::default());
    let (mut lives, mut errands, mut chores) = (Vec::new(), Vec::new(), Vec::new());
    for crew in crews {
        for writer in crew.writers {
            models.push(writer.await.unwrap());
        }
        commits.extend(crew.committer.await.unwrap());
        let more = crew.merger.await.unwrap();
        merged.done.extend(more.done);
        merged.attempted += more.attempted;
        lives.extend(crew.liver.await.unwrap());
        errands.extend(crew.runner.await.unwrap());
        chores.extend(crew.helper.await.unwrap());
    }
    let left = repo(&servers[1 - victim]);
    check_writes(&left, round, models, state).await;
    check_commits(&left, commits, state).await;
    check_merges(&left, round, merged, state).await;
    check_lives(&left, lives, state).await;
    check_errands(&left, errands, state).await;
    check_chores(&left, chores, state).await;
    servers[victim].restart();
    let back = repo(&servers[victim]);
    assert_eq!(back.head(MAIN).await.unwrap(), state.main);
    assert_eq!(back.head(TRUNK).await.unwrap(), state.trunk);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_servers_dies_and_the_other_goes_on() {
    let one = TestServer::start(Backend::Postgres);
    let two = one.beside();
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
