//! Branch protection: protected branches take merges, but no direct writes or commits.
//!
//! Rules that another server changed may be enforced up to [`RULES_MAX_AGE`] late; those that this
//! server changed apply at once. Rules guard against mistakes, not against races.
//!
//! A rule is a pattern: `*` matches any characters, `?` any one character, `[a-c]` one of a set,
//! `{a,b}` either alternative; `\` escapes the next character.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::glob::{self, Dialect, Glob, GlobError, GlobSet, GlobSetBuilder};
use bytes::Bytes;
use kv::{Op, Predicate, Store, Versioned};
use moka::sync::Cache;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::checks::{check_read_only, count_retry};
use crate::guarded_write::write_unless_deleted;
use crate::ids::MAX_REF_NAME_BYTES;
use crate::records::{BlockedActions, BranchProtectionRules, PROTECTED_BRANCHES, ProtectionRule};
use crate::{BranchId, BranchProtection, Error, Kind, Repository, Result};

const RULES_MAX_AGE: Duration = Duration::from_secs(1);
const MAX_CACHED_RULES: u64 = 10_000;
/// Maximum size of a repository's rules, since every write is checked against all of them.
const MAX_RULES_BYTES: usize = 32 << 10;
/// How often the compare-and-set that adds or removes a rule is tried.
const MAX_TRIES: usize = 10;

/// An action that a rule can block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocked {
    StagingWrite = 0,
    Commit = 1,
}

/// The actions that a rule created here blocks: all of them.
const BLOCKED_BY_A_RULE: [i32; 2] = [Blocked::StagingWrite as i32, Blocked::Commit as i32];

#[derive(Debug)]
pub(crate) struct Protection {
    kv: Arc<dyn Store>,
    rules: Cache<String, Arc<Compiled>>,
    /// How often this server changed rules. Rules read before a change are not cached after it.
    changes: Mutex<u64>,
}

/// Rules compiled for matching.
#[derive(Debug)]
struct Compiled {
    staging_write: GlobSet,
    commit: GlobSet,
}

impl Protection {
    pub(crate) fn new(kv: Arc<dyn Store>) -> Self {
        Self {
            kv,
            rules: Cache::builder()
                .max_capacity(MAX_CACHED_RULES)
                .time_to_live(RULES_MAX_AGE)
                .build(),
            changes: Mutex::new(0),
        }
    }

    /// Refuses `action` on a branch that is protected against it.
    ///
    /// # Errors
    /// [`Error::Protected`].
    pub(crate) async fn check(
        &self,
        repository: &Repository,
        branch: &BranchId,
        action: Blocked,
    ) -> Result<()> {
        let rules = self.compiled(repository).await?;
        let (blocked, doing) = match action {
            Blocked::StagingWrite => (&rules.staging_write, "write"),
            Blocked::Commit => (&rules.commit, "commit"),
        };
        if blocked.is_match(branch.as_str()) {
            return Err(Error::Protected {
                action: doing,
                branch: branch.to_string(),
            });
        }
        Ok(())
    }

    async fn compiled(&self, repository: &Repository) -> Result<Arc<Compiled>> {
        let partition = repository.partition();
        if let Some(rules) = self.rules.get(&partition) {
            return Ok(rules);
        }
        let before = *self.changes();
        let stored = self.stored(&partition).await?;
        let rules = Arc::new(Compiled::of(&decode(stored.as_ref())?)?);
        self.remember(partition, Arc::clone(&rules), before);
        Ok(rules)
    }

    /// Caches rules that were read after `before` changes, unless rules changed since.
    fn remember(&self, partition: String, rules: Arc<Compiled>, before: u64) {
        let changes = self.changes();
        if *changes == before {
            self.rules.insert(partition, rules);
        }
    }

    fn forget(&self, partition: &str) {
        *self.changes() += 1;
        self.rules.invalidate(partition);
    }

