//! Misbehaving hooks and invalid action files from a user's point of view: refusal, message and
//! log.
//!
//! `actions/tests/guests` documents the modes of the guest. While a hook is being stopped, the
//! server serves other requests.

use std::time::{Duration, Instant};

use client::types::{ActionRunStatus, HookRunStatus};
use system_tests::{Backend, MAIN, Repo, TestServer, fixture, refusal};

/// A hook that runs the test guest, and the expected message of its refusal.
struct Hook {
    name: &'static str,
    /// Mode of the guest.
    mode: &'static str,
    /// Time limit. Short if it must stop the hook, long if another limit must.
    time: &'static str,
    says: &'static str,
}

const HOSTILE: &[Hook] = &[
    Hook {
        name: "loop",
        mode: "loop",
        time: "1s",
        says: "limit_time: hook was stopped after 1s (limits.time_per_object)",
    },
    Hook {
        name: "allocate",
        mode: "allocate",
        time: "60s",
        says: "limit_memory: hook needed more than 16MiB of memory (limits.memory)",
    },
    Hook {
        name: "panic",
        mode: "panic",
        time: "60s",
        says: "no such column: delay",
    },
    Hook {
        name: "flood",
        mode: "flood-log",
        time: "60s",
        says: "limit_log: hook wrote more than 4KiB to its log (limits.log)",
    },
    Hook {
        name: "allocate-once",
        mode: "allocate-once",
        time: "60s",
        says: "limit_memory: hook needed more than 16MiB of memory (limits.memory)",
    },
    Hook {
        name: "read-file",
        mode: "read-file",
        time: "60s",
        says: "(hooks have no files and no network)",
    },
];

/// Creates a branch with a staged hostile hook and its action file.
async fn prepare(repo: &Repo, hook: &Hook, branch: &str, on: &str) {
    repo.branch(branch, MAIN).await.unwrap();
    stage(repo, hook, branch, on).await;
}

/// Stages a hook and its action file.
async fn stage(repo: &Repo, hook: &Hook, branch: &str, on: &str) {
    repo.put(branch, "hooks/hostile.wasm", fixture("test_gate.wasm"))
        .await
        .unwrap();
    let file = format!(
        "name: hostile\non:\n{on}hooks:\n  - id: guest\n    type: wasm\n    properties:\n      component: hooks/hostile.wasm\n      config:\n        mode: {}\n      limits: {{ memory: 16MiB, time_per_object: {}, log: 4KiB }}\n",
        hook.mode, hook.time
    );
    repo.put(branch, "_lakefs_actions/hostile.yaml", file)
        .await
        .unwrap();
}

/// Sends other requests until `work` is done. Panics if one fails. Returns the result of `work`.
async fn answered_meanwhile<T: Send + 'static>(
    server: &TestServer,
    repo: &Repo,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let work = tokio::spawn(work);
    let health = format!("{}/_health", server.url());
    let http = ::client::http_builder()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let mut answered = 0;
    while !work.is_finished() || answered == 0 {
        assert_eq!(http.get(&health).send().await.unwrap().status(), 200);
        assert_eq!(
            repo.get(MAIN, "calm").await.unwrap().as_deref(),
            Some(&b"sea"[..])
        );
        answered += 1;
    }
    work.await.unwrap()
}

/// Checks that the run of a refused event has the same message as the refusal.
async fn check_run(repo: &Repo, branch: &str, event: &str, says: &str) {
    let (run, hooks) = repo.newest_run(branch).await;
    assert_eq!(
        (run.status, run.event_type.as_str()),
        (ActionRunStatus::Failed, event)
    );
    let [(hook, log)] = &hooks[..] else {
        panic!("{hooks:?}")
    };
    assert_eq!(
        (hook.status, hook.action.as_str(), hook.hook_id.as_str()),
        (HookRunStatus::Failed, "hostile", "guest")
    );
    assert!(log.contains(says), "{log}");
    assert!(log.len() < 64 << 10, "{} bytes", log.len());
}

/// Creates a repository with one commit of `calm`.
async fn hostile_repo(server: &TestServer) -> Repo {
    let repo = server.repo("hostile").await;
    repo.put(MAIN, "calm", "sea").await.unwrap();
    repo.commit(MAIN, "first").await.unwrap();
    repo
}

