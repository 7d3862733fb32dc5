//! The continuation token: where the next call of a run resumes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use graveler::BranchId;
use serde::{Deserialize, Serialize};

use crate::constants::MAX_PATH_BYTES;
use crate::{Error, Result};

/// The maximum length of a token that is parsed.
const MAX_TOKEN_BYTES: usize = 8 << 10;

/// A position in the staged objects of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Continuation {
    /// Becomes part of a storage address, so it is checked when a token is parsed.
    pub(super) run_id: String,
    pub(super) source: Source,
    /// The last processed path of the source; none if the source was processed completely.
    pub(super) path: Option<Vec<u8>>,
}

/// A source of staged objects. Runs process the sources in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Branch(String),
    /// A reflog entry that keeps staged changes for an undo.
    Kept(String),
    /// A change that moved staged objects after the run had started.
    Moved(MovedScan),
}

/// The position in the changes that moved staged objects. See [`super::moved`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MovedScan {
    /// The reflog entry of the current change; empty before the first entry of a round.
    pub(super) entry: String,
    /// Whether the position is in the branch that the change moved objects to. Otherwise it is in the moved tokens.
    pub(super) in_branch: bool,
    /// The first entry of this round.
    pub(super) first_entry: String,
    /// The first entry of the previous round; empty in the first round. This round ends at entries that are older than
    /// it by the maximum clock skew.
    pub(super) previous_first_entry: String,
    /// A digest of the changes with moved objects that this round has visited; empty for none.
    pub(super) digest: String,
    /// Like `digest`, but only of the changes that the next round will visit again.
    pub(super) overlap_digest: String,
    /// The overlap digest of the previous round. If it equals this round's digest, nothing moved in between.
    pub(super) previous_digest: String,
}

/// Stands for the missing `previous_digest` in tokens of earlier versions. No round computes this value.
const UNKNOWN: &str = "?";

/// The JSON inside a token. Its names must not change, because clients hold tokens. Paths may be invalid UTF-8 and
/// are encoded in base64.
#[derive(Serialize, Deserialize)]
struct Token {
    run_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    #[serde(rename = "kept", skip_serializing_if = "Option::is_none")]
    kept_entry: Option<String>,
    #[serde(rename = "moved", skip_serializing_if = "Option::is_none")]
    moved_entry: Option<String>,
    #[serde(rename = "anew", default, skip_serializing_if = "std::ops::Not::not")]
    in_branch: bool,
    #[serde(rename = "top", default, skip_serializing_if = "String::is_empty")]
    first_entry: String,
    #[serde(rename = "until", default, skip_serializing_if = "String::is_empty")]
    previous_first_entry: String,
    #[serde(rename = "sum", default, skip_serializing_if = "String::is_empty")]
    digest: String,
    #[serde(rename = "near", default, skip_serializing_if = "String::is_empty")]
    overlap_digest: String,
    #[serde(rename = "before", skip_serializing_if = "Option::is_none")]
    previous_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

impl Continuation {
    pub(super) fn token(&self) -> String {
        let (mut branch, mut kept_entry, mut moved) = (None, None, None);
        match &self.source {
            Source::Branch(name) => branch = Some(name.clone()),
            Source::Kept(entry) => kept_entry = Some(entry.clone()),
            Source::Moved(scan) => moved = Some(scan.clone()),
        }
        let scan = moved.clone().unwrap_or_default();
        let token = Token {
            run_id: self.run_id.clone(),
            branch,
            kept_entry,
            previous_digest: moved.is_some().then_some(scan.previous_digest),
            moved_entry: moved.map(|scan| scan.entry),
            in_branch: scan.in_branch,
            first_entry: scan.first_entry,
            previous_first_entry: scan.previous_first_entry,
            digest: scan.digest,
            overlap_digest: scan.overlap_digest,
            path: self.path.as_ref().map(|path| URL_SAFE_NO_PAD.encode(path)),
        };
        let json = serde_json::to_vec(&token).expect("strings and booleans encode as JSON");
        URL_SAFE_NO_PAD.encode(json)
    }

