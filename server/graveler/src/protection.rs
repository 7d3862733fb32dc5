//! Branch protection: protected branches take merges, but no direct writes or commits.
//!
//! Rules that another server changed may be enforced up to [`RULES_MAX_AGE`] late; those that this
//! server changed apply at once. Rules guard against mistakes, not against races.
//!
//! A rule is a pattern: `*` matches any characters, `?` any one character, `[a-c]` one of a set,
//! `{a,b}` either alternative; `\` escapes the next character.

mod compiled;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::joined;
use bytes::Bytes;
use kv::{Op, Predicate, Store, Versioned};
use moka::sync::Cache;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use crate::checks::{check_read_only, count_retry};
use crate::guarded_write::write_unless_deleted;
use crate::records::{BranchProtectionRules, PROTECTED_BRANCHES, ProtectionRule};
use crate::{BranchId, BranchProtection, Error, Kind, Repository, Result};
pub(crate) use compiled::Blocked;
use compiled::{Compiled, RULES, corrupt, decode, rule};

const RULES_MAX_AGE: Duration = Duration::from_secs(1);
const MAX_CACHED_RULES: u64 = 10_000;
/// Maximum memory of the compiled rules that are cached.
const MAX_COMPILED_BYTES: u64 = 64 << 20;
/// Maximum size of a record that is compiled on a thread that serves requests. The blocking pool compiles larger
/// records.
const MAX_INLINE_BYTES: usize = 1 << 10;
/// Maximum number of steps per byte of a branch name for rules that are matched on a thread that serves requests. The
/// blocking pool matches other rules.
const MAX_INLINE_STEPS: usize = 1 << 10;
/// Maximum number of steps per byte of a branch name for new rules. Rules without braces never take more. Stored rules apply
/// even if they take more, because lakeFS or an older version may have stored them.
const MAX_RULES_STEPS: usize = 10 << 10;
/// Maximum size of a repository's rules, since every write is checked against all of them.
const MAX_RULES_BYTES: usize = 32 << 10;
/// Maximum number of attempts of the compare-and-set that adds or removes a rule.
const MAX_TRIES: usize = 10;

#[derive(Debug)]
pub(crate) struct Protection {
    kv: Arc<dyn Store>,
    /// The rules of each repository.
    rules: Cache<String, Arc<Compiled>>,
    /// The compiled rules of each stored record, by the record's digest. Requests that need the same record at the same time
    /// compile it once.
    compiled: moka::future::Cache<[u8; 32], Arc<CompileResult>>,
    /// How often this server changed rules. Rules read before a change are not cached after it.
    changes: Mutex<u64>,
}

/// Compiled rules, or the reason why the record cannot be used.
type CompileResult = std::result::Result<Arc<Compiled>, String>;

