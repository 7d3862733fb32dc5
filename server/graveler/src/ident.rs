//! Identities: the typed, length-prefixed encoding whose hash is the id of a commit or entry.
//!
//! The encoding is lakeFS's, byte for byte: ids computed here equal those that lakeFS computes for
//! the same record.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::{Commit, CommitId};

const TAG_BYTES: u8 = 0;
const TAG_STRING: u8 = 1;
const TAG_INT64: u8 = 2;
const TAG_STRINGS: u8 = 3;
const TAG_MAP: u8 = 4;
const TAG_EMBEDDED: u8 = 5;

/// Feeds typed values into a SHA-256, in call order.
#[derive(Debug, Clone, Default)]
pub struct Ident(Sha256);

impl Ident {
    /// An identity without values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an integer.
    #[must_use]
    pub fn int(mut self, value: i64) -> Self {
        self.put_int(value);
        self
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, value: &str) -> Self {
        self.put_text(value);
        self
    }

    /// Adds a text, or nothing if it is empty.
    #[must_use]
    pub fn text_unless_empty(self, value: &str) -> Self {
        if value.is_empty() {
            self
        } else {
            self.text(value)
        }
    }

    /// Adds a list of texts, in order.
    #[must_use]
    pub fn texts<'a>(mut self, values: impl ExactSizeIterator<Item = &'a str>) -> Self {
        self.0.update([TAG_STRINGS]);
        self.put_len(values.len());
        for value in values {
            self.put_text(value);
        }
        self
    }

    /// Adds a map, sorted bytewise by key.
    #[must_use]
    pub fn map(mut self, map: &BTreeMap<String, String>) -> Self {
        self.0.update([TAG_MAP]);
        self.put_len(map.len());
        for (key, value) in map {
            self.put_text(key);
            self.put_text(value);
        }
        self
    }

    /// Adds the identity of a nested record.
    #[must_use]
    pub fn embed(mut self, nested: Self) -> Self {
        let identity = nested.finish();
        self.0.update([TAG_EMBEDDED, TAG_BYTES]);
        self.put_len(identity.len());
        self.0.update(identity);
        self
    }

    /// The 32 bytes of the identity.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    fn put_int(&mut self, value: i64) {
        self.0.update([TAG_INT64, 8]);
        self.0.update(value.to_be_bytes());
    }

    fn put_len(&mut self, len: usize) {
        self.put_int(i64::try_from(len).expect("no value in memory is longer than i64::MAX"));
    }

    fn put_text(&mut self, value: &str) {
        self.0.update([TAG_STRING]);
        self.put_len(value.len());
        self.0.update(value);
    }
}

/// Computes a commit's id from its content. `id`, `version`, `generation` and fractions of a second
/// are not part of it.
#[must_use]
pub fn commit_id(commit: &Commit) -> CommitId {
    let parents = Ident::new().texts(commit.parents.iter().map(CommitId::as_str));
    let identity = Ident::new()
        .text("commit:v1")
        .text(&commit.committer)
        .text(&commit.message)
        .text(commit.meta_range_id.as_str())
        .int(commit.creation_date.unix_timestamp())
        .map(&commit.metadata)
        .embed(parents)
        .finish();
    CommitId::trusted(hex::encode(identity))
}

#[cfg(test)]
mod tests {
    use base::OffsetDateTime;

    use super::*;
    use crate::MetaRangeId;

    fn commit(
        committer: &str,
        message: &str,
        tree: &str,
        seconds: i64,
        metadata: &[(&str, &str)],
        parents: &[&str],
    ) -> Commit {
        Commit {
            id: CommitId::trusted(""),
            committer: committer.into(),
            message: message.into(),
            creation_date: OffsetDateTime::from_unix_timestamp(seconds).expect("in range"),
            meta_range_id: MetaRangeId::trusted(tree),
            metadata: metadata
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
            parents: parents.iter().map(|p| CommitId::trusted(*p)).collect(),
            version: 1,
            generation: 7,
        }
    }

    #[test]
    fn commit_ids_match_lakefs() {
        // 2021-01-24T15:10:12Z
        let one = commit(
            "some-committer",
            "I just committed",
            "123456789987654321",
            1_611_501_012,
            &[("sdkafjnb", "1234"), ("sdkjvcnbkjndsc", "asnjkdl")],
            &["132456987153687sdfsdf", "1324569csfvdkjhcsdkjc"],
        );
        assert_eq!(
            commit_id(&one).as_str(),
            "f1a106bbeb12d3eb54418d6000f4507501d289d0d0879dcce6f4d31425587df1"
        );
        let two = commit(
            "user1",
            "message1",
            "deadbeef123",
            -62_135_596_800,
            &[("foo", "bar")],
            &["deadbeef1", "deadbeef12"],
        );
        assert_eq!(
            commit_id(&two).as_str(),
            "2277b5abd2d3ba6b4d35c48a0e358b0c4bcf5cd6d891c67437fb4c4af0d2fd4b"
        );
    }

    #[test]
    fn commit_id_ignores_subseconds_version_and_generation() {
        let one = commit("c", "m", "t", 5, &[], &["p"]);
        let mut two = one.clone();
        two.creation_date += std::time::Duration::from_millis(900);
        two.generation = 9;
        two.version = 0;
        assert_eq!(commit_id(&one), commit_id(&two));
        two.parents.push(CommitId::trusted("q"));
        assert_ne!(commit_id(&one), commit_id(&two));
    }
}
