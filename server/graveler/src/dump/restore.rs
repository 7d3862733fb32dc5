//! Restores a dump into a bare repository. Nothing is held but a page of records. A restore that was
//! cut short goes on when it is repeated: which dump it is of is on record.

use bytes::Bytes;
use kv::{Op, Predicate};
use prost::Message as _;

use super::entity::Entity;
use super::restored::Restored;
use super::{CountRecords, RefsDump};
use crate::deletion::write_unless_deleted;
use crate::engine::{Engine, check_read_only};
use crate::records::{BRANCHES, COMMITS, RESTORES, Stored as _, TAGS};
use crate::refs::sole_name_ops;
use crate::{
    Branch, BranchRecord, CommitId, Error, Kind, MetaRangeId, Operation, RefName, Repository,
    Result, Tag,
};

/// Records of a restore that are written in one batch.
const RESTORE_BATCH: usize = 500;
/// How often a batch of a restore is tried against another restore of the same dump.
const MAX_TRIES: usize = 10;
/// Entries of the reflog that are read at a time.
const REFLOG_PAGE: usize = 500;

/// What to restore.
#[derive(Debug, Clone, Copy)]
pub struct RestoreRefs<'a> {
    pub dump: &'a RefsDump,
    /// Also into a read-only repository.
    pub force: bool,
    /// Who asks for it: told by the reflog.
    pub actor: &'a str,
    /// Tells a repeated restore from another one: once it is done, to repeat it does nothing.
    /// Empty: nobody repeats it.
    pub token: &'a str,
}

/// A restore that has begun, or is done: of which dump, and for whom.
#[derive(Clone, PartialEq, prost::Message)]
struct RestoreData {
    #[prost(string, tag = "1")]
    commits: String,
    #[prost(string, tag = "2")]
    tags: String,
    #[prost(string, tag = "3")]
    branches: String,
    #[prost(string, tag = "4")]
    token: String,
    #[prost(bool, tag = "5")]
    done: bool,
}

impl Engine {
    /// Makes a bare repository what a dump says. Each commit's id is worked out again from what it holds.
    ///
    /// # Errors
    /// [`Error::NotBare`] if the repository has commits or references, unless they are of an earlier
    /// restore of this dump that was cut short; [`Error::InvalidValue`] if the dump is not what it says; nothing is written then.
    /// [`Error::MovedOn`] if a reference came meanwhile that is elsewhere than in the dump, and
    /// [`Error::NotUnique`] if its name was taken; what was written until then stays.
    pub(crate) async fn restore_refs(
        &self,
        repository: &Repository,
        restore: &RestoreRefs<'_>,
        count: CountRecords<'_>,
    ) -> Result<()> {
        check_read_only(repository, restore.force)?;
        match self.restored(repository).await? {
            Some(begun)
                if begun.done && !restore.token.is_empty() && begun.token == restore.token =>
            {
                return Ok(());
            }
            Some(begun) if begun.done => return Err(Error::NotBare(repository.id.to_string())),
            Some(begun) => begun.check_same(restore.dump)?,
            None => self.check_bare(repository).await?,
        }
        self.check_dump(repository, restore.dump).await?;
        self.begin_restore(repository, restore).await?;
        for (entity, tree) in restore.dump.trees() {
            self.restore(repository, (entity, tree), restore, count)
                .await?;
        }
        self.finish_restore(repository, restore).await
    }

    async fn restored(&self, repository: &Repository) -> Result<Option<RestoreData>> {
        let partition = repository.partition();
        let stored = self.kv.get(RESTORES, partition.as_bytes()).await?;
        stored
            .map(|stored| {
                RestoreData::decode(stored.value).map_err(|e| Error::Corrupt {
                    what: "restore".to_owned(),
                    reason: e.to_string(),
                })
            })
            .transpose()
    }

    /// Whether nothing is there that a restore could damage.
    async fn check_bare(&self, repository: &Repository) -> Result<()> {
        let partition = repository.partition();
        for folder in [COMMITS, TAGS, BRANCHES] {
            let found = self
                .kv
                .scan(partition.as_bytes(), folder.as_bytes(), 1)
                .await?;
            if found
                .first()
                .is_some_and(|entry| entry.key.starts_with(folder.as_bytes()))
            {
                return Err(Error::NotBare(repository.id.to_string()));
            }
        }
        Ok(())
    }

