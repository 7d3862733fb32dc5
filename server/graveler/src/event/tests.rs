//! The stored form of every kind of event.

use bytes::{BufMut as _, BytesMut};
use expect_test::expect;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::{
    After, BranchCreation, BranchDeletion, CommitPreparation, CommitProposal, Draft, Event,
    EventDetails, EventKind, LandedCommit, LandedMerge, MAX_EVENT_BYTES, MergeProposal,
    MergeSource, TagChange,
};
use crate::{
    BranchId, CommitId, Error, MetaRangeId, Repository, RepositoryId, RepositoryState, TagId,
};
use base::OffsetDateTime;

const KINDS: [EventKind; 17] = [
    EventKind::PrepareCommit,
    EventKind::PreCommit,
    EventKind::PostCommit,
    EventKind::PreMerge,
    EventKind::PostMerge,
    EventKind::PreCreateBranch,
    EventKind::PostCreateBranch,
    EventKind::PreDeleteBranch,
    EventKind::PostDeleteBranch,
    EventKind::PreCreateTag,
    EventKind::PostCreateTag,
    EventKind::PreDeleteTag,
    EventKind::PostDeleteTag,
    EventKind::PreRevert,
    EventKind::PostRevert,
    EventKind::PreCherryPick,
    EventKind::PostCherryPick,
];

/// What the events of one generated case are made of.
#[derive(Debug, Clone)]
struct Parts {
    event: Event,
    branch: BranchId,
    tag: TagId,
    commit_id: CommitId,
    source: MergeSource,
    draft: Draft,
    base: MetaRangeId,
    pre_run_id: Option<String>,
}

impl Parts {
    fn event(&self, kind: EventKind) -> Event {
        Event {
            details: self.details(kind),
            ..self.event.clone()
        }
    }

    fn details(&self, kind: EventKind) -> EventDetails {
        match kind {
            EventKind::PrepareCommit => EventDetails::PrepareCommit(CommitPreparation {
                branch: self.branch.clone(),
                draft: self.draft.clone(),
            }),
            EventKind::PreCommit => EventDetails::PreCommit(self.proposal()),
            EventKind::PostCommit => EventDetails::PostCommit(self.after(self.landed())),
            EventKind::PreMerge => EventDetails::PreMerge(MergeProposal {
                commit: self.proposal(),
                commit_id: self.commit_id.clone(),
                source: self.source.clone(),
            }),
            EventKind::PostMerge => EventDetails::PostMerge(self.after(LandedMerge {
                commit: self.landed(),
                source: self.source.clone(),
            })),
            EventKind::PreRevert => EventDetails::PreRevert(self.proposal()),
            EventKind::PostRevert => EventDetails::PostRevert(self.after(self.landed())),
            EventKind::PreCherryPick => EventDetails::PreCherryPick(self.proposal()),
            EventKind::PostCherryPick => EventDetails::PostCherryPick(self.after(self.landed())),
            EventKind::PreCreateBranch => EventDetails::PreCreateBranch(self.creation()),
            EventKind::PostCreateBranch => {
                EventDetails::PostCreateBranch(self.after(self.creation()))
            }
            EventKind::PreDeleteBranch => EventDetails::PreDeleteBranch(self.deletion()),
            EventKind::PostDeleteBranch => {
                EventDetails::PostDeleteBranch(self.after(self.deletion()))
            }
            EventKind::PreCreateTag => EventDetails::PreCreateTag(self.tagged()),
            EventKind::PostCreateTag => EventDetails::PostCreateTag(self.after(self.tagged())),
            EventKind::PreDeleteTag => EventDetails::PreDeleteTag(self.tagged()),
            EventKind::PostDeleteTag => EventDetails::PostDeleteTag(self.after(self.tagged())),
        }
    }

    fn after<T>(&self, change: T) -> After<T> {
        After {
            pre_run_id: self.pre_run_id.clone(),
            change,
        }
    }

