//! Dumps commits, tags and branches into trees of their own, and restores a repository from them.
//!
//! A dump lies in the storage namespace beside the data, so that a repository whose records are
//! lost can be made anew. Its trees are ranges and metaranges as all are, told apart by their
//! properties: key and identity of a record are ids, its data the record's message.
//!
//! Restoring reads a dump twice: everything is checked before anything is written. Nothing is
//! held but a page of records, and a restore that was cut short goes on when it is repeated.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kv::{Op, Predicate};
use prost::Message as _;

use crate::committed::RecordWriter;
use crate::engine::{Engine, check_read_only};
use crate::ident::commit_id;
use crate::records::{
    BRANCHES, BranchData, COMMITS, RESTORES, Stored as _, TAGS, branch_key, commit_key, tag_key,
};
use crate::reflog::{RefChange, RefTarget};
use crate::{
    Branch, BranchId, BranchRecord, Commit, CommitId, Error, MetaRangeId, Operation, Record,
    Repository, Result, Tag, TagId, Value,
};

/// Records of a restore that are written in one batch.
const RESTORE_BATCH: usize = 500;
/// How often a batch of a restore is tried against another restore of the same dump.
const MAX_TRIES: usize = 10;

/// Where the refs of a repository are dumped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefsDump {
    pub commits: MetaRangeId,
    pub tags: MetaRangeId,
    pub branches: MetaRangeId,
}

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

/// Hears of records that were dumped or restored.
pub type CountRecords<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// The kinds of record in a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entity {
    Commit,
    Tag,
    Branch,
}

impl Entity {
    fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tag => "tag",
            Self::Branch => "branch",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Commit => COMMITS,
            Self::Tag => TAGS,
            Self::Branch => BRANCHES,
        }
    }

    /// What a table of the dump says of itself, beside its type.
    fn properties(self) -> BTreeMap<String, String> {
        let (message, definition) = match self {
            Self::Commit => ("CommitData", COMMIT_DEFINITION),
            Self::Tag => ("TagData", TAG_DEFINITION),
            Self::Branch => ("BranchData", BRANCH_DEFINITION),
        };
        [
            (ENTITY.to_owned(), self.name().to_owned()),
            (
                "schema_name".to_owned(),
                format!("io.treeverse.lakefs.graveler.{message}"),
            ),
            ("schema_definition".to_owned(), definition.to_owned()),
        ]
        .into()
    }
}

/// The property that names the kind of record.
const ENTITY: &str = "entity";