    /// Notes which dump is restored, so that a repeated restore knows the records of its own.
    pub(crate) async fn begin_restore(
        &self,
        repository: &Repository,
        restore: &RestoreRefs<'_>,
    ) -> Result<()> {
        let op = Op::Set {
            partition: Bytes::from_static(RESTORES),
            key: Bytes::from(repository.partition()),
            value: RestoreData::of(restore, false),
            predicate: Some(Predicate::Absent),
        };
        match write_unless_deleted(self.kv.as_ref(), repository, vec![op]).await {
            Err(Error::Kv(kv::Error::PredicateFailed { .. })) => {
                match self.restored(repository).await? {
                    Some(begun) => begun.check_same(restore.dump),
                    None => Err(Error::ConcurrentChange(format!(
                        "repository {}",
                        repository.id
                    ))),
                }
            }
            begun => begun,
        }
    }

    async fn finish_restore(
        &self,
        repository: &Repository,
        restore: &RestoreRefs<'_>,
    ) -> Result<()> {
        let op = Op::Set {
            partition: Bytes::from_static(RESTORES),
            key: Bytes::from(repository.partition()),
            value: RestoreData::of(restore, true),
            predicate: None,
        };
        match write_unless_deleted(self.kv.as_ref(), repository, vec![op]).await {
            // Not known whether it took effect: look.
            Err(error @ Error::Kv(_)) => match self.restored(repository).await {
                Ok(Some(begun)) if begun.done => Ok(()),
                _ => Err(error),
            },
            written => written,
        }
    }

    async fn restore(
        &self,
        repository: &Repository,
        (entity, tree): (Entity, &MetaRangeId),
        restore: &RestoreRefs<'_>,
        count: CountRecords<'_>,
    ) -> Result<()> {
        let mut cursor = self.tree(repository, tree).await?;
        loop {
            let mut page = Vec::with_capacity(RESTORE_BATCH);
            while page.len() < RESTORE_BATCH
                && let Some(record) = cursor.next().await?
            {
                page.push(Restored::parse(entity, &record)?);
            }
            if page.is_empty() {
                return Ok(());
            }
            let records = page.len() as u64;
            self.write_missing(repository, &page, restore).await?;
            count(records);
        }
    }

