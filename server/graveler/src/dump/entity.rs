//! The kinds of records in a dump, and the properties of their tables, which lakeFS reads and
//! writes too.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;

use crate::committed::RecordWriter;
use crate::records::{BRANCHES, BranchData, COMMITS, Stored as _, TAGS};
use crate::{Branch, CommitId, Record, Result, Tag, Value};

/// The kinds of record in a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entity {
    Commit,
    Tag,
    Branch,
}

impl Entity {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tag => "tag",
            Self::Branch => "branch",
        }
    }

    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Commit => COMMITS,
            Self::Tag => TAGS,
            Self::Branch => BRANCHES,
        }
    }

    /// The properties of this kind's table, besides its type.
    pub(super) fn properties(self) -> BTreeMap<String, String> {
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
pub(super) const ENTITY: &str = "entity";

/// The protobuf descriptions of the messages (`DescriptorProto` as JSON).
const COMMIT_DEFINITION: &str = r#"{"name":"CommitData","field":[{"name":"id","number":1,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"id"},{"name":"committer","number":2,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"committer"},{"name":"message","number":3,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"message"},{"name":"creation_date","number":4,"label":"LABEL_OPTIONAL","type":"TYPE_MESSAGE","typeName":".google.protobuf.Timestamp","jsonName":"creationDate"},{"name":"meta_range_id","number":5,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"metaRangeId"},{"name":"metadata","number":6,"label":"LABEL_REPEATED","type":"TYPE_MESSAGE","typeName":".io.treeverse.lakefs.graveler.CommitData.MetadataEntry","jsonName":"metadata"},{"name":"parents","number":7,"label":"LABEL_REPEATED","type":"TYPE_STRING","jsonName":"parents"},{"name":"version","number":8,"label":"LABEL_OPTIONAL","type":"TYPE_INT32","jsonName":"version"},{"name":"generation","number":9,"label":"LABEL_OPTIONAL","type":"TYPE_INT32","jsonName":"generation"}],"nestedType":[{"name":"MetadataEntry","field":[{"name":"key","number":1,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"key"},{"name":"value","number":2,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"value"}],"options":{"mapEntry":true}}]}"#;
const TAG_DEFINITION: &str = r#"{"name":"TagData","field":[{"name":"id","number":1,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"id"},{"name":"commit_id","number":2,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"commitId"}]}"#;
const BRANCH_DEFINITION: &str = r#"{"name":"BranchData","field":[{"name":"id","number":1,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"id"},{"name":"commit_id","number":2,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"commitId"},{"name":"staging_token","number":3,"label":"LABEL_OPTIONAL","type":"TYPE_STRING","jsonName":"stagingToken"},{"name":"sealed_tokens","number":4,"label":"LABEL_REPEATED","type":"TYPE_STRING","jsonName":"sealedTokens"},{"name":"hidden","number":5,"label":"LABEL_OPTIONAL","type":"TYPE_BOOL","jsonName":"hidden"}]}"#;

impl Entity {
    /// Adds a stored record to a dump. Leaves out a branch's staging tokens, which are meaningless
    /// in another repository.
    pub(super) async fn add_to(
        self,
        writer: &mut RecordWriter,
        id: Bytes,
        stored: Bytes,
    ) -> Result<()> {
        let (identity, data) = match self {
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
}

fn bytes_of(commit: &CommitId) -> Bytes {
    Bytes::copy_from_slice(commit.as_str().as_bytes())
}
