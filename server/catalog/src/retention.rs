//! Garbage collection rules of a repository: how long to keep objects that are no longer on any branch.
//!
//! The rules are stored in the block store below `_lakefs/`, as the protobuf message that lakeFS and its
//! Spark client read. An empty file means that the rules were deleted.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use graveler::{BranchId, Repository};
use prost::Message;
use tracing::{info, instrument};

use crate::{Catalog, Error, Reader, Result};

/// Where the rules are stored, below `_lakefs/`. lakeFS defines this name. Despite the ending, the content
/// is protobuf.
const RULES_KEY: &str = "retention/gc/rules/config.json";
/// The maximum size of stored rules.
const MAX_RULES_BYTES: usize = 16 << 20;
/// The encoded field `default_retention_days` with the value 0, which protobuf would omit. Without it, rules that
/// are all zero would be encoded as an empty file, which means no rules.
const ZERO_DEFAULT: &[u8] = b"\x08\x00";

/// How many days objects are kept after they were replaced or deleted. Rules that lakeFS stored may be negative.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcRules {
    /// For branches without their own rule, and for commits that are not reachable from any branch.
    pub default_retention_days: i32,
    /// By branch name. The branches need not exist.
    pub branch_retention_days: BTreeMap<String, i32>,
}

impl GcRules {
    /// How many days objects are kept after they were replaced or deleted on `branch`.
    #[must_use]
    pub fn retention_days(&self, branch: &str) -> i32 {
        let of_branch = self.branch_retention_days.get(branch);
        of_branch.copied().unwrap_or(self.default_retention_days)
    }

    fn check(&self) -> Result<()> {
        let days = |what: &str, days: i32| match days {
            0.. => Ok(()),
            _ => Err(Error::InvalidValue(format!(
                "{what} is {days}, but must not be negative"
            ))),
        };
        days("default_retention_days", self.default_retention_days)?;
        for (branch, kept) in &self.branch_retention_days {
            BranchId::parse(branch)?;
            days(&format!("retention_days of branch {branch:?}"), *kept)?;
        }
        Ok(())
    }

    fn encode(&self) -> Bytes {
        let stored = StoredRules {
            default_retention_days: self.default_retention_days,
            branch_retention_days: self.branch_retention_days.clone(),
        }
        .encode_to_vec();
        if stored.is_empty() {
            return Bytes::from_static(ZERO_DEFAULT);
        }
        Bytes::from(stored)
    }
}

/// Reads stored rules, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_rules(stored: Bytes) {
    drop(StoredRules::decode(stored));
}

impl Reader {
    /// The rules of a repository, or none if they were never set or were deleted.
    ///
    /// # Errors
    /// Any error of the block store; [`Error::Corrupt`].
    pub async fn gc_rules(&self, repository: &Repository) -> Result<Option<GcRules>> {
        let Some(mut body) = self.get_internal(repository, RULES_KEY).await? else {
            return Ok(None);
        };
        let mut stored = BytesMut::new();
        while let Some(piece) = body.try_next().await.map_err(unreadable)? {
            stored.extend_from_slice(&piece);
            if stored.len() > MAX_RULES_BYTES {
                return Err(corrupt(format!("larger than {MAX_RULES_BYTES} bytes")));
            }
        }
        if stored.is_empty() {
            return Ok(None);
        }
        let rules = StoredRules::decode(stored.freeze()).map_err(|e| corrupt(e.to_string()))?;
        Ok(Some(GcRules {
            default_retention_days: rules.default_retention_days,
            branch_retention_days: rules.branch_retention_days,
        }))
    }
}

impl Catalog {
    /// Replaces the rules. If two calls race, the rules of one of them are stored.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for negative days and rules that are too large; [`Error::InvalidName`] for an invalid
    /// branch name; read-only; any error of the block store.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn set_gc_rules(&self, repository: &Repository, rules: &GcRules) -> Result<()> {
        check_writable(repository)?;
        rules.check()?;
        let stored = rules.encode();
        if stored.len() > MAX_RULES_BYTES {
            return Err(Error::InvalidValue(format!(
                "the rules have {} bytes; at most {MAX_RULES_BYTES} are allowed",
                stored.len()
            )));
        }
        self.internal_files
            .put(repository, RULES_KEY, stored)
            .await?;
        info!(repo.id = %repository.id, "set garbage collection rules of {}", repository.id);
        Ok(())
    }

    /// Deletes the rules. Missing rules are not an error.
    ///
    /// # Errors
    /// Read-only; any error of the block store.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn delete_gc_rules(&self, repository: &Repository) -> Result<()> {
        check_writable(repository)?;
        self.internal_files
            .put(repository, RULES_KEY, Bytes::new())
            .await?;
        info!(repo.id = %repository.id, "deleted garbage collection rules of {}", repository.id);
        Ok(())
    }
}

/// Refuses changes of a read-only repository.
pub(crate) fn check_writable(repository: &Repository) -> Result<()> {
    if repository.read_only {
        let id = repository.id.to_string();
        return Err(Error::ReadOnly(id));
    }
    Ok(())
}

fn unreadable(source: std::io::Error) -> Error {
    Error::from(block::Error::Storage {
        operation: "read",
        location: RULES_KEY.to_owned(),
        source,
    })
}

fn corrupt(reason: String) -> Error {
    Error::Corrupt {
        what: "garbage collection rules".to_owned(),
        reason,
    }
}

#[derive(Clone, PartialEq, Message)]
struct StoredRules {
    #[prost(int32, tag = "1")]
    default_retention_days: i32,
    #[prost(btree_map = "string, int32", tag = "2")]
    branch_retention_days: BTreeMap<String, i32>,
}