/// Checks that a change was refused with the cause of the hook's stop, and that the branch did not move.
async fn check_refusal<T: std::fmt::Debug>(
    repo: &Repo,
    hook: &Hook,
    (branch, before): (&str, &str),
    answer: client::Result<T>,
) {
    let (status, error) = refusal(answer);
    assert!(
        status == 412 && error.message.contains(hook.says),
        "{}: {status} {}",
        hook.name,
        error.message
    );
    assert_eq!(repo.head(branch).await.unwrap(), before, "{}", hook.name);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_hooks_refuse_commits_with_the_cause_of_their_stop() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = hostile_repo(&server).await;
    for hook in HOSTILE {
        let branch = format!("commit-{}", hook.name);
        prepare(&repo, hook, &branch, "  pre-commit:\n").await;
        let before = repo.head(&branch).await.unwrap();
        let work = {
            let (repo, branch) = (repo.clone(), branch.clone());
            async move { repo.commit(&branch, "hostile").await }
        };
        let answer = answered_meanwhile(&server, &repo, work).await;
        check_refusal(&repo, hook, (&branch, &before), answer).await;
        check_run(&repo, &branch, "pre-commit", hook.says).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_hooks_refuse_merges_with_the_cause_of_their_stop() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = hostile_repo(&server).await;
    for hook in HOSTILE {
        let (source, destination) = (format!("from-{}", hook.name), format!("to-{}", hook.name));
        prepare(&repo, hook, &source, "  pre-merge:\n").await;
        repo.commit(&source, "a commit without a gate")
            .await
            .unwrap();
        repo.branch(&destination, MAIN).await.unwrap();
        let before = repo.head(&destination).await.unwrap();
        let work = {
            let (repo, destination) = (repo.clone(), destination.clone());
            async move { repo.merge(&source, &destination).await }
        };
        let answer = answered_meanwhile(&server, &repo, work).await;
        check_refusal(&repo, hook, (&destination, &before), answer).await;
        check_run(&repo, &destination, "pre-merge", hook.says).await;
    }
}

#[tokio::test]
async fn change_lands_after_its_hook_is_repaired() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = hostile_repo(&server).await;
    let hook = &HOSTILE[0];
    prepare(&repo, hook, "dev", "  pre-commit:\n").await;
    refusal(repo.commit("dev", "hostile").await);
    let repaired = Hook {
        mode: "pass",
        time: "60s",
        ..*hook
    };
    stage(&repo, &repaired, "dev", "  pre-commit:\n").await;
    repo.commit("dev", "calm again").await.unwrap();
}

/// Stages a component and its gate on a new branch and commits. Returns the message with which the
/// gate refuses this commit.
async fn refused(repo: &Repo, component: &str, branch: &str, limits: &str) -> String {
    repo.branch(branch, MAIN).await.unwrap();
    repo.put(branch, "hooks/hostile.wasm", fixture(component))
        .await
        .unwrap();
    let file = format!(
        "name: hostile\non:\n  pre-commit:\nhooks:\n  - id: guest\n    type: wasm\n    properties:\n      component: hooks/hostile.wasm\n      limits: {{ {limits} }}\n"
    );
    repo.put(branch, "_lakefs_actions/hostile.yaml", file)
        .await
        .unwrap();
    let (status, error) = refusal(repo.commit(branch, "hostile").await);
    assert_eq!(status, 412, "{}", error.message);
    error.message
}

/// Regression test: two nested components that passed 500 MB strings to each other ran for 9 s
/// despite a limit of 1 s, and delayed `/_health` by 12 s. Instructions that fill all memory also
/// blocked a serving thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uninterruptible_guests_do_not_block_requests() {
    let server = TestServer::start(Backend::Sqlite);
    let hostile = server.repo("stuck").await;
    let repo = server.repo("calm").await;
    repo.put(MAIN, "calm", "sea").await.unwrap();
    let work = async move {
        let text = refused(
            &hostile,
            "nested_text.wasm",
            "text",
            "memory: 1600MiB, time_per_object: 1s",
        );
        let names: Vec<String> = (0..6).map(|n| format!("fill-{n}")).collect();
        let fills = names.iter().map(|name| {
            refused(
                &hostile,
                "long_fill.wasm",
                name,
                "memory: 256MiB, time_per_object: 1s",
            )
        });
        let (text, mut refusals) = futures::join!(text, futures::future::join_all(fills));
        refusals.push(text);
        refusals
    };
    let work = tokio::spawn(work);
    let health = format!("{}/_health", server.url());
    let http = ::client::http_builder().build().unwrap();
    // Count the requests during which guests used CPU time. If requests waited for the guests, all of
    // the guests' CPU time would pass during one request.
    let mut answered = 0;
    let mut before = time_of_guests(server.pid());
    while !work.is_finished() {
        assert_eq!(http.get(&health).send().await.unwrap().status(), 200);
        let calm = repo.get(MAIN, "calm").await.unwrap();
        assert_eq!(calm.as_deref(), Some(&b"sea"[..]));
        let now = time_of_guests(server.pid());
        answered += u32::from(now > before);
        before = now;
    }
    for refusal in work.await.unwrap() {
        let says = "limit_time: hook was stopped after 1s (limits.time_per_object)";
        assert!(refusal.contains(says), "{refusal}");
    }
    assert!(answered >= 5, "{answered} requests while guests ran");
}

