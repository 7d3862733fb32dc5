//! Metadata of repositories: keys and values set by users, stored as one record.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv::{Op, Predicate};
use prost::Message as _;

use crate::deletion::write_unless_deleted;
use crate::engine::{Engine, check_read_only, count_retry};
use crate::records::{REPOSITORY_METADATA, RepoMetadata};
use crate::{Error, Repository, Result};

/// How often the compare-and-set is tried against other servers.
const MAX_TRIES: usize = 10;

impl Engine {
    /// All metadata; empty if none was ever set.
    pub(crate) async fn repository_metadata(
        &self,
        repository: &Repository,
    ) -> Result<BTreeMap<String, String>> {
        let stored = self
            .kv
            .get(repository.partition().as_bytes(), REPOSITORY_METADATA)
            .await?;
        stored.map_or_else(
            || Ok(BTreeMap::new()),
            |stored| decode_metadata(stored.value),
        )
    }

    /// Changes the metadata by compare-and-set. Changes on one server take turns, so only other
    /// servers can interfere.
    pub(crate) async fn change_repository_metadata(
        &self,
        repository: &Repository,
        change: impl Fn(&mut BTreeMap<String, String>) -> Result<()> + Send,
    ) -> Result<()> {
        check_read_only(repository, false)?;
        let (partition, what) = (repository.partition(), name(repository));
        let _turn = self
            .queue
            .turn_for_record(partition.clone(), REPOSITORY_METADATA, &what)
            .await?;
        for _ in 0..MAX_TRIES {
            let stored = self.kv.get(partition.as_bytes(), REPOSITORY_METADATA);
            let (mut metadata, predicate) = match stored.await? {
                Some(stored) => (decode_metadata(stored.value)?, stored.predicate),
                None => (BTreeMap::new(), Predicate::Absent),
            };
            change(&mut metadata)?;
            let value = Bytes::from(RepoMetadata { metadata }.encode_to_vec());
            let op = Op::Set {
                partition: Bytes::from(partition.clone()),
                key: Bytes::from_static(REPOSITORY_METADATA),
                value: value.clone(),
                predicate: Some(predicate),
            };
            match write_unless_deleted(self.kv.as_ref(), repository, vec![op]).await {
                Err(Error::Kv(kv::Error::PredicateFailed { .. })) => {
                    count_retry("repository_metadata");
                }
                // The outcome is unknown, so read the record back.
                Err(error @ Error::Kv(_)) => {
                    let stored = self.kv.get(partition.as_bytes(), REPOSITORY_METADATA).await;
                    return match stored {
                        Ok(Some(stored)) if stored.value == value => Ok(()),
                        _ => Err(error),
                    };
                }
                written => return written,
            }
        }
        Err(Error::TooManyTries(what))
    }
}

fn name(repository: &Repository) -> String {
    format!("the metadata of repository {}", repository.id)
}

fn decode_metadata(stored: Bytes) -> Result<BTreeMap<String, String>> {
    let decoded = RepoMetadata::decode(stored).map_err(|e| Error::Corrupt {
        what: "repository metadata".to_owned(),
        reason: e.to_string(),
    })?;
    Ok(decoded.metadata)
}
