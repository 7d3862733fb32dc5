//! Metadata of repositories: keys and values set by users, stored as one record.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv::Predicate;
use prost::Message as _;

use crate::checks::{check_read_only, count_retry};
use crate::records::{REPOSITORY_METADATA, RepoMetadata};
use crate::{Error, Graveler, Repository, Result};

/// Maximum number of attempts of the compare-and-set while other servers change the metadata.
const MAX_TRIES: usize = 10;

impl Graveler {
    /// All metadata of a repository.
    pub async fn repository_metadata(
        &self,
        repository: &Repository,
    ) -> Result<BTreeMap<String, String>> {
        let stored = self.repositories.metadata(repository).await?;
        stored.map_or_else(
            || Ok(BTreeMap::new()),
            |stored| decode_metadata(stored.value),
        )
    }

    /// Sets some metadata keys and leaves the others.
    ///
    /// # Errors
    /// [`crate::Error::InvalidValue`] if all keys and values together would exceed `max_bytes`;
    /// [`crate::Error::TooManyTries`] if other servers keep changing the metadata.
    pub async fn set_repository_metadata(
        &self,
        repository: &Repository,
        set: BTreeMap<String, String>,
        max_bytes: usize,
    ) -> Result<()> {
        self.change_repository_metadata(repository, |metadata| {
            metadata.extend(set.clone());
            let bytes: usize = metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
            if bytes > max_bytes {
                return Err(Error::InvalidValue(format!(
                    "repository metadata would have {bytes} bytes; at most {max_bytes} are allowed"
                )));
            }
            Ok(())
        })
        .await
    }

    /// Deletes some metadata keys. Missing keys are not an error.
    pub async fn delete_repository_metadata(
        &self,
        repository: &Repository,
        keys: &[String],
    ) -> Result<()> {
        self.change_repository_metadata(repository, |metadata| {
            metadata.retain(|key, _| !keys.contains(key));
            Ok(())
        })
        .await
    }

    /// Changes the metadata by compare-and-set. Each server makes one such change at a time, so only other
    /// servers can interfere.
    pub(crate) async fn change_repository_metadata(
        &self,
        repository: &Repository,
        change: impl Fn(&mut BTreeMap<String, String>) -> Result<()> + Send,
    ) -> Result<()> {
        check_read_only(repository, false)?;
        let (partition, what) = (repository.partition(), name(repository));
        let _permit = self
            .queue
            .acquire_for_record(partition, REPOSITORY_METADATA, &what)
            .await?;
        for _ in 0..MAX_TRIES {
            let (mut metadata, predicate) = match self.repositories.metadata(repository).await? {
                Some(stored) => (decode_metadata(stored.value)?, stored.predicate),
                None => (BTreeMap::new(), Predicate::Absent),
            };
            change(&mut metadata)?;
            let value = Bytes::from(RepoMetadata { metadata }.encode_to_vec());
            let written = self
                .repositories
                .set_metadata(repository, value.clone(), predicate);
            match written.await {
                Err(Error::Kv(kv::Error::PredicateFailed { .. })) => {
                    count_retry("repository_metadata");
                }
                // The outcome is unknown, so read the record back.
                Err(error @ Error::Kv(_)) => {
                    return match self.repositories.metadata(repository).await {
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