/// Returns the CPU time of a server's guest threads in nanoseconds.
fn time_of_guests(server: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{server}/task")).unwrap();
    let guests = threads.flatten().filter(|thread| {
        std::fs::read_to_string(thread.path().join("comm"))
            .is_ok_and(|name| name.trim() == "weir-guest")
    });
    guests
        .filter_map(|thread| {
            let times = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            times.split(' ').next()?.parse::<u64>().ok()
        })
        .sum()
}

/// Returns the processes that a server started, which are its compilers.
fn children(server: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Ok(status) = std::fs::read_to_string(process.path().join("status")) else {
            continue;
        };
        let parent = status.lines().find_map(|l| l.strip_prefix("PPid:"));
        if parent.map(str::trim) == Some(server.to_string().as_str()) {
            found.push(pid);
        }
    }
    found
}

/// Waits up to a minute until a condition holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while !holds() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        ticks.tick().await;
    }
}

/// A component of 32 KB whose compilation does not finish. The compiler must not delay others, and
/// must exit with the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_compilation_blocks_nobody_and_ends_with_the_server() {
    let mut server = TestServer::start(Backend::Sqlite);
    let repo = server.repo("compiled").await;
    for ending in ["terminated", "killed"] {
        let hostile = server.repo(&format!("loops-{ending}")).await;
        let work = tokio::spawn(async move {
            refused(&hostile, "nested_loops.wasm", "loops", "memory: 16MiB").await
        });
        let pid = server.pid();
        until("a compiler runs", || !children(pid).is_empty()).await;
        let compiler = children(pid)[0];
        // The gate of another repository is compiled and runs.
        let calm = Hook {
            name: "calm",
            mode: "pass",
            time: "60s",
            says: "",
        };
        prepare(&repo, &calm, ending, "  pre-commit:\n").await;
        repo.commit(ending, "calm").await.unwrap();
        // The caller gives up. The compilation continues for the next attempt.
        work.abort();
        if ending == "killed" {
            server.kill9();
        } else {
            server.stop();
        }
        let gone = format!("/proc/{compiler}");
        until("the compiler has ended", || {
            !std::path::Path::new(&gone).exists()
        })
        .await;
        server.restart();
    }
}

/// Invalid action files, and the expected message of the refusal.
const WRONG_FILES: &[(&str, &str)] = &[
    ("name: [", "not valid YAML"),
    (
        "name: gate\non:\n  pre-comit:\nhooks:\n  - id: one\n    type: wasm\n    properties: { component: a.wasm }\n",
        "did you mean 'pre-commit'?",
    ),
    (
        "name: gate\non:\n  pre-commit:\nhooks:\n  - id: one\n    type: wasm\n    properties: { config: {} }\n",
        "'component' is required",
    ),
    (
        "name: gate\non:\n  pre-commit:\nhooks:\n  - id: one\n    type: wasm\n    properties: { component: a.wasm, limits: { memry: 1GiB } }\n",
        "unknown property 'limits.memry'; did you mean 'memory'?",
    ),
];

#[tokio::test]
async fn invalid_action_files_are_refused_with_a_position() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = server.repo("wrong-files").await;
    for (number, (file, says)) in WRONG_FILES.iter().enumerate() {
        let branch = format!("wrong-{number}");
        repo.branch(&branch, MAIN).await.unwrap();
        repo.put(&branch, "_lakefs_actions/gate.yaml", *file)
            .await
            .unwrap();
        let (status, error) = refusal(repo.commit(&branch, "wrong").await);
        assert!(
            status == 400 && error.message.contains("gate.yaml") && error.message.contains(says),
            "{status} {}",
            error.message
        );
    }
}

