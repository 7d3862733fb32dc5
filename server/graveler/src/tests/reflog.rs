//! The reflog: what it tells, and what it brings back.

use crate::testing::{Lake, branch};
use crate::{NoHooks, RefName, ReflogEntry, TagId};

/// `commit m: first -> second`, newest first; commits by their message.
async fn log(lake: &Lake, of: Option<RefName>) -> Vec<String> {
    let page = lake
        .graveler
        .reflog(&lake.repo, of.as_ref(), "", 100)
        .await
        .unwrap();
    assert!(!page.has_more);
    let mut shown = Vec::new();
    for entry in page.results {
        shown.push(tell(lake, &entry).await);
    }
    shown
}

async fn tell(lake: &Lake, entry: &ReflogEntry) -> String {
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
async fn every_change_is_told_newest_first_also_of_what_is_gone() {
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
    assert_eq!(log(&lake, on("de")).await, [""; 0], "a name is no prefix");
}

#[tokio::test]
async fn a_listing_goes_on_where_it_stopped() {
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
async fn a_page_begins_behind_an_entry_or_not_at_all() {
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
