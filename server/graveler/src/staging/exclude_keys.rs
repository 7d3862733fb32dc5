//! Removes some keys from sealed tokens without changing the tokens.
//!
//! The newest tokens that together hold at most [`MAX_FOLDED_KEYS`] other keys are copied to a new
//! token, without the keys in scope. Changes of keys in scope in older tokens are masked: the new token
//! has the head's value for each of them.
//! Memory holds one batch of writes.
//!
//! ```text
//! scope b..     newest  a=1 b=2        fresh  a=1 b=HEAD
//!               older   b=3 c=4 ...    older  b=3 c=4 ...
//!                                      (empty)
//! ```
//!
//! A concurrent commit that read only the older tokens must not land, because it contains the masked
//! changes. The empty token after the older ones prevents that: a commit lands only if its tokens are
//! the last ones of the branch.

use std::fmt;

use bytes::Bytes;

use super::{FreshToken, StagedChanges};
use crate::committed::{Change, ChangeCursor as _};
use crate::cursor::Lookup;
use crate::{
    BranchId, BranchRecord, Graveler, MetaRangeId, Repository, Result, StagingToken, Value,
};

/// Maximum number of keys outside the scope that are copied: as many as fit into one write of the
/// store.
pub(crate) const MAX_FOLDED_KEYS: usize = 1_000;

/// One key, or all keys with a prefix.
#[derive(Debug, Clone)]
pub(crate) enum KeyScope {
    Key(Bytes),
    /// All keys with this non-empty prefix.
    Prefix(Bytes),
}

impl KeyScope {
    fn start(&self) -> &Bytes {
        match self {
            Self::Key(key) | Self::Prefix(key) => key,
        }
    }

    fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(only) => key == only.as_ref(),
            Self::Prefix(prefix) => key.starts_with(prefix),
        }
    }

    /// The first key after the scope; `None` if no key can come after it.
    fn end(&self) -> Option<Vec<u8>> {
        match self {
            Self::Key(key) => Some([key.as_ref(), &[0]].concat()),
            Self::Prefix(prefix) => {
                let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
                let mut end = prefix[..=last].to_vec();
                end[last] += 1;
                Some(end)
            }
        }
    }
}

impl fmt::Display for KeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = String::from_utf8_lossy(self.start());
        match self {
            Self::Key(_) => write!(f, "{key}"),
            Self::Prefix(_) => write!(f, "{key}*"),
        }
    }
}

/// Sealed tokens that replace others.
#[derive(Debug, Default)]
pub(crate) struct Rewritten {
    /// The tokens that the branch will name, newest first.
    pub tokens: Vec<StagingToken>,
    /// The tokens in `tokens` that are new and not empty. Retire them if the branch's compare-and-set
    /// fails.
    pub fresh: Vec<StagingToken>,
    /// The tokens that the branch will no longer name.
    pub replaced: Vec<StagingToken>,
}

impl Graveler {
    /// Writes replacements for a branch's sealed tokens, without the changes of keys in scope. Returns
    /// `None` if the tokens change no key in scope.
    pub(crate) async fn exclude_keys_from_sealed(
        &self,
        repository: &Repository,
        branch: &BranchId,
        record: &BranchRecord,
        scope: &KeyScope,
    ) -> Result<Option<Rewritten>> {
        let sealed = &record.sealed_tokens;
        let head = self.tree_of(repository, &record.commit_id).await?;
        let mut all = MaskedKeys::open(self, repository, &head, sealed, scope).await?;
        if all.next().await?.is_none() {
            return Ok(None);
        }
        let (folded, older) = sealed.split_at(self.foldable(sealed, scope).await?);
        let mut masked = MaskedKeys::open(self, repository, &head, older, scope).await?;
        let mut fresh = FreshToken::new(&self.staging, repository, branch);
        let filled = self.fill(&mut fresh, folded, scope, &mut masked).await;
        let top = fresh.finish(filled).await?;
        let mut rewritten = Rewritten {
            tokens: top.iter().chain(older).cloned().collect(),
            fresh: top.into_iter().collect(),
            replaced: folded.to_vec(),
        };
        if masked.count > 0 {
            self.block_older_commits(repository, branch, &mut rewritten)
                .await?;
        }
        Ok(Some(rewritten))
    }