/// They are reported although the file's event does not occur.
#[tokio::test]
async fn invalid_components_are_refused_when_they_are_committed() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = server.repo("wrong-files").await;
    let file = "name: gate\non:\n  pre-merge:\nhooks:\n  - id: one\n    type: wasm\n    properties: { component: hooks/one.wasm }\n";
    for (branch, component, says) in [
        (
            "missing",
            None,
            "gate:7:30: hook 'one': component hooks/one.wasm not found on branch missing; upload it and commit it with this file, or fix 'component'",
        ),
        (
            "no-component",
            Some(b"#!/bin/sh\nexit 0\n".to_vec()),
            "component_invalid: this is not a WebAssembly component: build for wasm32-wasip2",
        ),
        (
            "half-a-component",
            Some(fixture("test_gate.wasm")[..1000].to_vec()),
            "component_invalid: component is not valid: ",
        ),
    ] {
        repo.branch(branch, MAIN).await.unwrap();
        repo.put(branch, "_lakefs_actions/gate", file)
            .await
            .unwrap();
        if let Some(component) = component {
            repo.put(branch, "hooks/one.wasm", component).await.unwrap();
        }
        let (status, error) = refusal(repo.commit(branch, "wrong").await);
        assert!(
            status == 400 && error.message.contains(says),
            "{branch}: {status} {}",
            error.message
        );
    }
}

/// A change with a probable mistake lands, and its author gets a warning in the response and in the
/// run.
#[tokio::test]
async fn warnings_and_runs_are_in_the_response() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = server.repo("warned").await;
    repo.put(MAIN, "hooks/gate.wasm", fixture("test_gate.wasm"))
        .await
        .unwrap();
    let file = "name: gate\nhoks: []\non: { pre-commit: , pre-merge: , pre-revert: }\nhooks:\n  - id: one\n    type: wasm\n    properties: { component: hooks/gate.wasm, config: { mode: pass } }\n";
    repo.put(MAIN, "_lakefs_actions/gate", file).await.unwrap();
    let commit = repo.commit(MAIN, "a gate").await.unwrap();
    let warning = "_lakefs_actions/gate:2:1: unknown key 'hoks' is ignored; did you mean 'hooks'?";
    assert_eq!(commit.warnings, Some(vec![warning.to_owned()]));
    let (run, hooks) = repo.newest_run(MAIN).await;
    assert_eq!(run.warnings, commit.warnings);
    assert_eq!(commit.gate_run_ids, Some(vec![run.run_id]));
    let log = &hooks[0].1;
    assert!(log.starts_with(&format!("warning: {warning}\n")), "{log}");

    // The warning appears once: the next change does not contain the file.
    repo.branch("dev", MAIN).await.unwrap();
    repo.put("dev", "x", "x").await.unwrap();
    let commit = repo.commit("dev", "x").await.unwrap();
    assert_eq!(commit.warnings, None);
    let merged = repo.merge("dev", MAIN).await.unwrap();
    let (run, _) = repo.newest_run(MAIN).await;
    assert_eq!(
        (run.event_type.as_str(), Some(vec![run.run_id.clone()])),
        ("pre-merge", merged.gate_run_ids)
    );
}

/// Regression test: row, column and properties were only in the text of a refusal.
#[tokio::test]
async fn findings_are_in_the_response_with_their_positions() {
    let server = TestServer::start(Backend::Sqlite);
    let repo = server.repo("findings").await;
    let hook = Hook {
        name: "fail",
        mode: "fail",
        time: "60s",
        says: "",
    };
    prepare(&repo, &hook, "dev", "  pre-commit:\n").await;
    let (status, error) = refusal(repo.commit("dev", "refused").await);
    assert_eq!(status, 412);
    assert!(
        error
            .message
            .contains("[column=delay] [length=20] [offset=10] [ratio=0.5] [row=8]"),
        "{}",
        error.message
    );
    let [finding] = &error.findings.unwrap()[..] else {
        panic!("one finding")
    };
    // The guest counts rows from 0, the response from 1.
    assert_eq!(
        (finding.row, finding.column.as_deref()),
        (Some(8), Some("delay"))
    );
    let properties: Vec<_> = finding.properties.iter().flatten().collect();
    let rendered: Vec<String> = properties.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(rendered, ["length=20", "offset=10", "ratio=0.5"]);
}
