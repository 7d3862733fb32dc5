//! The events that hooks receive, and the state after a refusal.

use expect_test::expect;

use crate::testing::{Lake, Recorder, branch, committing, merging};
use crate::{Error, Event, EventKind, TagId, TreeSource};

/// The fields of events that lakeFS sends; ids are replaced by names.
fn show(events: &[Event], names: &[(&str, &str)]) -> String {
    let name = |text: &str| {
        let known = names.iter().find(|(id, _)| *id == text);
        known.map_or_else(|| text.to_owned(), |(_, name)| format!("<{name}>"))
    };
    let mut lines = Vec::new();
    for event in events {
        let mut line = event.kind().as_str().to_owned();
        let mut add = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                line.push_str(&format!(" {key}={value}"));
            }
        };
        add("branch", event.branch().map(ToString::to_string));
        add("tag", event.tag().map(ToString::to_string));
        add("source_ref", Some(name(event.source_ref())));
        add("commit_id", event.commit_id().map(|id| name(id.as_str())));
        add("message", event.commit().map(|c| c.message.clone()));
        add(
            "metadata",
            event
                .commit()
                .map(|c| format!("{:?}", c.metadata))
                .filter(|m| m != "{}"),
        );
        add("merge_source", event.merge_source().map(str::to_owned));
        add("by", Some(event.actor.clone()));
        lines.push(line);
    }
    lines.join("\n")
}

/// Regression: the runs of one operation were listed in reverse, since their ids ascended within a
/// second.
#[tokio::test]
async fn run_ids_of_later_events_sort_first() {
    let lake = Lake::new().await;
    let hooks = Recorder::default();
    lake.put("main", "a=1").await;
    lake.commit_with("main", committing("one"), &hooks)
        .await
        .unwrap();
    let dev = branch("dev");
    lake.graveler
        .create_branch(&lake.repo, &dev, "main", false, false, "tester", &hooks)
        .await
        .unwrap();
    lake.put("dev", "x=1").await;
    lake.commit_with("dev", committing("two"), &hooks)
        .await
        .unwrap();
    lake.merge_with("dev", "main", merging(), &hooks)
        .await
        .unwrap();
    let events = hooks.take();
    let ids: Vec<&str> = events.iter().map(|event| event.run_id.as_str()).collect();
    assert!(
        ids.len() >= 10 && ids.is_sorted_by(|earlier, later| earlier > later),
        "{ids:?}"
    );
}