    fn proposal(&self) -> CommitProposal {
        CommitProposal {
            branch: self.branch.clone(),
            draft: self.draft.clone(),
            base: self.base.clone(),
        }
    }

    fn landed(&self) -> LandedCommit {
        LandedCommit {
            branch: self.branch.clone(),
            commit_id: self.commit_id.clone(),
            draft: self.draft.clone(),
            base: self.base.clone(),
        }
    }

    fn creation(&self) -> BranchCreation {
        BranchCreation {
            branch: self.branch.clone(),
            source: self.source.name.clone(),
            commit_id: self.commit_id.clone(),
            meta_range_id: self.base.clone(),
        }
    }

    fn deletion(&self) -> BranchDeletion {
        BranchDeletion {
            branch: self.branch.clone(),
            head: self.commit_id.clone(),
            meta_range_id: self.base.clone(),
        }
    }

    fn tagged(&self) -> TagChange {
        TagChange {
            tag: self.tag.clone(),
            commit_id: self.commit_id.clone(),
            meta_range_id: self.base.clone(),
        }
    }
}

/// Small parts, the same in every test.
fn sample() -> Parts {
    let time = OffsetDateTime::from_unix_timestamp(1_700_000_000).expect("in range");
    let draft = Draft {
        message: "why".to_owned(),
        committer: "me".to_owned(),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        creation_date: time,
        meta_range_id: MetaRangeId::trusted("new"),
        parents: vec![CommitId::trusted("p")],
        version: 1,
    };
    let repository = Repository {
        id: RepositoryId::trusted("lake"),
        storage_namespace: "mem://lake".to_owned(),
        default_branch: BranchId::trusted("main"),
        creation_date: time,
        state: RepositoryState::Active,
        instance_uid: "uid".to_owned(),
        read_only: false,
        storage_id: String::new(),
    };
    Parts {
        branch: BranchId::trusted("dev"),
        tag: TagId::trusted("v1"),
        commit_id: CommitId::trusted("c"),
        source: MergeSource {
            name: "side~1".to_owned(),
            commit_id: CommitId::trusted("s"),
            meta_range_id: MetaRangeId::trusted("side"),
        },
        event: Event {
            run_id: "run2".to_owned(),
            time,
            repository,
            actor: "me".to_owned(),
            depth: 1,
            details: EventDetails::PrepareCommit(CommitPreparation {
                branch: BranchId::trusted("dev"),
                draft: draft.clone(),
            }),
        },
        draft,
        base: MetaRangeId::trusted("old"),
        pre_run_id: Some("run1".to_owned()),
    }
}

fn time() -> impl Strategy<Value = OffsetDateTime> {
    let seconds = -62_135_596_800_i64..253_402_300_800;
    (seconds, 0..1_000_000_000_i128).prop_map(|(seconds, nanos)| {
        let at = i128::from(seconds) * 1_000_000_000 + nanos;
        OffsetDateTime::from_unix_timestamp_nanos(at).expect("years 1 to 9999 are in range")
    })
}

/// Any text but the empty one.
fn name() -> impl Strategy<Value = String> {
    (any::<char>(), any::<String>()).prop_map(|(first, rest)| format!("{first}{rest}"))
}

fn tree() -> impl Strategy<Value = MetaRangeId> {
    any::<String>().prop_map(MetaRangeId::trusted)
}

fn commit_id() -> impl Strategy<Value = CommitId> {
    name().prop_map(CommitId::trusted)
}

fn draft() -> impl Strategy<Value = Draft> {
    let texts = (any::<String>(), any::<String>());
    let metadata = btree_map(any::<String>(), any::<String>(), 0..4);
    let parents = vec(commit_id(), 0..4);
    (texts, metadata, time(), tree(), parents, any::<i32>()).prop_map(
        |((message, committer), metadata, creation_date, meta_range_id, parents, version)| Draft {
            message,
            committer,
            metadata,
            creation_date,
            meta_range_id,
            parents,
            version,
        },
    )
}

