//! Branch protection: which branches take no direct writes or commits.
//!
//! Rules are read from the repository's settings and may be as old as
//! [`RULES_MAX_AGE`]: they guard against mistakes, not against races.

use std::sync::Arc;
use std::time::Duration;

use kv::Store;
use moka::sync::Cache;
use prost::Message as _;

use crate::records::{BranchProtectionRules, PROTECTED_BRANCHES};
use crate::{BranchId, Error, Repository, Result};

const RULES_MAX_AGE: Duration = Duration::from_secs(1);
const MAX_CACHED_RULES: u64 = 10_000;

/// What a rule can block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocked {
    StagingWrite = 0,
    Commit = 1,
}

#[derive(Debug)]
pub(crate) struct Protection {
    kv: Arc<dyn Store>,
    rules: Cache<String, Arc<BranchProtectionRules>>,
}

impl Protection {
    pub(crate) fn new(kv: Arc<dyn Store>) -> Self {
        Self {
            kv,
            rules: Cache::builder()
                .max_capacity(MAX_CACHED_RULES)
                .time_to_live(RULES_MAX_AGE)
                .build(),
        }
    }

    /// Refuses `action` on a protected branch.
    ///
    /// # Errors
    /// [`Error::Protected`].
    pub(crate) async fn check(
        &self,
        repository: &Repository,
        branch: &BranchId,
        action: Blocked,
    ) -> Result<()> {
        let rules = self.rules(repository).await?;
        let blocks = |(pattern, actions): (&String, &crate::records::BlockedActions)| {
            actions.value.contains(&(action as i32))
                && matches(pattern.as_bytes(), branch.as_str().as_bytes())
        };
        if rules.blocked.iter().any(blocks) {
            return Err(Error::Protected(branch.to_string()));
        }
        Ok(())
    }

    async fn rules(&self, repository: &Repository) -> Result<Arc<BranchProtectionRules>> {
        let partition = repository.partition();
        if let Some(rules) = self.rules.get(&partition) {
            return Ok(rules);
        }
        let rules = match self
            .kv
            .get(partition.as_bytes(), PROTECTED_BRANCHES)
            .await?
        {
            None => BranchProtectionRules::default(),
            Some(stored) => {
                BranchProtectionRules::decode(stored.value).map_err(|e| Error::Corrupt {
                    what: "branch protection rules".to_owned(),
                    reason: e.to_string(),
                })?
            }
        };
        let rules = Arc::new(rules);
        self.rules.insert(partition, Arc::clone(&rules));
        Ok(rules)
    }
}

/// Whether a name matches a pattern of literals, `*` (any run) and `?` (any one).
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to resume after the last star: behind it in the pattern, and one
    // more byte swallowed in the name.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((behind, swallowed)) => {
                    star = Some((behind, swallowed + 1));
                    p = behind;
                    n = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, name) in [
            ("main", "main"),
            ("ma*", "main"),
            ("*", ""),
            ("*", "x"),
            ("m??n", "main"),
            ("*-*", "a-b"),
            ("a*b*c", "aXbYbZc"),
        ] {
            assert!(
                matches(pattern.as_bytes(), name.as_bytes()),
                "{pattern} {name}"
            );
        }
        for (pattern, name) in [
            ("main", "main2"),
            ("ma*", "dev"),
            ("?", ""),
            ("m?n", "main"),
            ("*x", "xy"),
            ("", "a"),
        ] {
            assert!(
                !matches(pattern.as_bytes(), name.as_bytes()),
                "{pattern} {name}"
            );
        }
    }
}