#[tokio::test]
async fn events_match_lakefs() {
    let lake = Lake::new().await;
    let hooks = Recorder::default();
    lake.put("main", "a=1").await;
    let mut params = committing("with actions");
    params.metadata.insert("k".into(), "v".into());
    let first = lake.commit_with("main", params, &hooks).await.unwrap();
    let main = (first.id.as_str(), "first");
    let committed = hooks.take();
    expect![[r#"
        prepare-commit branch=main source_ref=main message=with actions metadata={"k": "v"} by=tester
        pre-commit branch=main source_ref=main message=with actions metadata={"k": "v"} by=tester
        post-commit branch=main source_ref=<first> commit_id=<first> message=with actions metadata={"k": "v"} by=tester"#]]
    .assert_eq(&show(&committed, &[main]));
    assert_eq!(
        committed[1].actions_from(),
        TreeSource::Branch(&branch("main"))
    );
    assert_eq!(committed[1].candidate(), Some(&first.meta_range_id));
    assert_eq!(committed[1].base().unwrap().as_str(), "");
    assert_eq!(
        committed[2].pre_run_id(),
        Some(committed[1].run_id.as_str())
    );
    assert_eq!(
        committed[2].actions_from(),
        TreeSource::MetaRange(&first.meta_range_id)
    );

    let dev = branch("dev");
    lake.graveler
        .create_branch(&lake.repo, &dev, "main", false, false, "tester", &hooks)
        .await
        .unwrap();
    expect![[r#"
        pre-create-branch branch=dev source_ref=main commit_id=<first> by=tester
        post-create-branch branch=dev source_ref=main commit_id=<first> by=tester"#]]
    .assert_eq(&show(&hooks.take(), &[main]));

    lake.put("dev", "x=1").await;
    let second = lake.commit("dev", "x").await.unwrap();
    let params = crate::MergeParams {
        message: "m".into(),
        metadata: [("a".to_owned(), "b".to_owned())].into(),
        ..merging()
    };
    let merge = lake
        .merge_with("dev", "main", params, &hooks)
        .await
        .unwrap();
    let names = [
        main,
        (second.id.as_str(), "second"),
        (merge.commit_id.as_str(), "merge"),
    ];
    let merged = hooks.take();
    expect![[r#"
        pre-merge branch=main source_ref=<second> commit_id=<merge> message=m metadata={".lakefs.merge.strategy": "default", "a": "b"} merge_source=dev by=tester
        post-merge branch=main source_ref=<merge> commit_id=<merge> message=m metadata={".lakefs.merge.strategy": "default", "a": "b"} merge_source=dev by=tester"#]]
    .assert_eq(&show(&merged, &names));
    assert_eq!(merged[0].base(), Some(&first.meta_range_id));
    assert_eq!(merged[0].source(), Some(&second.meta_range_id));
    assert_eq!(
        merged[0].candidate(),
        Some(&lake.head("main").await.meta_range_id)
    );
    assert_eq!(merged[1].pre_run_id(), Some(merged[0].run_id.as_str()));

    let tag = TagId::trusted("t");
    lake.graveler
        .create_tag(&lake.repo, &tag, "main", false, "tester", &hooks)
        .await
        .unwrap();
    lake.graveler
        .delete_tag(&lake.repo, &tag, false, "tester", &hooks)
        .await
        .unwrap();
    lake.graveler
        .delete_branch(&lake.repo, &dev, false, "tester", &hooks)
        .await
        .unwrap();
    expect![[r#"
        pre-create-tag tag=t source_ref=<merge> commit_id=<merge> by=tester
        post-create-tag tag=t source_ref=<merge> commit_id=<merge> by=tester
        pre-delete-tag tag=t source_ref=<merge> commit_id=<merge> by=tester
        post-delete-tag tag=t source_ref=<merge> commit_id=<merge> by=tester
        pre-delete-branch branch=dev source_ref=<second> by=tester
        post-delete-branch branch=dev source_ref=<second> by=tester"#]]
    .assert_eq(&show(&hooks.take(), &names));
}

#[tokio::test]
async fn refused_changes_leave_the_repository_unchanged() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    let head = lake.head("main").await;
    for kind in [EventKind::PrepareCommit, EventKind::PreCommit] {
        let hooks = Recorder::refusing(kind);
        let refused = lake.commit_with("main", committing("no"), &hooks).await;
        assert!(matches!(refused, Err(Error::Rejected(rejection)) if rejection.kind == kind));
        assert!(hooks.take().iter().all(|event| !event.kind().is_post()));
        assert_eq!(lake.head("main").await, head);
        assert_eq!(
            lake.show("main").await,
            "a=1",
            "the change must still be staged"
        );
        assert_eq!(lake.uncommitted("main").await, "+a:>1");
    }
    lake.put("main", "a=2 b=1").await;
    lake.commit("main", "allowed").await.unwrap();
    assert_eq!(lake.show("main@").await, "a=2 b=1");

    lake.branch_from("dev", "main").await;
    lake.put("dev", "c=1").await;
    lake.commit("dev", "c").await.unwrap();
    let head = lake.head("main").await;
    let refused = lake
        .merge_with(
            "dev",
            "main",
            merging(),
            &Recorder::refusing(EventKind::PreMerge),
        )
        .await;
    assert!(matches!(refused, Err(Error::Rejected(_))));
    assert_eq!(lake.head("main").await, head);

    let hooks = Recorder::refusing(EventKind::PreCreateBranch);
    let refused = lake
        .graveler
        .create_branch(
            &lake.repo,
            &branch("x"),
            "main",
            false,
            false,
            "tester",
            &hooks,
        )
        .await;
    assert!(matches!(refused, Err(Error::Rejected(_))));
    assert!(matches!(
        lake.graveler.branch(&lake.repo, &branch("x")).await,
        Err(Error::NotFound { .. })
    ));
    let hooks = Recorder::refusing(EventKind::PreDeleteBranch);
    let refused = lake
        .graveler
        .delete_branch(&lake.repo, &branch("dev"), false, "tester", &hooks)
        .await;
    assert!(matches!(refused, Err(Error::Rejected(_))));
    lake.graveler
        .branch(&lake.repo, &branch("dev"))
        .await
        .unwrap();
}

/// Hooks during which another server changes `main`, the first time they judge.
#[derive(Debug)]
struct InterferingHooks {
    other: Lake,
    inner: Recorder,
    /// What the other server stages.
    stage: &'static str,
    commit: bool,
    done: std::sync::atomic::AtomicBool,
}

#[async_trait::async_trait]
impl crate::Hooks for InterferingHooks {
    async fn before(&self, event: &Event) -> Result<crate::HookOutcome, Box<crate::Rejection>> {
        let judging = matches!(event.kind(), EventKind::PreCommit | EventKind::PreMerge);
        if judging && !self.done.swap(true, std::sync::atomic::Ordering::Relaxed) {
            let other = &self.other;
            other.put("main", self.stage).await;
            if self.commit {
                other.commit("main", "interfering").await.unwrap();
            } else {
                let refused = other
                    .commit_with(
                        "main",
                        committing("no"),
                        &Recorder::refusing(EventKind::PreCommit),
                    )
                    .await;
                assert!(matches!(refused, Err(Error::Rejected(_))));
            }
        }
        self.inner.before(event).await
    }

    async fn after(&self, event: Event) {
        self.inner.after(event).await;
    }
}

/// Hooks during which another server interferes. This server keeps the branch's turn while brief hooks
/// run, so it could not.
fn interfering(lake: &Lake, stage: &'static str, commit: bool) -> InterferingHooks {
    let graveler = lake.graveler.fork_for_tests();
    let other = Lake {
        graveler,
        ..lake.clone()
    };
    InterferingHooks {
        other,
        inner: Recorder::default(),
        stage,
        commit,
        done: false.into(),
    }
}

fn count_events(hooks: &InterferingHooks, kind: EventKind) -> usize {
    hooks
        .inner
        .take()
        .iter()
        .filter(|event| event.kind() == kind)
        .count()
}

#[tokio::test]
async fn hooks_judge_again_only_for_another_commit() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    lake.commit("main", "base").await.unwrap();
    lake.branch_from("dev", "main").await;
    lake.put("dev", "b=1").await;
    lake.commit("dev", "b").await.unwrap();

    // Another commit landed first, so the merged tree changes and is judged again.
    let hooks = interfering(&lake, "c=1", true);
    lake.merge_with("dev", "main", merging(), &hooks)
        .await
        .unwrap();
    assert_eq!(count_events(&hooks, EventKind::PreMerge), 2);
    assert_eq!(lake.show("main@").await, "a=1 b=1 c=1");

    // A write was only sealed, so the candidate stays the same and the write stays staged.
    lake.put("dev", "d=1").await;
    lake.commit("dev", "d").await.unwrap();
    let hooks = interfering(&lake, "e=1", false);
    lake.merge_with("dev", "main", merging(), &hooks)
        .await
        .unwrap();
    assert_eq!(count_events(&hooks, EventKind::PreMerge), 1);
    assert_eq!(lake.show("main@").await, "a=1 b=1 c=1 d=1");
    assert_eq!(lake.uncommitted("main").await, "+e:>1");

    // The same for commits.
    let hooks = interfering(&lake, "f=1", false);
    lake.commit_with("main", committing("e"), &hooks)
        .await
        .unwrap();
    assert_eq!(count_events(&hooks, EventKind::PreCommit), 1);
    assert_eq!(lake.show("main@").await, "a=1 b=1 c=1 d=1 e=1");
    assert_eq!(lake.uncommitted("main").await, "+f:>1");
}

/// A hook that commits to the branch it gates waits for the turn that the gated commit holds. The
/// gated commit gives the turn up after a moment, and lands after the hook's commit.
#[tokio::test]
async fn hook_may_commit_to_the_branch_it_gates() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    let hooks = InterferingHooks {
        other: lake.clone(),
        ..interfering(&lake, "b=1", true)
    };
    let params = crate::CommitParams {
        allow_empty: true,
        ..committing("outer")
    };
    lake.commit_with("main", params, &hooks).await.unwrap();
    // The inner commit takes the staged changes, so the outer commit becomes another one and is judged
    // again.
    assert_eq!(count_events(&hooks, EventKind::PreCommit), 2);
    assert_eq!(lake.show("main@").await, "a=1 b=1");
    assert_eq!(lake.head("main").await.message, "outer");
}

#[tokio::test]
async fn refused_commits_leave_a_bounded_number_of_tokens() {
    let lake = Lake::new().await;
    lake.put("main", "gone=0 kept=0 old=0").await;
    lake.commit("main", "first").await.unwrap();
    lake.delete("main", "gone").await.unwrap();
    let hooks = Recorder::refusing(EventKind::PreCommit);
    let mut expected = vec!["kept=0".to_owned()];
    let mut seen = std::collections::HashSet::new();
    for round in 0..40 {
        lake.put("main", &format!("k{round:02}={round} old={round}"))
            .await;
        expected.insert(round, format!("k{round:02}={round}"));
        let refused = lake.commit_with("main", committing("no"), &hooks).await;
        assert!(matches!(refused, Err(Error::Rejected(_))));
        let record = lake
            .graveler
            .branch(&lake.repo, &branch("main"))
            .await
            .unwrap()
            .record;
        assert!(record.sealed_tokens.len() <= crate::change::MAX_SEALED_TOKENS);
        seen.extend(record.tokens().cloned());
        let live = format!("{} old={round}", expected.join(" "));
        assert_eq!(lake.show("main").await, live);
    }
    let before = lake.show("main").await;
    lake.commit("main", "allowed").await.unwrap();
    assert_eq!(lake.show("main@").await, before);
    assert_eq!(lake.uncommitted("main").await, "");
    assert_eq!(
        lake.retired_tokens().await,
        // All seen tokens except the current writable one, plus the token of the first commit.
        seen.len() - 1 + 1,
        "merged and committed tokens must be retired"
    );
}
