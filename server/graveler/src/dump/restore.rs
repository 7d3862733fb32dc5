//! Restores a dump into a bare repository, one page of records at a time. The restore's record
//! names the dump, so repeating an interrupted restore resumes it.

use bytes::Bytes;
use kv::{Op, Predicate};

use super::dump_record::DumpRecord;
use super::entity::Entity;
use super::restores::RestoreData;
use super::{CountRecords, RefsDump, RestoreRefs};
use crate::checks::check_read_only;
use crate::records::{BRANCHES, COMMITS, Stored as _, TAGS};
use crate::reference_changes::require_free_name_ops;
use crate::{
    Branch, BranchRecord, CommitId, Error, Graveler, Kind, MetaRangeId, Operation, RefName,
    Repository, Result, Tag,
};

/// Number of records in one batch of a restore.
const RESTORE_BATCH: usize = 500;
/// Maximum number of attempts of a batch while other requests take its names, such as another restore of the same dump.
const MAX_TRIES: usize = 10;
/// Number of reflog entries read at a time.
const REFLOG_PAGE: usize = 500;

impl Graveler {
    /// Fills a bare repository from a dump in its storage namespace. Every commit's id is
    /// recomputed and checked. Repeating an interrupted restore resumes it.
    ///
    /// # Errors
    /// [`crate::Error::NotBare`] if the repository is not bare; [`crate::Error::InvalidValue`] or
    /// [`crate::Error::Advised`] if the dump is inconsistent; [`crate::Error::NotFound`] if it does
    /// not exist. Nothing is written then. [`crate::Error::MovedOn`], [`crate::Error::NotUnique`]
    /// or [`crate::Error::ConcurrentChange`] if somebody else creates or changes references
    /// meanwhile; some records are written then.
    pub async fn restore_refs(
        &self,
        repository: &Repository,
        restore: &RestoreRefs<'_>,
        count: CountRecords<'_>,
    ) -> Result<()> {
        check_read_only(repository, restore.force)?;
        match self.restores.get(repository).await? {
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

    /// Checks that the repository has no commits, tags and branches.
    async fn check_bare(&self, repository: &Repository) -> Result<()> {
        for folder in [COMMITS, TAGS, BRANCHES] {
            let start = (folder, folder.as_bytes());
            let rows = self.refs.rows(repository, start, 1).await?;
            if !rows.entries.is_empty() {
                return Err(Error::NotBare(repository.id.to_string()));
            }
        }
        Ok(())
    }

    /// Records which dump is being restored, so that a repeated restore recognizes its own records.
    pub(crate) async fn begin_restore(
        &self,
        repository: &Repository,
        restore: &RestoreRefs<'_>,
    ) -> Result<()> {
        let record = RestoreData::of(restore, false);
        match self
            .restores
            .set(repository, &record, Some(Predicate::Absent))
            .await
        {
            Err(Error::Kv(kv::Error::PredicateFailed { .. })) => {
                match self.restores.get(repository).await? {
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
        let record = RestoreData::of(restore, true);
        match self.restores.set(repository, &record, None).await {
            // The outcome is unknown, so read the record back.
            Err(error @ Error::Kv(_)) => match self.restores.get(repository).await {
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
        let mut cursor = self.tree_cursor(repository, tree).await?;
        loop {
            let mut page = Vec::with_capacity(RESTORE_BATCH);
            while page.len() < RESTORE_BATCH
                && let Some(record) = cursor.next().await?
            {
                page.push(DumpRecord::parse(entity, &record)?);
            }
            if page.is_empty() {
                return Ok(());
            }
            let records = page.len() as u64;
            self.write_missing(repository, &page, restore).await?;
            count(records);
        }
    }

    /// Writes the records that do not exist yet. Existing ones stay: a branch from an interrupted
    /// restore may be in use already.
    async fn write_missing(
        &self,
        repository: &Repository,
        page: &[DumpRecord],
        restore: &RestoreRefs<'_>,
    ) -> Result<()> {
        let keys: Vec<Bytes> = page.iter().map(DumpRecord::key).collect();
        for _ in 0..MAX_TRIES {
            let found = self.refs.stored(repository, &keys).await?;
            let mut missing = Vec::new();
            for (record, found) in page.iter().zip(found) {
                match found {
                    Some(found) => {
                        self.check_restored_here(repository, record, found.value)
                            .await?;
                    }
                    None => missing.push(record),
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            let ops = self.write_ops(repository, &missing, restore).await?;
            match self.refs.write_unless_deleted(repository, ops).await {
                // Another server restores the same dump, or another request took a name: check
                // again.
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
        missing: &[&DumpRecord],
        restore: &RestoreRefs<'_>,
    ) -> Result<Vec<Op>> {
        let partition = Bytes::from(repository.partition());
        let other_kind_keys: Vec<Bytes> =
            missing.iter().filter_map(|r| r.other_kind_key()).collect();
        let mut of_other_kind = match other_kind_keys.as_slice() {
            [] => Vec::new(),
            keys => self.refs.stored(repository, keys).await?,
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
            match of_other_kind.next().flatten() {
                None => ops.extend(require_free_name_ops(repository, change.reference)),
                // lakeFS can create a branch and a tag of the same name at the same time, so a dump
                // may have both.
                Some(_) => {
                    self.check_name_conflict(repository, record, restore.dump)
                        .await?;
                }
            }
            ops.extend(self.reflog.ops(repository, change));
        }
        Ok(ops)
    }

    /// Refuses a branch if a tag with its name was created meanwhile, and a tag if a branch with its name was. Allows
    /// both if the dump has both.
    async fn check_name_conflict(
        &self,
        repository: &Repository,
        record: &DumpRecord,
        dump: &RefsDump,
    ) -> Result<()> {
        let (kind, tree) = match record {
            DumpRecord::Branch { .. } => (Kind::Tag, &dump.tags),
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

    /// Checks that an existing record equals the dump's, or that a restore created it and it
    /// changed since.
    async fn check_restored_here(
        &self,
        repository: &Repository,
        record: &DumpRecord,
        found: Bytes,
    ) -> Result<()> {
        let (reference, here, in_dump) = match record {
            // A commit's id covers its content.
            DumpRecord::Commit(_) => return Ok(()),
            DumpRecord::Tag(tag) => {
                let here = Tag::decode(found)?.commit_id;
                (RefName::Tag(tag.id.clone()), here, &tag.commit_id)
            }
            DumpRecord::Branch { id, commit_id, .. } => {
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
                "{what} is at commit {here}, but the dump has it at {in_dump}, and this restore did not create it"
            ),
            advice: format!(
                "{remedy} and repeat the restore, or delete the repository and create it again"
            ),
        })
    }

    /// Whether the reflog shows that a restore created the reference at this commit.
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

    fn record_of(&self, repository: &Repository, record: &DumpRecord) -> Bytes {
        match record {
            DumpRecord::Commit(commit) => commit.encode(),
            DumpRecord::Tag(tag) => tag.encode(),
            DumpRecord::Branch {
                id,
                commit_id,
                hidden,
            } => Branch {
                id: id.clone(),
                record: BranchRecord {
                    commit_id: commit_id.clone(),
                    staging_token: self.staging.new_token(repository, id),
                    sealed_tokens: Vec::new(),
                    hidden: *hidden,
                },
            }
            .encode(),
        }
    }
}