fn repository() -> impl Strategy<Value = Repository> {
    let texts = (any::<String>(), any::<String>(), any::<String>());
    (name(), name(), texts, time(), any::<[bool; 2]>()).prop_map(
        |(id, branch, texts, creation_date, [is_deleted, read_only])| Repository {
            id: RepositoryId::trusted(id),
            storage_namespace: texts.0,
            default_branch: BranchId::trusted(branch),
            creation_date,
            state: match is_deleted {
                true => RepositoryState::InDeletion,
                false => RepositoryState::Active,
            },
            instance_uid: texts.1,
            read_only,
            storage_id: texts.2,
        },
    )
}

prop_compose! {
    fn parts()(
        draft in draft(),
        (branch, tag, run_id) in (name(), name(), name()),
        (source, actor) in (any::<String>(), any::<String>()),
        (commit_id, source_id) in (commit_id(), commit_id()),
        (base, source_tree) in (tree(), tree()),
        pre_run_id in option::of(any::<String>()),
        (repository, time, depth) in (repository(), time(), any::<u32>()),
    ) -> Parts {
        let branch = BranchId::trusted(branch);
        let details = EventDetails::PrepareCommit(CommitPreparation {
            branch: branch.clone(),
            draft: draft.clone(),
        });
        Parts {
            event: Event { run_id, time, repository, actor, depth, details },
            branch,
            tag: TagId::trusted(tag),
            commit_id,
            source: MergeSource { name: source, commit_id: source_id, meta_range_id: source_tree },
            draft,
            base,
            pre_run_id,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(base::testing::effort(64, 5_000)))]

    #[test]
    fn stored_events_of_every_kind_are_read_back(parts in parts()) {
        for kind in KINDS {
            let event = parts.event(kind);
            prop_assert_eq!(event.kind(), kind);
            let stored = event.encode().expect("a generated event is small");
            prop_assert_eq!(Event::decode(&stored).expect("a stored event is valid"), event);
        }
    }
}

#[test]
fn every_kind_is_listed_once() {
    let mut kinds = KINDS.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), KINDS.len());
}

#[test]
fn kinds_say_which_trees_their_events_have() {
    for kind in KINDS {
        let event = sample().event(kind);
        let changes = event.base().is_some() && event.candidate().is_some();
        assert_eq!(kind.has_changed_objects(), changes, "{kind:?}");
        let trees = [event.base(), event.candidate(), event.source()];
        let is_readable = trees.iter().any(Option::is_some);
        assert_eq!(kind.has_trees(), is_readable, "{kind:?}");
    }
}