    /// Parses a token. Clients may send anything.
    ///
    /// # Errors
    /// [`Error::Advised`] if the token is invalid.
    pub(super) fn parse(token: &str) -> Result<Self> {
        let invalid = || {
            Error::with_advice(
                "invalid continuation token",
                "send the `continuation_token` of the previous response, or none to start a run",
            )
        };
        if token.len() > MAX_TOKEN_BYTES {
            return Err(invalid());
        }
        let json = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
        let token: Token = serde_json::from_slice(&json).map_err(|_| invalid())?;
        let path = token.path.map(|path| URL_SAFE_NO_PAD.decode(path));
        let path = path.transpose().map_err(|_| invalid())?;
        let is_path = path
            .as_ref()
            .is_none_or(|path| path.len() <= MAX_PATH_BYTES);
        let is_run_id = base::data_id_time(&token.run_id).is_some();
        let source = match (token.branch, token.kept_entry, token.moved_entry) {
            (Some(branch), None, None) if BranchId::parse(&branch).is_ok() => {
                Source::Branch(branch)
            }
            (None, Some(kept), None) => Source::Kept(kept),
            (None, None, Some(entry)) => Source::Moved(MovedScan {
                entry,
                in_branch: token.in_branch,
                first_entry: token.first_entry,
                previous_first_entry: token.previous_first_entry,
                digest: token.digest,
                overlap_digest: token.overlap_digest,
                previous_digest: token.previous_digest.unwrap_or_else(|| UNKNOWN.to_owned()),
            }),
            _ => return Err(invalid()),
        };
        if !is_path || !is_run_id {
            return Err(invalid());
        }
        Ok(Self {
            run_id: token.run_id,
            source,
            path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn continuation() -> Continuation {
        Continuation {
            run_id: "g0000000000000000000".to_owned(),
            source: Source::Branch("main".to_owned()),
            path: Some(b"a/\xff".to_vec()),
        }
    }

    #[test]
    fn tokens_round_trip() {
        let done = Continuation {
            path: None,
            ..continuation()
        };
        let longest = Continuation {
            path: Some(vec![0xff; MAX_PATH_BYTES]),
            source: Source::Branch("b".repeat(900)),
            ..continuation()
        };
        let kept = Continuation {
            source: Source::Kept("0/x".to_owned()),
            ..continuation()
        };
        let moved = |in_branch| Continuation {
            source: Source::Moved(MovedScan {
                entry: "0x".to_owned(),
                in_branch,
                first_entry: "0a".to_owned(),
                previous_first_entry: "0z".to_owned(),
                digest: "1".to_owned(),
                overlap_digest: "2".to_owned(),
                previous_digest: "3".to_owned(),
            }),
            ..continuation()
        };
        for continuation in [
            continuation(),
            done,
            longest,
            kept,
            moved(false),
            moved(true),
        ] {
            assert_eq!(
                Continuation::parse(&continuation.token()).expect("a token"),
                continuation
            );
        }
    }

    /// Clients may hold tokens of earlier versions.
    #[test]
    fn names_in_tokens_are_stable() {
        let scan = MovedScan {
            entry: "e".to_owned(),
            in_branch: true,
            first_entry: "f".to_owned(),
            previous_first_entry: "p".to_owned(),
            digest: "1".to_owned(),
            overlap_digest: "2".to_owned(),
            previous_digest: "3".to_owned(),
        };
        let moved = Continuation {
            source: Source::Moved(scan),
            ..continuation()
        };
        let json = URL_SAFE_NO_PAD.decode(moved.token()).expect("base64");
        assert_eq!(
            String::from_utf8(json).expect("UTF-8"),
            r#"{"run_id":"g0000000000000000000","moved":"e","anew":true,"top":"f","until":"p","sum":"1","near":"2","before":"3","path":"YS__"}"#
        );
    }

    #[test]
    fn invalid_tokens_are_refused() {
        let elsewhere = Continuation {
            run_id: "../../x".to_owned(),
            ..continuation()
        };
        let no_branch = Continuation {
            source: Source::Branch("a/b".to_owned()),
            ..continuation()
        };
        let too_long = Continuation {
            path: Some(vec![0; MAX_PATH_BYTES + 1]),
            ..continuation()
        };
        let tokens = [elsewhere, no_branch, too_long].map(|continuation| continuation.token());
        let others = ["", "x", "e30", "!!!"].map(str::to_owned);
        for token in tokens
            .into_iter()
            .chain(others)
            .chain(["A".repeat(MAX_TOKEN_BYTES + 1)])
        {
            assert!(
                matches!(Continuation::parse(&token), Err(Error::Advised { .. })),
                "{token}"
            );
        }
    }
}