    /// How many tokens, starting with the newest, together hold at most [`MAX_FOLDED_KEYS`] keys
    /// outside the scope.
    async fn foldable(&self, sealed: &[StagingToken], scope: &KeyScope) -> Result<usize> {
        let mut rewritten = MAX_FOLDED_KEYS;
        for (index, token) in sealed.iter().enumerate() {
            let mut outside = ChangesOutside::new(self, std::slice::from_ref(token), scope);
            while outside.next().await?.is_some() {
                if rewritten == 0 {
                    return Ok(index);
                }
                rewritten -= 1;
            }
        }
        Ok(sealed.len())
    }

    /// Copies the changes of `folded` outside the scope, and the head's values of `masked` keys.
    async fn fill(
        &self,
        fresh: &mut FreshToken<'_>,
        folded: &[StagingToken],
        scope: &KeyScope,
        masked: &mut MaskedKeys<'_>,
    ) -> Result<()> {
        let mut outside = ChangesOutside::new(self, folded, scope);
        while let Some(change) = outside.next().await? {
            fresh.add(change.key, change.value.as_ref()).await?;
        }
        while let Some((key, committed)) = masked.next().await? {
            fresh.add(key, committed.as_ref()).await?;
        }
        Ok(())
    }

    /// Puts a new empty token after the others. Replaces the empty token of an earlier reset, if
    /// any.
    async fn block_older_commits(
        &self,
        repository: &Repository,
        branch: &BranchId,
        rewritten: &mut Rewritten,
    ) -> Result<()> {
        if let Some(last) = rewritten.tokens.last()
            && self.staging.is_empty(last).await?
        {
            rewritten.replaced.extend(rewritten.tokens.pop());
        }
        // Empty, so it need not be retired if the branch's compare-and-set fails.
        rewritten
            .tokens
            .push(self.staging.new_token(repository, branch));
        Ok(())
    }
}

/// The changes of tokens outside a scope.
struct ChangesOutside<'a> {
    changes: StagedChanges,
    scope: &'a KeyScope,
}

impl<'a> ChangesOutside<'a> {
    fn new(engine: &Graveler, tokens: &[StagingToken], scope: &'a KeyScope) -> Self {
        Self {
            changes: engine.staging.changes(tokens),
            scope,
        }
    }

    async fn next(&mut self) -> Result<Option<Change>> {
        while let Some(change) = self.changes.next().await? {
            if !self.scope.contains(&change.key) {
                return Ok(Some(change));
            }
            match self.scope.end() {
                Some(end) => self.changes.seek(&end),
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// The keys in scope for which tokens differ from the head, with the head's values.
struct MaskedKeys<'a> {
    changes: StagedChanges,
    head: Lookup,
    scope: &'a KeyScope,
    count: usize,
}

impl<'a> MaskedKeys<'a> {
    async fn open(
        engine: &Graveler,
        repository: &Repository,
        head: &MetaRangeId,
        tokens: &[StagingToken],
        scope: &'a KeyScope,
    ) -> Result<Self> {
        let namespace = &repository.storage_namespace;
        let mut changes = engine.staging.changes(tokens);
        changes.seek(scope.start());
        Ok(Self {
            changes,
            head: Lookup::new(engine.committed.cursor(namespace, head).await?),
            scope,
            count: 0,
        })
    }

    async fn next(&mut self) -> Result<Option<(Bytes, Option<Value>)>> {
        while let Some(change) = self.changes.next().await? {
            if !self.scope.contains(&change.key) {
                return Ok(None);
            }
            let committed = self.head.get(&change.key).await?;
            // Compares the data too: equal identities do not imply equal bytes, and a reset must
            // restore the head's bytes.
            if committed != change.value {
                self.count += 1;
                return Ok(Some((change.key, committed)));
            }
        }
        Ok(None)
    }
}