/// Servers of one version read each other's events, so these bytes never change.
#[test]
fn stored_bytes_of_version_1() {
    let stored = sample().event(EventKind::PostMerge).encode().unwrap();
    expect![[r#"\x08\x01\x12\x04run2\x1a\x06\x08\x80\xe2\xcf\xaa\x06\"%\n\x04lake\x12\nmem://lake\x1a\x04main\"\x06\x08\x80\xe2\xcf\xaa\x062\x03uid*\x02me0\x01:\x04run1\xa2\x01G\n2\n\x03dev\x12#\n\x03why\x12\x02me\x1a\x06\n\x01k\x12\x01v\"\x06\x08\x80\xe2\xcf\xaa\x06*\x03new2\x01p8\x01\x1a\x03old\"\x01c\x12\x11\n\x06side~1\x12\x01s\x1a\x04side"#]].assert_eq(&stored.escape_ascii().to_string());
    let tags: Vec<u32> = KINDS
        .iter()
        .map(|kind| last_tag(&sample().event(*kind)))
        .collect();
    assert_eq!(tags, (16..=32).collect::<Vec<_>>());
}

/// The number of the field of an event's details: the last one of its record.
fn last_tag(event: &Event) -> u32 {
    let mut stored = event.encode().unwrap();
    let mut last = 0;
    while !stored.is_empty() {
        let (tag, wire_type) = prost::encoding::decode_key(&mut stored).unwrap();
        last = tag;
        let context = prost::encoding::DecodeContext::default();
        prost::encoding::skip_field(wire_type, tag, &mut stored, context).unwrap();
    }
    last
}

fn reason(stored: impl AsRef<[u8]>) -> String {
    match Event::decode(stored.as_ref()) {
        Err(Error::Corrupt { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn events_of_an_unknown_version_are_refused() {
    // Another version may store anything else. Here it stores a number in the field of the run's id.
    for version in [0_u8, 2, 127] {
        assert_eq!(
            reason(vec![0x08, version, 0x10, 1]),
            format!("version {version} is unknown: this server reads version 1")
        );
    }
    assert_eq!(
        reason([]),
        "version 0 is unknown: this server reads version 1"
    );
}

#[test]
fn truncated_events_are_refused() {
    for kind in KINDS {
        let stored = sample().event(kind).encode().unwrap();
        for len in 0..stored.len() {
            reason(stored.slice(..len));
        }
    }
}

/// A changed byte is either noticed or read as another valid event; it never breaks the reader.
#[test]
fn changed_bytes_do_not_break_the_reader() {
    let mut refused = 0;
    for kind in KINDS {
        let stored = sample().event(kind).encode().unwrap();
        for at in 0..stored.len() {
            for bit in 0..8 {
                let mut damaged = stored.to_vec();
                damaged[at] ^= 1 << bit;
                match Event::decode(&damaged) {
                    Ok(event) => assert_eq!(
                        Event::decode(&event.encode().unwrap()).unwrap(),
                        event,
                        "{kind:?}: bit {bit} of byte {at}"
                    ),
                    Err(Error::Corrupt { .. }) => refused += 1,
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn events_without_a_necessary_part_are_refused() {
    let nameless = Parts {
        branch: BranchId::trusted(""),
        ..sample()
    };
    let stored = |parts: &Parts, kind| parts.event(kind).encode().unwrap();
    assert_eq!(
        reason(stored(&nameless, EventKind::PreCommit)),
        "branch missing"
    );
    let untagged = Parts {
        tag: TagId::trusted(""),
        ..sample()
    };
    assert_eq!(
        reason(stored(&untagged, EventKind::PreDeleteTag)),
        "tag missing"
    );
    let mut pre = sample().event(EventKind::PostCommit);
    pre.details = match pre.details {
        EventDetails::PostCommit(after) => EventDetails::PreCommit(CommitProposal {
            branch: after.change.branch,
            draft: after.change.draft,
            base: after.change.base,
        }),
        other => panic!("{other:?}"),
    };
    let mut with_run = BytesMut::from(&pre.encode().unwrap()[..]);
    with_run.put_slice(b"\x3a\x01r");
    assert_eq!(
        reason(with_run.freeze()),
        "only post-events name the run of a pre-event"
    );
    let mut unknown_kind = sample()
        .event(EventKind::PreCommit)
        .encode()
        .unwrap()
        .to_vec();
    let details = unknown_kind
        .windows(2)
        .position(|bytes| bytes == b"\x8a\x01")
        .expect("field 17 is in the record");
    // Field 33.
    unknown_kind[details + 1] = 0x02;
    assert_eq!(reason(unknown_kind), "details of a known kind missing");
}

#[test]
fn events_beyond_the_bounds_are_refused() {
    let mut parts = sample();
    parts.draft.parents = vec![CommitId::trusted("p"); 17];
    let stored = parts.event(EventKind::PreCommit).encode().unwrap();
    assert_eq!(
        reason(stored),
        "a commit has 17 parents, but at most 16 are allowed"
    );
    assert_eq!(
        reason(vec![0; MAX_EVENT_BYTES + 1]),
        "an event has 16777217 bytes, but at most 16777216 are allowed"
    );
    parts.draft.message = "m".repeat(MAX_EVENT_BYTES);
    let refused = parts.event(EventKind::PreCommit).encode();
    assert!(
        matches!(refused, Err(Error::InvalidValue(_))),
        "{refused:?}"
    );
}
