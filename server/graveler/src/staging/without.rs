//! Takes a stretch of keys out of sealed tokens, without changing the tokens.
//!
//! The newest tokens, as long as they hold little else, are written again into a fresh one
//! without the stretch. What the older ones say of the stretch is covered up there: the fresh
//! token says of each such key what the head says. So no more is written than
//! the stretch has keys, and [`MAX_FOLDED_KEYS`]; and nothing but one write of the store is
//! held in memory.
//!
//! ```text
//! stretch b..   newest  a=1 b=2        fresh  a=1 b=HEAD
//!               older   b=3 c=4 ...    older  b=3 c=4 ...
//!                                      (empty)
//! ```
//!
//! A commit that was worked out with the older tokens alone must not land any more, since
//! it has in it what is covered up. It is held off by an empty token that is put behind them:
//! tokens sealed since are let through by it, tokens that come behind are not.

use std::fmt;

use bytes::Bytes;

use super::{FreshToken, StagedChanges};
use crate::committed::{Change, ChangeCursor as _};
use crate::cursor::Lookup;
use crate::engine::Engine;
use crate::{BranchId, BranchRecord, MetaRangeId, Repository, Result, StagingToken, Value};

/// How many keys besides the stretch are written again at most: as many as go into one write of the store.
pub(crate) const MAX_FOLDED_KEYS: usize = 1_000;

/// Some keys that lie together.
#[derive(Debug, Clone)]
pub(crate) enum Stretch {
    Key(Bytes),
    /// All that start so; not empty.
    Prefix(Bytes),
}

impl Stretch {
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

    /// The first key behind it; none if no key can be.
    fn behind(&self) -> Option<Vec<u8>> {
        match self {
            Self::Key(key) => Some([key.as_ref(), &[0]].concat()),
            Self::Prefix(prefix) => {
                let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
                let mut behind = prefix[..=last].to_vec();
                behind[last] += 1;
                Some(behind)
            }
        }
    }
}

impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = String::from_utf8_lossy(self.start());
        match self {
            Self::Key(_) => write!(f, "{key}"),
            Self::Prefix(_) => write!(f, "{key}*"),
        }
    }
}

/// Sealed tokens in the stead of others.
#[derive(Debug, Default)]
pub(crate) struct Rewritten {
    /// What the branch is to name, newest first.
    pub tokens: Vec<StagingToken>,
    /// Those of them that were made for it: to be given up if the branch does not come to name them.
    pub fresh: Vec<StagingToken>,
    /// What the branch named, and is to name no longer.
    pub replaced: Vec<StagingToken>,
}

impl Engine {
    /// What to name in the stead of a branch's sealed tokens so that a stretch reads as committed.
    /// None: it does.
    pub(crate) async fn sealed_without(
        &self,
        repository: &Repository,
        branch: &BranchId,
        record: &BranchRecord,
        stretch: &Stretch,
    ) -> Result<Option<Rewritten>> {
        let sealed = &record.sealed_tokens;
        let head = self.tree_of(repository, &record.commit_id).await?;
        let mut all = Covered::open(self, repository, &head, sealed, stretch).await?;
        if all.next().await?.is_none() {
            return Ok(None);
        }
        let (folded, older) = sealed.split_at(self.foldable(sealed, stretch).await?);
        let mut covered = Covered::open(self, repository, &head, older, stretch).await?;
        let mut fresh = FreshToken::new(self, repository, branch);
        let filled = self.fill(&mut fresh, folded, stretch, &mut covered).await;
        let top = fresh.finish(filled).await?;
        let mut left = Rewritten {
            tokens: top.iter().chain(older).cloned().collect(),
            fresh: top.into_iter().collect(),
            replaced: folded.to_vec(),
        };
        if covered.count > 0 {
            self.hold_off(repository, branch, &mut left).await?;
        }
        Ok(Some(left))
    }

    /// How many tokens, from the newest on, hold together no more than [`MAX_FOLDED_KEYS`] besides the stretch.
    async fn foldable(&self, sealed: &[StagingToken], stretch: &Stretch) -> Result<usize> {
        let mut left = MAX_FOLDED_KEYS;
        for (index, token) in sealed.iter().enumerate() {
            let mut besides = Besides::new(self, std::slice::from_ref(token), stretch);
            while besides.next().await?.is_some() {
                if left == 0 {
                    return Ok(index);
                }
                left -= 1;
            }
        }
        Ok(sealed.len())
    }

    async fn fill(
        &self,
        fresh: &mut FreshToken<'_>,
        folded: &[StagingToken],
        stretch: &Stretch,
        covered: &mut Covered<'_>,
    ) -> Result<()> {
        let mut besides = Besides::new(self, folded, stretch);
        while let Some(change) = besides.next().await? {
            fresh.add(change.key, change.value.as_ref()).await?;
        }
        while let Some((key, committed)) = covered.next().await? {
            fresh.add(key, committed.as_ref()).await?;
        }
        Ok(())
    }

    /// Puts an empty token behind the others, in the stead of an earlier one.
    async fn hold_off(
        &self,
        repository: &Repository,
        branch: &BranchId,
        left: &mut Rewritten,
    ) -> Result<()> {
        if let Some(last) = left.tokens.last()
            && self
                .kv
                .scan(last.as_str().as_bytes(), b"", 1)
                .await?
                .is_empty()
        {
            left.replaced.extend(left.tokens.pop());
        }
        // Holds nothing, so there is nothing to give up if the branch does not come to name it.
        left.tokens.push(self.new_staging_token(repository, branch));
        Ok(())
    }
}

/// What tokens say outside of a stretch.
struct Besides<'a> {
    changes: StagedChanges,
    stretch: &'a Stretch,
}

impl<'a> Besides<'a> {
    fn new(engine: &Engine, tokens: &[StagingToken], stretch: &'a Stretch) -> Self {
        Self {
            changes: StagedChanges::new(&engine.kv, tokens),
            stretch,
        }
    }

    async fn next(&mut self) -> Result<Option<Change>> {
        while let Some(change) = self.changes.next().await? {
            if !self.stretch.contains(&change.key) {
                return Ok(Some(change));
            }
            match self.stretch.behind() {
                Some(behind) => self.changes.seek(&behind),
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// The keys of a stretch of which tokens say something else than the head, and what the head says.
struct Covered<'a> {
    changes: StagedChanges,
    head: Lookup,
    stretch: &'a Stretch,
    count: usize,
}

impl<'a> Covered<'a> {
    async fn open(
        engine: &Engine,
        repository: &Repository,
        head: &MetaRangeId,
        tokens: &[StagingToken],
        stretch: &'a Stretch,
    ) -> Result<Self> {
        let namespace = &repository.storage_namespace;
        let mut changes = StagedChanges::new(&engine.kv, tokens);
        changes.seek(stretch.start());
        Ok(Self {
            changes,
            head: Lookup::new(engine.committed.cursor(namespace, head).await?),
            stretch,
            count: 0,
        })
    }

    async fn next(&mut self) -> Result<Option<(Bytes, Option<Value>)>> {
        while let Some(change) = self.changes.next().await? {
            if !self.stretch.contains(&change.key) {
                return Ok(None);
            }
            let committed = self.head.get(&change.key).await?;
            // Not the identity alone: also the bytes, of which it says nothing, are to be the head's.
            if committed != change.value {
                self.count += 1;
                return Ok(Some((change.key, committed)));
            }
        }
        Ok(None)
    }
}