impl Protection {
    pub(crate) fn new(kv: Arc<dyn Store>) -> Self {
        Self {
            kv,
            rules: Cache::builder()
                .max_capacity(MAX_CACHED_RULES)
                .time_to_live(RULES_MAX_AGE)
                .build(),
            compiled: moka::future::Cache::builder()
                .max_capacity(MAX_COMPILED_BYTES)
                .weigher(|_, compiled: &Arc<CompileResult>| weight(compiled))
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
        let blocked = if rules.steps() <= MAX_INLINE_STEPS {
            rules.block(action, branch.as_str())
        } else {
            let branch = branch.to_string();
            joined(spawn_blocking(move || rules.block(action, &branch))).await
        };
        if blocked {
            let doing = match action {
                Blocked::StagingWrite => "write",
                Blocked::Commit => "commit",
            };
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
        let rules = match self.stored(&partition).await? {
            None => Arc::new(Compiled::default()),
            // Boxed, because most checks find the rules in the cache.
            Some(stored) => Box::pin(self.compile(stored.value)).await?,
        };
        self.remember(partition, Arc::clone(&rules), before);
        Ok(rules)
    }

    /// Compiles a stored record, unless it is cached or another request compiles it.
    async fn compile(&self, record: Bytes) -> Result<Arc<Compiled>> {
        let (digest, size) = (Sha256::digest(&record).into(), record.len());
        let compiling = async {
            let compile = move || {
                let rules = BranchProtectionRules::decode(record);
                let rules = rules.map_err(|error| error.to_string())?;
                Compiled::of(&rules).map(Arc::new)
            };
            Arc::new(if size <= MAX_INLINE_BYTES {
                compile()
            } else {
                joined(spawn_blocking(compile)).await
            })
        };
        let compiled = self.compiled.get_with(digest, compiling).await;
        match compiled.as_ref() {
            Ok(rules) => Ok(Arc::clone(rules)),
            Err(reason) => Err(corrupt(reason.clone())),
        }
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
        let patterns = patterns.to_vec();
        let rules = joined(spawn_blocking(move || new_rules(&patterns))).await?;
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

    /// Changes the rules by compare-and-set. The caller holds this server's permit to change them, so
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
            let before = rules.rules.len();
            change(&mut rules.rules)?;
            if rules.rules.len() > before {
                let rules = rules.clone();
                joined(spawn_blocking(move || check_steps(&rules))).await?;
            }
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
        check_size(value.len())?;
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

/// Makes rules of distinct patterns. May be slow.
fn new_rules(patterns: &[String]) -> Result<BranchProtectionRules> {
    let mut rules = BranchProtectionRules::default();
    let (mut known, mut bytes) = (HashSet::new(), 0);
    for pattern in patterns {
        if known.insert(pattern) {
            bytes += pattern.len();
            check_size(bytes)?;
            rules.rules.push(rule(pattern)?);
        }
    }
    check_size(rules.encoded_len())?;
    check_steps(&rules)?;
    Ok(rules)
}

fn check_size(bytes: usize) -> Result<()> {
    if bytes <= MAX_RULES_BYTES {
        return Ok(());
    }
    Err(Error::with_advice(
        format!("the branch protection rules have more than {MAX_RULES_BYTES} bytes"),
        "use fewer patterns, each of which matches more branches",
    ))
}

/// Checks that a list with new rules can be matched in bounded time.
fn check_steps(rules: &BranchProtectionRules) -> Result<()> {
    match Compiled::of(rules) {
        Ok(rules) if rules.steps() <= MAX_RULES_STEPS => Ok(()),
        Ok(_) => Err(Error::with_advice(
            "the alternatives in the braces of the branch protection rules have too many combinations",
            "write the patterns with fewer braces",
        )),
        // The cause is a rule that is already stored.
        Err(reason) => Err(Error::InvalidValue(format!(
            "invalid stored branch protection rules: {reason}"
        ))),
    }
}

/// The weight of compiled rules in the cache: their approximate size.
fn weight(compiled: &CompileResult) -> u32 {
    let bytes = match compiled {
        Ok(rules) => rules.bytes(),
        Err(reason) => reason.len(),
    };
    u32::try_from(bytes + size_of::<CompileResult>()).unwrap_or(u32::MAX)
}

/// Compiles stored rules and matches a name, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_rules(rules: &BranchProtectionRules, name: &str) {
    if let Ok(compiled) = Compiled::of(rules) {
        compiled.block(Blocked::Commit, name);
    }
}

/// Checks and compiles a new pattern and matches a name, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_pattern(pattern: &str, name: &str) {
    if let Ok(rules) = new_rules(&[pattern.to_owned()]) {
        let compiled = Compiled::of(&rules).expect("new rules can be compiled");
        assert!(compiled.steps() <= MAX_RULES_STEPS);
        compiled.block(Blocked::Commit, name);
    }
}

/// The name of one repository's rules in errors.
pub(crate) fn rules_of(repository: &Repository) -> String {
    format!("the {RULES} of repository {}", repository.id)
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
