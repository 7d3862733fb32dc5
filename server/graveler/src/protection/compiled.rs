//! Branch protection rules as stored records and as matchers of branch names.

use base::glob::{self, Dialect, Glob, GlobError, GlobSet};
use kv::Versioned;
use prost::Message as _;

use crate::ids::MAX_REF_NAME_BYTES;
use crate::records::{BlockedActions, BranchProtectionRules, ProtectionRule};
use crate::{Error, Result};

/// The name of the rules in errors.
pub(super) const RULES: &str = "branch protection rules";

/// An action that a rule can block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocked {
    StagingWrite = 0,
    Commit = 1,
}

/// The actions that a rule created here blocks: all of them.
const BLOCKED_BY_A_RULE: [i32; 2] = [Blocked::StagingWrite as i32, Blocked::Commit as i32];

/// Rules compiled for matching.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    staging_write: GlobSet,
    commit: GlobSet,
}

impl Compiled {
    /// Compiles rules. May be slow.
    ///
    /// # Errors
    /// The reason why the rules cannot be used.
    pub(super) fn of(rules: &BranchProtectionRules) -> std::result::Result<Self, String> {
        let globs_for = |action: Blocked| {
            let mut globs = Vec::new();
            for rule in &rules.rules {
                let blocks = rule.blocked.as_ref().map_or(&[][..], |b| &b.value);
                if !blocks.contains(&(action as i32)) {
                    continue;
                }
                match glob(&rule.pattern) {
                    Ok(glob) => globs.push(glob),
                    // The pattern was meant to protect branches, so fail instead of leaving them
                    // unprotected.
                    Err(error) if error.exceeds_limit() => {
                        return Err(format!("cannot use a pattern, {error}: replace the rules"));
                    }
                    // lakeFS stores such patterns; there they match nothing.
                    Err(error) => tracing::warn!(%error, "ignoring a branch protection rule"),
                }
            }
            // Stored rules apply however many steps they take. The caller checks the steps of new rules.
            GlobSet::new(globs, usize::MAX).map_err(|error| error.to_string())
        };
        Ok(Self {
            staging_write: globs_for(Blocked::StagingWrite)?,
            commit: globs_for(Blocked::Commit)?,
        })
    }

    /// Returns whether a rule blocks the action on the branch.
    pub(super) fn block(&self, action: Blocked, branch: &str) -> bool {
        let rules = match action {
            Blocked::StagingWrite => &self.staging_write,
            Blocked::Commit => &self.commit,
        };
        rules.is_match(branch)
    }

    /// Returns the maximum number of steps that [`Self::block`] takes per byte of the branch's name.
    pub(super) fn steps(&self) -> usize {
        self.staging_write.steps().max(self.commit.steps())
    }

    /// Returns the approximate size in memory.
    pub(super) fn bytes(&self) -> usize {
        self.staging_write.bytes() + self.commit.bytes()
    }
}

/// Checks a pattern and returns the rule that blocks all actions on matching branches.
pub(super) fn rule(pattern: &str) -> Result<ProtectionRule> {
    if pattern.is_empty() {
        return Err(Error::with_advice(
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

pub(super) fn glob(pattern: &str) -> std::result::Result<Glob, GlobError> {
    glob::parse(pattern, Dialect::Names)
}

/// Decodes a stored record of rules. No record means no rules.
pub(super) fn decode(stored: Option<&Versioned>) -> Result<BranchProtectionRules> {
    let Some(stored) = stored else {
        return Ok(BranchProtectionRules::default());
    };
    BranchProtectionRules::decode(stored.value.clone()).map_err(|e| corrupt(e.to_string()))
}

pub(super) fn corrupt(reason: String) -> Error {
    Error::Corrupt {
        what: RULES.to_owned(),
        reason,
    }
}
