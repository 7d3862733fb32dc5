//! The reflog: which changes it lists, and in which pages.

use crate::testing::{Lake, branch};
use crate::{NoHooks, RefName, ReflogEntry, TagId};

/// Entries as text, newest first; commits are shown by their message.
async fn log(lake: &Lake, of: Option<RefName>) -> Vec<String> {
    let page = lake
        .graveler
        .reflog(&lake.repo, of.as_ref(), "", 100)
        .await
        .unwrap();
    assert!(!page.has_more);
    let mut shown = Vec::new();
    for entry in page.results {
        shown.push(describe(lake, &entry).await);
    }
    shown
}

async fn describe(lake: &Lake, entry: &ReflogEntry) -> String {
    let mut ends = Vec::new();
    for end in [&entry.from, &entry.to] {
        ends.push(match end {
            None => "nothing".to_owned(),
            Some(id) => {
                let commit = lake.graveler.get_commit(&lake.repo, id).await.unwrap();
                commit.message
            }
        });
    }
    let name = match &entry.reference {
        RefName::Branch(id) => id.to_string(),
        RefName::Tag(id) => id.to_string(),
    };
    let (operation, actor) = (entry.operation.as_str(), &entry.actor);
    format!("{name}: {operation} by {actor}: {}", ends.join(" > "))
}

fn on(name: &str) -> Option<RefName> {
    Some(RefName::Branch(branch(name)))
}

#[tokio::test]
async fn reflog_lists_every_change_newest_first_even_of_deleted_references() {
    let lake = Lake::new().await;
    lake.branch_from("dev", "main").await;
    lake.put("dev", "a=1").await;
    lake.commit("dev", "one").await.unwrap();
    lake.merge("dev", "main").await.unwrap();
    let (v1, by) = (TagId::trusted("v1"), "tester");
    let graveler = &lake.graveler;
    graveler
        .create_tag(&lake.repo, &v1, "dev", false, by, &NoHooks)
        .await
        .unwrap();
    graveler
        .delete_tag(&lake.repo, &v1, false, by, &NoHooks)
        .await
        .unwrap();
    graveler
        .delete_branch(&lake.repo, &branch("dev"), false, by, &NoHooks)
        .await
        .unwrap();

    let dev = [
        "dev: delete by tester: one > nothing",
        "dev: commit by tester: Repository created > one",
        "dev: create by tester: nothing > Repository created",
    ];
    assert_eq!(log(&lake, on("dev")).await, dev);
    let tag = [
        "v1: delete by tester: one > nothing",
        "v1: create by tester: nothing > one",
    ];
    assert_eq!(log(&lake, Some(RefName::Tag(v1))).await, tag);
    let main = [
        "main: merge by tester: Repository created > Merge 'dev' into 'main'",
        "main: create by tester: nothing > Repository created",
    ];
    assert_eq!(log(&lake, on("main")).await, main);
    let all = [dev[0], tag[0], tag[1], main[0], dev[1], dev[2], main[1]];
    assert_eq!(log(&lake, None).await, all);
    assert_eq!(
        log(&lake, on("de")).await,
        [""; 0],
        "a name must not match as a prefix"
    );
}

#[tokio::test]
async fn pages_continue_where_the_last_one_ended() {
    let lake = Lake::new().await;
    for n in 0..5 {
        lake.put("main", &format!("a={n}")).await;
        lake.commit("main", &n.to_string()).await.unwrap();
    }
    for of in [None, on("main")] {
        let (mut after, mut seen) = (String::new(), Vec::new());
        loop {
            let page = lake
                .graveler
                .reflog(&lake.repo, of.as_ref(), &after, 2)
                .await
                .unwrap();
            seen.extend(page.results.into_iter().map(|entry| entry.reason));
            if !page.has_more {
                break;
            }
            after = page.next_offset;
        }
        assert_eq!(seen, ["4", "3", "2", "1", "0", "Repository created"]);
    }
}

#[tokio::test]
async fn malformed_offset_is_refused() {
    let lake = Lake::new().await;
    let from = async |after: &str| lake.graveler.reflog(&lake.repo, None, after, 10).await;
    let refused = from("bad").await;
    assert!(
        matches!(&refused, Err(crate::Error::Advised { advice, .. }) if advice.contains("next_offset")),
        "{refused:?}"
    );
    let first = from("").await.unwrap().results;
    assert_eq!(from(&first[0].id).await.unwrap().results, first[1..]);
}
