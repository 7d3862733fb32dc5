//! The events that hooks receive, and the state after a refusal.

use expect_test::expect;

use crate::testing::{Lake, Recorder, branch, committing, merging};
use crate::{Commit, Error, Event, EventKind, TagId, TreeSource};

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
async fn commit_events_match_lakefs() {
    let lake = Lake::new().await;
    let hooks = Recorder::default();
    lake.put("main", "a=1").await;
    let mut params = committing("with actions");
    params.metadata.insert("k".into(), "v".into());
    let first = lake.commit_with("main", params, &hooks).await.unwrap();
    let events = hooks.take();
    expect![[r#"
        prepare-commit branch=main source_ref=main message=with actions metadata={"k": "v"} by=tester
        pre-commit branch=main source_ref=main message=with actions metadata={"k": "v"} by=tester
        post-commit branch=main source_ref=<first> commit_id=<first> message=with actions metadata={"k": "v"} by=tester"#]]
    .assert_eq(&show(&events, &[(first.id.as_str(), "first")]));
    let [_, pre, post] = <[_; 3]>::try_from(events).unwrap();
    assert_eq!(pre.actions_from(), TreeSource::Branch(&branch("main")));
    assert_eq!(pre.candidate(), Some(&first.meta_range_id));
    assert_eq!(pre.base().unwrap().as_str(), "");
    assert_eq!(post.pre_run_id(), Some(pre.run_id.as_str()));
    assert_eq!(
        post.actions_from(),
        TreeSource::MetaRange(&first.meta_range_id)
    );
}

/// `main` with `a=1` committed, and `dev` on top of it with `b=1` committed. Returns both heads.
async fn lake_to_merge() -> (Lake, Commit, Commit) {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    let base = lake.commit("main", "base").await.unwrap();
    lake.branch_from("dev", "main").await;
    lake.put("dev", "b=1").await;
    let theirs = lake.commit("dev", "b").await.unwrap();
    (lake, base, theirs)
}

#[tokio::test]
async fn merge_events_match_lakefs() {
    let (lake, base, theirs) = lake_to_merge().await;
    let hooks = Recorder::default();
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
        (theirs.id.as_str(), "theirs"),
        (merge.commit_id.as_str(), "merge"),
    ];
    let events = hooks.take();
    expect![[r#"
        pre-merge branch=main source_ref=<theirs> commit_id=<merge> message=m metadata={".lakefs.merge.strategy": "default", "a": "b"} merge_source=dev by=tester
        post-merge branch=main source_ref=<merge> commit_id=<merge> message=m metadata={".lakefs.merge.strategy": "default", "a": "b"} merge_source=dev by=tester"#]]
    .assert_eq(&show(&events, &names));
    let [pre, post] = <[_; 2]>::try_from(events).unwrap();
    assert_eq!(pre.base(), Some(&base.meta_range_id));
    assert_eq!(pre.source(), Some(&theirs.meta_range_id));
    assert_eq!(
        pre.candidate(),
        Some(&lake.head("main").await.meta_range_id)
    );
    assert_eq!(post.pre_run_id(), Some(pre.run_id.as_str()));
}

#[tokio::test]
async fn branch_events_match_lakefs() {
    let (lake, base, theirs) = lake_to_merge().await;
    let (graveler, repo, hooks) = (&lake.graveler, &lake.repo, Recorder::default());
    graveler
        .create_branch(repo, &branch("x"), "main", false, false, "tester", &hooks)
        .await
        .unwrap();
    graveler
        .delete_branch(repo, &branch("dev"), false, "tester", &hooks)
        .await
        .unwrap();
    let names = [(base.id.as_str(), "base"), (theirs.id.as_str(), "theirs")];
    expect![[r#"
        pre-create-branch branch=x source_ref=main commit_id=<base> by=tester
        post-create-branch branch=x source_ref=main commit_id=<base> by=tester
        pre-delete-branch branch=dev source_ref=<theirs> by=tester
        post-delete-branch branch=dev source_ref=<theirs> by=tester"#]]
    .assert_eq(&show(&hooks.take(), &names));
}

#[tokio::test]
async fn tag_events_match_lakefs() {
    let (lake, base, _) = lake_to_merge().await;
    let (graveler, repo, hooks) = (&lake.graveler, &lake.repo, Recorder::default());
    let tag = TagId::trusted("t");
    graveler
        .create_tag(repo, &tag, "main", false, "tester", &hooks)
        .await
        .unwrap();
    graveler
        .delete_tag(repo, &tag, false, "tester", &hooks)
        .await
        .unwrap();
    expect![[r#"
        pre-create-tag tag=t source_ref=<base> commit_id=<base> by=tester
        post-create-tag tag=t source_ref=<base> commit_id=<base> by=tester
        pre-delete-tag tag=t source_ref=<base> commit_id=<base> by=tester
        post-delete-tag tag=t source_ref=<base> commit_id=<base> by=tester"#]]
    .assert_eq(&show(&hooks.take(), &[(base.id.as_str(), "base")]));
}

#[tokio::test]
async fn refused_commit_leaves_the_changes_staged() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    let head = lake.head("main").await;
    for kind in [EventKind::PrepareCommit, EventKind::PreCommit] {
        let hooks = Recorder::refusing(kind);
        let refused = lake.commit_with("main", committing("no"), &hooks).await;
        assert!(matches!(refused, Err(Error::Rejected(rejection)) if rejection.kind == kind));
        assert!(hooks.take().iter().all(|event| !event.kind().is_post()));
        assert_eq!(lake.head("main").await, head);
        assert_eq!(lake.show("main").await, "a=1");
        assert_eq!(lake.uncommitted("main").await, "+a:>1");
    }
}

#[tokio::test]
async fn commit_after_a_refused_one_contains_older_and_newer_changes() {
    let lake = Lake::new().await;
    lake.put("main", "a=1 kept=1").await;
    let hooks = Recorder::refusing(EventKind::PreCommit);
    let refused = lake.commit_with("main", committing("no"), &hooks).await;
    assert!(matches!(refused, Err(Error::Rejected(_))));
    lake.put("main", "a=2 b=1").await;
    lake.commit("main", "allowed").await.unwrap();
    assert_eq!(lake.show("main@").await, "a=2 b=1 kept=1");
}

#[tokio::test]
async fn refused_merge_leaves_the_destination_unchanged() {
    let (lake, base, _) = lake_to_merge().await;
    let hooks = Recorder::refusing(EventKind::PreMerge);
    let refused = lake.merge_with("dev", "main", merging(), &hooks).await;
    assert!(matches!(refused, Err(Error::Rejected(_))));
    assert_eq!(lake.head("main").await, base);
}

#[tokio::test]
async fn refused_branch_is_not_created() {
    let lake = Lake::new().await;
    let (graveler, repo, x) = (&lake.graveler, &lake.repo, branch("x"));
    let hooks = Recorder::refusing(EventKind::PreCreateBranch);
    let refused = graveler
        .create_branch(repo, &x, "main", false, false, "tester", &hooks)
        .await;
    assert!(matches!(refused, Err(Error::Rejected(_))));
    let found = graveler.branch(repo, &x).await;
    assert!(matches!(found, Err(Error::NotFound { .. })), "{found:?}");
}

#[tokio::test]
async fn refused_deletion_keeps_the_branch() {
    let lake = Lake::new().await;
    lake.branch_from("dev", "main").await;
    let (graveler, repo, dev) = (&lake.graveler, &lake.repo, branch("dev"));
    let hooks = Recorder::refusing(EventKind::PreDeleteBranch);
    let refused = graveler
        .delete_branch(repo, &dev, false, "tester", &hooks)
        .await;
    assert!(matches!(refused, Err(Error::Rejected(_))));
    graveler.branch(repo, &dev).await.unwrap();
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

/// Hooks during which another server interferes. This server cannot interfere, because it keeps the branch's permit
/// while brief hooks run.
fn interfering(lake: &Lake, stage: &'static str, commit: bool) -> InterferingHooks {
    InterferingHooks {
        other: lake.other_server(),
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

/// Another commit lands first, so the merged tree changes.
#[tokio::test]
async fn merge_is_judged_again_after_a_concurrent_commit() {
    let (lake, _, _) = lake_to_merge().await;
    let hooks = interfering(&lake, "c=1", true);
    lake.merge_with("dev", "main", merging(), &hooks)
        .await
        .unwrap();
    assert_eq!(count_events(&hooks, EventKind::PreMerge), 2);
    assert_eq!(lake.show("main@").await, "a=1 b=1 c=1");
}

/// The other server only seals a write, so the candidate stays the same and the write stays staged.
#[tokio::test]
async fn merge_is_not_judged_again_after_a_concurrent_seal() {
    let (lake, _, _) = lake_to_merge().await;
    let hooks = interfering(&lake, "e=1", false);
    lake.merge_with("dev", "main", merging(), &hooks)
        .await
        .unwrap();
    assert_eq!(count_events(&hooks, EventKind::PreMerge), 1);
    assert_eq!(lake.show("main@").await, "a=1 b=1");
    assert_eq!(lake.uncommitted("main").await, "+e:>1");
}

#[tokio::test]
async fn commit_is_not_judged_again_after_a_concurrent_seal() {
    let lake = Lake::new().await;
    lake.put("main", "a=1").await;
    let hooks = interfering(&lake, "f=1", false);
    lake.commit_with("main", committing("a"), &hooks)
        .await
        .unwrap();
    assert_eq!(count_events(&hooks, EventKind::PreCommit), 1);
    assert_eq!(lake.show("main@").await, "a=1");
    assert_eq!(lake.uncommitted("main").await, "+f:>1");
}

/// A hook that commits to the branch it gates waits for the permit that the gated commit holds. The
/// gated commit gives the permit up after a moment, and lands after the hook's commit.
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
    // The inner commit takes the staged changes, so the outer commit gets different content and is judged again.
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
