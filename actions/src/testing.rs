//! What unit tests of this crate share.

use std::collections::BTreeMap;

use graveler::{BranchId, Draft, Event, EventKind, MetaRangeId, Repository, RepositoryId, RepositoryState, TreeSource};
use time::macros::datetime;

/// A repository `repo` with a default branch `main`.
pub(crate) fn repository() -> Repository {
    Repository {
        id: RepositoryId::trusted("repo"),
        storage_namespace: "mem://repo".to_owned(),
        default_branch: BranchId::trusted("main"),
        creation_date: datetime!(2026-03-04 05:06:07 UTC),
        state: RepositoryState::Active,
        instance_uid: "uid".to_owned(),
        read_only: false,
        storage_id: String::new(),
    }
}

/// An event about a commit to `main`.
pub(crate) fn event(kind: EventKind) -> Event {
    let time = datetime!(2026-03-04 05:06:07.5 UTC);
    Event {
        run_id: "run1".to_owned(),
        pre_run_id: None,
        kind,
        time,
        repository: repository(),
        branch: Some(BranchId::trusted("main")),
        tag: None,
        source_ref: "main".to_owned(),
        merge_source: None,
        commit_id: None,
        commit: Some(Draft {
            message: "with actions".to_owned(),
            committer: "admin".to_owned(),
            metadata: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            creation_date: time,
            meta_range_id: MetaRangeId::trusted(""),
            parents: Vec::new(),
            version: 1,
        }),
        actor: "admin".to_owned(),
        actions_from: TreeSource::Branch(BranchId::trusted("main")),
        candidate: None,
        base: None,
        source: None,
    }
}