    fn changes(&self) -> MutexGuard<'_, u64> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current rules, not cached, in stored order.
    pub(crate) async fn rules(&self, repository: &Repository) -> Result<BranchProtection> {
        let stored = self.stored(&repository.partition()).await?;
        let rules = decode(stored.as_ref())?;
        Ok(BranchProtection {
            patterns: rules.rules.into_iter().map(|rule| rule.pattern).collect(),
            tag: tag_of(stored.as_ref()),
        })
    }

    /// Replaces the rules. With `if_tag`, only if the current rules still have that tag.
    pub(crate) async fn replace(
        &self,
        repository: &Repository,
        patterns: &[String],
        if_tag: Option<&str>,
    ) -> Result<()> {
        check_read_only(repository, false)?;
        let mut rules = BranchProtectionRules::default();
        for pattern in patterns {
            if rules.rules.iter().all(|rule| rule.pattern != *pattern) {
                rules.rules.push(rule(pattern)?);
            }
        }
        let partition = repository.partition();
        let predicate = match if_tag {
            None => None,
            Some(tag) => {
                let stored = self.stored(&partition).await?;
                if tag_of(stored.as_ref()) != tag {
                    return Err(Error::Stale(RULES));
                }
                Some(predicate_of(stored))
            }
        };
        match self.store(repository, &rules, predicate).await {
            Err(Error::Kv(kv::Error::PredicateFailed { .. })) => Err(Error::Stale(RULES)),
            stored => stored,
        }
    }

    /// Adds a rule.
    pub(crate) async fn add(&self, repository: &Repository, pattern: &str) -> Result<()> {
        let new = rule(pattern)?;
        self.change(repository, |rules| {
            if rules.iter().any(|rule| rule.pattern == pattern) {
                return Err(Error::NotUnique {
                    kind: Kind::ProtectionRule,
                    id: pattern.to_owned(),
                });
            }
            rules.push(new.clone());
            Ok(())
        })
        .await
    }

    /// Removes a rule.
    pub(crate) async fn remove(&self, repository: &Repository, pattern: &str) -> Result<()> {
        self.change(repository, |rules| {
            let before = rules.len();
            rules.retain(|rule| rule.pattern != pattern);
            if rules.len() == before {
                return Err(Error::NotFound {
                    kind: Kind::ProtectionRule,
                    id: pattern.to_owned(),
                });
            }
            Ok(())
        })
        .await
    }

    /// Changes the rules by compare-and-set. The caller holds this server's turn to change them, so
    /// only other servers can interfere.
    async fn change(
        &self,
        repository: &Repository,
        change: impl Fn(&mut Vec<ProtectionRule>) -> Result<()> + Send,
    ) -> Result<()> {
        check_read_only(repository, false)?;
        let partition = repository.partition();
        for _ in 0..MAX_TRIES {
            let stored = self.stored(&partition).await?;
            let mut rules = decode(stored.as_ref())?;
            change(&mut rules.rules)?;
            match self
                .store(repository, &rules, Some(predicate_of(stored)))
                .await
            {
                Err(Error::Kv(kv::Error::PredicateFailed { .. })) => count_retry("protection"),
                stored => return stored,
            }
        }
        Err(Error::TooManyTries(rules_of(repository)))
    }

    async fn stored(&self, partition: &str) -> Result<Option<Versioned>> {
        Ok(self
            .kv
            .get(partition.as_bytes(), PROTECTED_BRANCHES)
            .await?)
    }