    /// Writes what is not there yet: a branch that an earlier, cut restore brought may be in use.
    async fn write_missing(
        &self,
        repository: &Repository,
        page: &[Restored],
        restore: &RestoreRefs<'_>,
    ) -> Result<()> {
        let partition = Bytes::from(repository.partition());
        let keys: Vec<Bytes> = page.iter().map(Restored::key).collect();
        for _ in 0..MAX_TRIES {
            let found = self.kv.get_many(&partition, &keys).await?;
            let mut missing = Vec::new();
            for (record, found) in page.iter().zip(found) {
                match found {
                    Some(found) => self.check_own(repository, record, found.value).await?,
                    None => missing.push(record),
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            let ops = self.write_ops(repository, &missing, restore).await?;
            match write_unless_deleted(self.kv.as_ref(), repository, ops).await {
                // Another server restores the same dump, or somebody took a name: looked at again.
                Err(Error::Kv(kv::Error::PredicateFailed { .. })) => {}
                written => return written,
            }
        }
        Err(Error::ConcurrentChange(format!(
            "repository {}",
            repository.id
        )))
    }

    async fn write_ops(
        &self,
        repository: &Repository,
        missing: &[&Restored],
        restore: &RestoreRefs<'_>,
    ) -> Result<Vec<Op>> {
        let partition = Bytes::from(repository.partition());
        let rivals: Vec<Bytes> = missing.iter().filter_map(|r| r.rival_key()).collect();
        let mut rivals = match rivals.as_slice() {
            [] => Vec::new(),
            keys => self.kv.get_many(&partition, keys).await?,
        }
        .into_iter();
        let mut ops = Vec::new();
        for record in missing {
            ops.push(Op::Set {
                partition: partition.clone(),
                key: record.key(),
                value: self.record_of(repository, record),
                predicate: Some(Predicate::Absent),
            });
            let Some(change) = record.change(restore.actor) else {
                continue;
            };
            match rivals.next().flatten() {
                None => ops.extend(sole_name_ops(repository, change.reference)),
                // lakeFS can make a branch and a tag of one name at the same moment.
                Some(_) => {
                    self.check_rival_of(repository, record, restore.dump)
                        .await?;
                }
            }
            ops.extend(self.reflog_ops(repository, change));
        }
        Ok(ops)
    }

    /// Refuses a branch whose name became a tag's meanwhile, or the other way round, unless the dump
    /// has both.
    async fn check_rival_of(
        &self,
        repository: &Repository,
        record: &Restored,
        dump: &RefsDump,
    ) -> Result<()> {
        let (kind, tree) = match record {
            Restored::Branch { .. } => (Kind::Tag, &dump.tags),
            _ => (Kind::Branch, &dump.branches),
        };
        let namespace = &repository.storage_namespace;
        let name = record.id();
        let known = self.committed.get(namespace, tree, name.as_bytes()).await?;
        match known {
            Some(_) => Ok(()),
            None => Err(Error::NotUnique {
                kind,
                id: name.to_owned(),
            }),
        }
    }

    /// Whether what is there already is as the dump has it, or came with this restore and was used since.
    async fn check_own(
        &self,
        repository: &Repository,
        record: &Restored,
        found: Bytes,
    ) -> Result<()> {
        let (reference, here, in_dump) = match record {
            // Its id is that of what it holds.
            Restored::Commit(_) => return Ok(()),
            Restored::Tag(tag) => {
                let here = Tag::decode(found)?.commit_id;
                (RefName::Tag(tag.id.clone()), here, &tag.commit_id)
            }
            Restored::Branch { id, commit_id, .. } => {
                let here = Branch::decode(found)?.record.commit_id;
                (RefName::Branch(id.clone()), here, commit_id)
            }
        };
        if here == *in_dump || self.was_restored(repository, &reference, in_dump).await? {
            return Ok(());
        }
        let (what, remedy) = match &reference {
            RefName::Branch(id) => (format!("branch {id}"), "reset the branch to that commit"),
            RefName::Tag(id) => (format!("tag {id}"), "delete the tag"),
        };
        Err(Error::MovedOn {
            problem: format!(
                "{what} is at commit {here}, the dump has it at {in_dump}, and this restore did not bring it"
            ),
            advice: format!(
                "{remedy} and repeat the restore, or delete the repository and make it anew"
            ),
        })
    }

    /// Whether the reflog tells that a restore made the reference.
    async fn was_restored(
        &self,
        repository: &Repository,
        reference: &RefName,
        at: &CommitId,
    ) -> Result<bool> {
        let mut after = String::new();
        loop {
            let page = self
                .reflog(repository, Some(reference), &after, REFLOG_PAGE)
                .await?;
            let mut entries = page.results.iter();
            if entries
                .any(|entry| entry.operation == Operation::Restore && entry.to.as_ref() == Some(at))
            {
                return Ok(true);
            }
            if !page.has_more {
                return Ok(false);
            }
            after = page.next_offset;
        }
    }

    fn record_of(&self, repository: &Repository, record: &Restored) -> Bytes {
        match record {
            Restored::Commit(commit) => commit.encode(),
            Restored::Tag(tag) => tag.encode(),
            Restored::Branch {
                id,
                commit_id,
                hidden,
            } => Branch {
                id: id.clone(),
                record: BranchRecord {
                    commit_id: commit_id.clone(),
                    staging_token: self.new_staging_token(repository, id),
                    sealed_tokens: Vec::new(),
                    hidden: *hidden,
                },
            }
            .encode(),
        }
    }
}

impl RestoreData {
    fn of(restore: &RestoreRefs<'_>, done: bool) -> Bytes {
        let data = Self {
            commits: restore.dump.commits.to_string(),
            tags: restore.dump.tags.to_string(),
            branches: restore.dump.branches.to_string(),
            token: restore.token.to_owned(),
            done,
        };
        Bytes::from(data.encode_to_vec())
    }

    fn check_same(&self, dump: &RefsDump) -> Result<()> {
        let begun = [&self.commits, &self.tags, &self.branches];
        if begun
            == [
                dump.commits.as_str(),
                dump.tags.as_str(),
                dump.branches.as_str(),
            ]
        {
            return Ok(());
        }
        Err(Error::advised(
            "a restore of another dump into this repository was cut short",
            format!(
                "repeat that restore (commits {}, tags {}, branches {}), or delete the repository and make it anew",
                self.commits, self.tags, self.branches
            ),
        ))
    }
}