/// The messages as protobuf describes them (`DescriptorProto` in JSON).
const COMMIT_DEFINITION: &str = r#"{"name":"CommitData","field":[{"name":"id","number":1,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"id"},{"name":"committer","number":2,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"committer"},{"name":"message","number":3,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"message"},{"name":"creation_date","number":4,"label":"LABEL_OPTIONAL","type":"TYPE_MESSAGE","typeName":".google.protobuf.Timestamp","jsonName":"creationDate"},{"name":"meta_range_id","number":5,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"metaRangeId"},{"name":"metadata","number":6,"label":"LABEL_REPEATED","type":"TYPE_MESSAGE","typeName":".io.treeverse.lakefs.graveler.CommitData.MetadataEntry","jsonName":"metadata"},{"name":"parents","number":7,"label":"LABEL_REPEATED","type":"TYPE_STRING","jsonName":"parents"},{"name":"version","number":8,"label":"LABEL_OPTIONAL","type":"TYPE_INT32","jsonName":"version"},{"name":"generation","number":9,"label":"LABEL_OPTIONAL","type":"TYPE_INT32","jsonName":"generation"}],"nestedType":[{"name":"MetadataEntry","field":[{"name":"key","number":1,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"key"},{"name":"value","number":2,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"value"}],"options":{"mapEntry":true}}]}"#;
const TAG_DEFINITION: &str = r#"{"name":"TagData","field":[{"name":"id","number":1,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"id"},{"name":"commit_id","number":2,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"commitId"}]}"#;
const BRANCH_DEFINITION: &str = r#"{"name":"BranchData","field":[{"name":"id","number":1,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"id"},{"name":"commit_id","number":2,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"commitId"},{"name":"staging_token","number":3,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"stagingToken"},{"name":"sealed_tokens","number":4,"label":"LABEL_REPEATED","type":"TYPE_STRING","jsonName":"sealedTokens"},{"name":"hidden","number":5,"label":"LABEL_OPTIONAL","type":"TYPE_BOOL","jsonName":"hidden"}]}"#;

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
    /// Writes all commits, tags and branches of a repository into its storage namespace.
    ///
    /// References come before commits, so that whatever a reference of the dump names is in it,
    /// however much is committed meanwhile. Uncommitted changes are not in a dump.
    pub(crate) async fn dump_refs(
        &self,
        repository: &Repository,
        count: CountRecords<'_>,
    ) -> Result<RefsDump> {
        let branches = self.dump(repository, Entity::Branch, count).await?;
        let tags = self.dump(repository, Entity::Tag, count).await?;
        let commits = self.dump(repository, Entity::Commit, count).await?;
        Ok(RefsDump {
            commits,
            tags,
            branches,
        })
    }

    async fn dump(
        &self,
        repository: &Repository,
        entity: Entity,
        count: CountRecords<'_>,
    ) -> Result<MetaRangeId> {
        let folder = entity.folder().as_bytes();
        let partition = repository.partition();
        let mut cursor = kv::Cursor::new(Arc::clone(&self.kv), partition.as_bytes(), folder);
        let mut writer = self
            .committed
            .record_writer(&repository.storage_namespace, entity.properties());
        while let Some(entry) = cursor.next().await? {
            let Some(id) = entry.key.strip_prefix(folder) else {
                break;
            };
            add(&mut writer, entity, Bytes::copy_from_slice(id), entry.value).await?;
            count(1);
        }
        writer.finish().await
    }

    /// Makes a bare repository what a dump says. Each commit's id is worked out again from what it holds.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] if the repository has commits or references, unless they are of an earlier
    /// restore of this dump that was cut short, and if the dump is not what it says; nothing is written then.
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
            Some(begun) if begun.done => return Err(not_bare()),
            Some(begun) => begun.check_same(restore.dump)?,
            None => self.check_bare(repository).await?,
        }
        self.check_dump(repository, restore.dump).await?;
        self.begin_restore(repository, restore).await?;
        for (entity, tree) in restore.dump.trees() {
            self.restore(repository, (entity, tree), restore.actor, count)
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
                return Err(not_bare());
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
        let partition = repository.partition();
        let begun = self
            .kv
            .set_if(
                RESTORES,
                partition.as_bytes(),
                RestoreData::of(restore, false),
                Predicate::Absent,
            )
            .await;
        match begun {
            Ok(()) => Ok(()),
            Err(kv::Error::PredicateFailed { .. }) => match self.restored(repository).await? {
                Some(begun) => begun.check_same(restore.dump),
                None => Err(Error::ConcurrentChange(repository.id.to_string())),
            },
            Err(error) => Err(error.into()),
        }
    }

    async fn finish_restore(
        &self,
        repository: &Repository,
        restore: &RestoreRefs<'_>,
    ) -> Result<()> {
        let partition = repository.partition();
        let done = RestoreData::of(restore, true);
        match self.kv.set(RESTORES, partition.as_bytes(), done).await {
            Ok(()) => Ok(()),
            // Not known whether it took effect: look.
            Err(error) => match self.restored(repository).await {
                Ok(Some(begun)) if begun.done => Ok(()),
                _ => Err(error.into()),
            },
        }
    }

    /// Reads a whole dump and checks what can be checked.
    async fn check_dump(&self, repository: &Repository, dump: &RefsDump) -> Result<()> {
        // A dump has all three, also of a repository without tags: one that is left out would be lost.
        for (entity, tree) in dump.trees() {
            if tree.as_str().is_empty() {
                return Err(invalid(format!(
                    "the id of the dump's metarange of kind {:?} is empty: give all three ids that the dump answered",
                    entity.name()
                )));
            }
        }
        for (entity, tree) in dump.trees() {
            self.check_entity(repository, entity, tree).await?;
            let mut cursor = self.tree(repository, tree).await?;
            while let Some(record) = cursor.next().await? {
                match Restored::parse(entity, &record)? {
                    Restored::Commit(_) => {}
                    Restored::Tag(Tag { commit_id, .. }) | Restored::Branch { commit_id, .. } => {
                        self.check_commit_of(repository, dump, entity, &record.key, &commit_id)
                            .await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Refuses a table that is there but is no tree of objects: a branch of it could not be read.
    pub(crate) async fn check_object_tree(
        &self,
        repository: &Repository,
        tree: &MetaRangeId,
    ) -> Result<()> {
        let namespace = &repository.storage_namespace;
        match self.committed.property(namespace, tree, ENTITY).await? {
            None => Ok(()),
            Some(entity) => Err(invalid(format!(
                "metarange {tree} is a dump of kind {:?}, not a tree of objects: give the meta_range_id of a commit",
                String::from_utf8_lossy(&entity)
            ))),
        }
    }

    /// A tree of another kind reads like one of tags or branches: their messages begin alike.
    async fn check_entity(
        &self,
        repository: &Repository,
        entity: Entity,
        tree: &MetaRangeId,
    ) -> Result<()> {
        let namespace = &repository.storage_namespace;
        let said = self.committed.property(namespace, tree, ENTITY).await?;
        match said {
            Some(said) if said == entity.name().as_bytes() => Ok(()),
            Some(said) => Err(invalid(format!(
                "metarange {tree} is a dump of kind {:?}, not of kind {:?}: check which id is given for which",
                String::from_utf8_lossy(&said),
                entity.name()
            ))),
            None => Err(invalid(format!(
                "metarange {tree} is a tree of objects, not a dump of kind {:?}: give the ids that the dump answered",
                entity.name()
            ))),
        }
    }

    async fn check_commit_of(
        &self,
        repository: &Repository,
        dump: &RefsDump,
        entity: Entity,
        key: &Bytes,
        commit: &CommitId,
    ) -> Result<()> {
        let namespace = &repository.storage_namespace;
        let found = self
            .committed
            .get(namespace, &dump.commits, commit.as_str().as_bytes())
            .await?;
        if found.is_some() {
            return Ok(());
        }
        Err(invalid(format!(
            "{} {:?} names commit {commit}, which the dump does not hold: take another dump",
            entity.name(),
            String::from_utf8_lossy(key)
        )))
    }

    async fn restore(
        &self,
        repository: &Repository,
        (entity, tree): (Entity, &MetaRangeId),
        actor: &str,
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
            self.write_missing(repository, &page, actor).await?;
            count(records);
        }
    }

    /// Writes what is not there yet: a branch that an earlier, cut restore brought may be in use.
    async fn write_missing(
        &self,
        repository: &Repository,
        page: &[Restored],
        actor: &str,
    ) -> Result<()> {
        let partition = Bytes::from(repository.partition());
        let keys: Vec<Bytes> = page.iter().map(Restored::key).collect();
        for _ in 0..MAX_TRIES {
            let found = self.kv.get_many(&partition, &keys).await?;
            let missing = page.iter().zip(&keys).zip(found);
            let mut ops = Vec::new();
            for ((record, key), _) in missing.filter(|(_, found)| found.is_none()) {
                ops.push(Op::Set {
                    partition: partition.clone(),
                    key: key.clone(),
                    value: self.record_of(repository, record),
                    predicate: Some(Predicate::Absent),
                });
                if let Some(change) = record.change(actor) {
                    ops.extend(self.reflog_ops(repository, change));
                }
            }
            if ops.is_empty() {
                return Ok(());
            }
            match self.kv.batch(ops).await {
                // Another server restores the same dump: what it has written counts as well.
                Err(kv::Error::PredicateFailed { .. }) => {}
                written => return Ok(written?),
            }
        }
        Err(Error::ConcurrentChange(repository.id.to_string()))
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

    async fn tree(
        &self,
        repository: &Repository,
        tree: &MetaRangeId,
    ) -> Result<Box<dyn crate::Cursor>> {
        self.committed
            .cursor(&repository.storage_namespace, tree)
            .await
    }
}

impl RefsDump {
    fn trees(&self) -> [(Entity, &MetaRangeId); 3] {
        [
            (Entity::Commit, &self.commits),
            (Entity::Tag, &self.tags),
            (Entity::Branch, &self.branches),
        ]
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
        Err(invalid(format!(
            "a restore of another dump into this repository was cut short: repeat that one (commits {}, tags {}, branches {}), or delete the repository and make it anew",
            self.commits, self.tags, self.branches
        )))
    }
}

fn not_bare() -> Error {
    invalid("can only restore into a bare repository")
}

/// A record of a dump, checked.
#[derive(Debug)]
enum Restored {
    Commit(Commit),
    Tag(Tag),
    Branch {
        id: BranchId,
        commit_id: CommitId,
        hidden: bool,
    },
}

impl Restored {
    /// What the reflog tells of it; nothing of a commit, which no reference is.
    fn change<'a>(&'a self, actor: &'a str) -> Option<RefChange<'a>> {
        let (reference, to, hidden) = match self {
            Self::Commit(_) => return None,
            Self::Tag(tag) => (RefTarget::Tag(&tag.id), &tag.commit_id, false),
            Self::Branch {
                id,
                commit_id,
                hidden,
            } => (RefTarget::Branch(id), commit_id, *hidden),
        };
        Some(RefChange {
            reference,
            operation: Operation::Restore,
            actor,
            reason: "restored from a dump",
            from: None,
            to: Some(to),
            hidden,
            discarded: &[],
        })
    }

    fn parse(entity: Entity, record: &Record) -> Result<Self> {
        let key = String::from_utf8_lossy(&record.key);
        let data = record.value.data.clone();
        let restored = match entity {
            Entity::Commit => {
                let commit = Commit::decode(data)?;
                check_commit(&commit)?;
                Self::Commit(commit)
            }
            Entity::Tag => {
                let tag = Tag::decode(data)?;
                TagId::parse(tag.id.as_str())?;
                Self::Tag(tag)
            }
            Entity::Branch => {
                let branch = Branch::decode(data)?;
                Self::Branch {
                    id: BranchId::parse(branch.id.as_str())?,
                    commit_id: branch.record.commit_id,
                    hidden: branch.record.hidden,
                }
            }
        };
        if restored.id() != key {
            return Err(invalid(format!(
                "{} {:?} of the dump lies under the name {key:?}",
                entity.name(),
                restored.id()
            )));
        }
        Ok(restored)
    }

    fn id(&self) -> &str {
        match self {
            Self::Commit(commit) => commit.id.as_str(),
            Self::Tag(tag) => tag.id.as_str(),
            Self::Branch { id, .. } => id.as_str(),
        }
    }

    fn key(&self) -> Bytes {
        match self {
            Self::Commit(commit) => commit_key(commit.id.as_str()),
            Self::Tag(tag) => tag_key(tag.id.as_str()),
            Self::Branch { id, .. } => branch_key(id.as_str()),
        }
    }
}

fn check_commit(commit: &Commit) -> Result<()> {
    let id = commit_id(commit);
    if id != commit.id {
        return Err(invalid(format!(
            "commit {} of the dump is not what its id says: what it holds has the id {id}",
            commit.id
        )));
    }
    if commit.generation <= 0 {
        return Err(invalid(format!(
            "commit {} of the dump has no generation: it is a dump of a version too old to be restored",
            commit.id
        )));
    }
    Ok(())
}

/// Adds a stored record to a dump: of a branch, only what means something elsewhere.
async fn add(writer: &mut RecordWriter, entity: Entity, id: Bytes, stored: Bytes) -> Result<()> {
    let (identity, data) = match entity {
        Entity::Commit => (id.clone(), stored),
        Entity::Tag => (bytes_of(&Tag::decode(stored.clone())?.commit_id), stored),
        Entity::Branch => {
            let branch = Branch::decode(stored)?;
            let data = BranchData {
                id: branch.id.to_string(),
                commit_id: branch.record.commit_id.to_string(),
                hidden: branch.record.hidden,
                ..BranchData::default()
            };
            let identity = bytes_of(&branch.record.commit_id);
            (identity, Bytes::from(data.encode_to_vec()))
        }
    };
    writer
        .add(Record {
            key: id,
            value: Value { identity, data },
        })
        .await
}

fn bytes_of(commit: &CommitId) -> Bytes {
    Bytes::copy_from_slice(commit.as_str().as_bytes())
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::InvalidValue(reason.into())
}