    /// Writes the record, and makes this server enforce it from now on.
    async fn store(
        &self,
        repository: &Repository,
        rules: &BranchProtectionRules,
        predicate: Option<Predicate>,
    ) -> Result<()> {
        let value = Bytes::from(rules.encode_to_vec());
        if value.len() > MAX_RULES_BYTES {
            return Err(Error::advised(
                format!(
                    "the branch protection rules have {} bytes, and at most {MAX_RULES_BYTES} are stored",
                    value.len()
                ),
                "use fewer patterns, each of which matches more branches",
            ));
        }
        let partition = repository.partition();
        let op = Op::Set {
            partition: Bytes::from(partition.clone()),
            key: Bytes::from_static(PROTECTED_BRANCHES),
            value: value.clone(),
            predicate,
        };
        let written = write_unless_deleted(self.kv.as_ref(), repository, vec![op]).await;
        let written = match written {
            // The outcome is unknown, so read the record back.
            Err(error @ Error::Kv(kv::Error::Storage { .. })) => {
                match self.stored(&partition).await {
                    Ok(Some(stored)) if stored.value == value => Ok(()),
                    _ => Err(error),
                }
            }
            written => written,
        };
        self.forget(&partition);
        written
    }
}

impl Compiled {
    fn of(rules: &BranchProtectionRules) -> Result<Self> {
        let that_block = |action: Blocked| {
            let mut set = GlobSetBuilder::new();
            for rule in &rules.rules {
                let blocks = rule.blocked.as_ref().map_or(&[][..], |b| &b.value);
                if !blocks.contains(&(action as i32)) {
                    continue;
                }
                match glob(&rule.pattern) {
                    Ok(glob) => {
                        set.add(glob);
                    }
                    // The pattern was meant to protect branches, so fail instead of leaving them
                    // unprotected.
                    Err(error) if error.exceeds_limit() => {
                        return Err(corrupt(format!(
                            "cannot use a pattern, {error}: replace the rules"
                        )));
                    }
                    // lakeFS stores such patterns; there they match nothing.
                    Err(error) => tracing::warn!(%error, "ignoring a branch protection rule"),
                }
            }
            set.build()
                .map_err(|error| corrupt(error.kind().to_string()))
        };
        Ok(Self {
            staging_write: that_block(Blocked::StagingWrite)?,
            commit: that_block(Blocked::Commit)?,
        })
    }
}

/// Compiles stored rules, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_rules(rules: &BranchProtectionRules) {
    if let Ok(compiled) = Compiled::of(rules) {
        compiled.commit.is_match("release-1");
    }
}

/// Checks and compiles a new pattern, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_pattern(pattern: &str) {
    if let Ok(glob) = rule(pattern).and(glob(pattern).map_err(|e| corrupt(e.to_string()))) {
        glob.compile_matcher().is_match("release-1");
    }
}

/// The name of the rules in errors.
const RULES: &str = "branch protection rules";

/// The name of one repository's rules in errors.
pub(crate) fn rules_of(repository: &Repository) -> String {
    format!("the {RULES} of repository {}", repository.id)
}

/// Checks a pattern and returns the rule that blocks all actions on matching branches.
fn rule(pattern: &str) -> Result<ProtectionRule> {
    if pattern.is_empty() {
        return Err(Error::advised(
            "invalid branch protection pattern \"\": it is empty",
            "use * to protect all branches",
        ));
    }
    let wrong = |reason: String| {
        Error::InvalidValue(format!(
            "invalid branch protection pattern {pattern:?}: {reason}"
        ))
    };
    if pattern.len() > MAX_REF_NAME_BYTES {
        return Err(wrong(format!(
            "it is longer than {MAX_REF_NAME_BYTES} bytes"
        )));
    }
    glob(pattern).map_err(|error| wrong(error.to_string()))?;
    Ok(ProtectionRule {
        pattern: pattern.to_owned(),
        blocked: Some(BlockedActions {
            value: BLOCKED_BY_A_RULE.to_vec(),
        }),
    })
}

fn glob(pattern: &str) -> std::result::Result<Glob, GlobError> {
    glob::parse(pattern, Dialect::Names)
}

/// The tag of stored rules: the SHA-256 of the record in hex, empty if there is no record. lakeFS
/// computes the same tag, so tags that it returned stay valid.
fn tag_of(stored: Option<&Versioned>) -> String {
    stored.map_or_else(String::new, |stored| {
        hex::encode(Sha256::digest(&stored.value))
    })
}

fn predicate_of(stored: Option<Versioned>) -> Predicate {
    stored.map_or(Predicate::Absent, |stored| stored.predicate)
}

fn decode(stored: Option<&Versioned>) -> Result<BranchProtectionRules> {
    let Some(stored) = stored else {
        return Ok(BranchProtectionRules::default());
    };
    BranchProtectionRules::decode(stored.value.clone()).map_err(|e| corrupt(e.to_string()))
}

fn corrupt(reason: String) -> Error {
    Error::Corrupt {
        what: RULES.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prost::Message as _;

    use super::{Compiled, Protection, glob, rule};
    use crate::records::{
        BlockedActions, BranchProtectionRules, PROTECTED_BRANCHES, ProtectionRule,
    };
    use crate::testing::{Lake, branch};

    #[tokio::test]
    async fn rules_read_before_a_change_are_not_cached_after_it() {
        let lake = Lake::new().await;
        let (protection, lake) = (Protection::new(lake.kv), lake.repo);
        let before = *protection.changes();
        let old = Arc::new(Compiled::of(&BranchProtectionRules::default()).unwrap());
        let patterns = ["main".to_owned()];
        protection.replace(&lake, &patterns, None).await.unwrap();
        protection.remember(lake.partition(), old, before);
        protection
            .check(&lake, &branch("main"), super::Blocked::Commit)
            .await
            .unwrap_err();
    }

    #[test]
    fn patterns_match_names() {
        let matches =
            |pattern: &str, name: &str| glob(pattern).unwrap().compile_matcher().is_match(name);
        for (pattern, name) in [
            ("main", "main"),
            ("ma*", "main"),
            ("*", "x"),
            ("**", "x"),
            ("m??n", "main"),
            ("*-*", "a-b"),
            ("a*b*c", "aXbYbZc"),
            ("v[0-9]*", "v10"),
            ("{main,prod}", "prod"),
            ("release{,-*}", "release"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("main", "main2"),
            ("main", "xmain"),
            ("ma*", "dev"),
            ("m?n", "main"),
            ("*x", "xy"),
            ("v[!0-9]*", "v10"),
            ("{main,prod}", "dev"),
            ("Main", "main"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        let nested = "{".repeat(450) + &"}".repeat(450);
        for bad in ["", "[a", "{a", "[z-a]", &"x".repeat(901), &nested] {
            let error = rule(bad).unwrap_err().to_string();
            assert!(error.contains("branch protection pattern"), "{error}");
        }
        rule(&"x".repeat(900)).unwrap();
    }

    /// Regression: a stored rule of 20,000 nested braces overflowed the stack at the first write
    /// after each start.
    #[tokio::test]
    async fn oversized_stored_rule_blocks_all_branches_until_replaced() {
        let lake = Lake::new().await;
        let (protection, repo) = (Protection::new(lake.kv.clone()), lake.repo);
        let deep = "{".repeat(20_000) + &"}".repeat(20_000);
        let stored = BranchProtectionRules {
            rules: vec![ProtectionRule {
                pattern: deep,
                blocked: Some(BlockedActions {
                    value: super::BLOCKED_BY_A_RULE.to_vec(),
                }),
            }],
        };
        base::testing::on_small_stack(|| Compiled::of(&stored).unwrap_err());
        let (partition, value) = (repo.partition(), stored.encode_to_vec().into());
        let set = lake.kv.set(partition.as_bytes(), PROTECTED_BRANCHES, value);
        set.await.unwrap();
        let (main, dev) = (branch("main"), branch("dev"));
        let refused = protection.check(&repo, &main, super::Blocked::Commit);
        let error = refused.await.unwrap_err().to_string();
        assert!(error.contains("replace the rules"), "{error}");
        assert_eq!(protection.rules(&repo).await.unwrap().patterns.len(), 1);
        let patterns = ["main".to_owned()];
        protection.replace(&repo, &patterns, None).await.unwrap();
        let other = protection.check(&repo, &dev, super::Blocked::Commit);
        other.await.unwrap();
    }
}
