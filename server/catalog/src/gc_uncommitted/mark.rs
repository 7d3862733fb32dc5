//! Where a run goes on: what the continuation token says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use graveler::BranchId;
use serde::{Deserialize, Serialize};

use crate::upload::MAX_PATH_BYTES;
use crate::{Error, Result};

/// The longest token that is looked into.
const MAX_TOKEN_BYTES: usize = 8 << 10;

/// A place in the staged objects of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Becomes part of an address.
    pub(super) run_id: String,
    pub(super) place: Place,
    /// The last path that was seen there; none if it was seen to its end.
    pub(super) path: Option<Vec<u8>>,
}

/// Where staged objects are, in the order in which they are gone through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Branch(String),
    /// Left their branch, and are kept for an undo.
    Kept(String),
    /// Moved with a change since the run began.
    Moved(Moved),
}

/// Where a run is among the changes since it began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// The entry of the change; empty before the first of a round.
    pub(super) entry: String,
    /// Whether it is the branch that is gone through anew, and not the tokens that moved.
    pub(super) anew: bool,
    /// The first entry of this round.
    pub(super) top: String,
    /// That of the round before, shortly behind which this one ends; empty in the first.
    pub(super) until: String,
    /// Which changes that moved something this round has come to; empty: none.
    pub(super) sum: String,
    /// The same of those that the next round comes to as well.
    pub(super) near: String,
    /// What the round before had there; the same again: nothing moved since.
    pub(super) before: String,
}

/// What no round has in [`Moved::before`]: tokens of earlier versions do not tell.
const UNKNOWN: &str = "?";

/// Paths may be no text, so they are in base64.
#[derive(Serialize, Deserialize)]
struct Wire {
    run_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moved: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    anew: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    top: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    until: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    sum: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    near: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

impl Mark {
    pub(super) fn token(&self) -> String {
        let (mut branch, mut kept, mut moved) = (None, None, None);
        match &self.place {
            Place::Branch(name) => branch = Some(name.clone()),
            Place::Kept(place) => kept = Some(place.clone()),
            Place::Moved(at) => moved = Some(at.clone()),
        }
        let at = moved.clone().unwrap_or_default();
        let wire = Wire {
            run_id: self.run_id.clone(),
            branch,
            kept,
            before: moved.is_some().then_some(at.before),
            moved: moved.map(|at| at.entry),
            anew: at.anew,
            top: at.top,
            until: at.until,
            sum: at.sum,
            near: at.near,
            path: self.path.as_ref().map(|path| URL_SAFE_NO_PAD.encode(path)),
        };
        let json = serde_json::to_vec(&wire).expect("texts are JSON");
        URL_SAFE_NO_PAD.encode(json)
    }

    /// Reads a token, which may be anybody's.
    ///
    /// # Errors
    /// What is wrong with the token, with advice.
    pub(super) fn parse(token: &str) -> Result<Self> {
        let invalid = || {
            Error::advised(
                "invalid continuation token",
                "give the `continuation_token` that the call before answered, or none to begin a run",
            )
        };
        if token.len() > MAX_TOKEN_BYTES {
            return Err(invalid());
        }
        let json = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
        let wire: Wire = serde_json::from_slice(&json).map_err(|_| invalid())?;
        let path = wire.path.map(|path| URL_SAFE_NO_PAD.decode(path));
        let path = path.transpose().map_err(|_| invalid())?;
        let is_path = path
            .as_ref()
            .is_none_or(|path| path.len() <= MAX_PATH_BYTES);
        let is_ours = base::data_id_time(&wire.run_id).is_some();
        let place = match (wire.branch, wire.kept, wire.moved) {
            (Some(branch), None, None) if BranchId::parse(&branch).is_ok() => Place::Branch(branch),
            (None, Some(kept), None) => Place::Kept(kept),
            (None, None, Some(entry)) => Place::Moved(Moved {
                entry,
                anew: wire.anew,
                top: wire.top,
                until: wire.until,
                sum: wire.sum,
                near: wire.near,
                before: wire.before.unwrap_or_else(|| UNKNOWN.to_owned()),
            }),
            _ => return Err(invalid()),
        };
        if !is_path || !is_ours {
            return Err(invalid());
        }
        Ok(Self {
            run_id: wire.run_id,
            place,
            path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        Mark {
            run_id: "g0000000000000000000".to_owned(),
            place: Place::Branch("main".to_owned()),
            path: Some(b"a/\xff".to_vec()),
        }
    }

    #[test]
    fn tokens_say_where_to_go_on() {
        let done = Mark {
            path: None,
            ..mark()
        };
        let longest = Mark {
            path: Some(vec![0xff; MAX_PATH_BYTES]),
            place: Place::Branch("b".repeat(900)),
            ..mark()
        };
        let kept = Mark {
            place: Place::Kept("0/x".to_owned()),
            ..mark()
        };
        let moved = |anew| Mark {
            place: Place::Moved(Moved {
                entry: "0x".to_owned(),
                anew,
                top: "0a".to_owned(),
                until: "0z".to_owned(),
                sum: "1".to_owned(),
                near: "2".to_owned(),
                before: "3".to_owned(),
            }),
            ..mark()
        };
        for mark in [mark(), done, longest, kept, moved(false), moved(true)] {
            assert_eq!(Mark::parse(&mark.token()).expect("a token"), mark);
        }
    }

    #[test]
    fn what_no_call_gave_is_refused() {
        let elsewhere = Mark {
            run_id: "../../x".to_owned(),
            ..mark()
        };
        let no_branch = Mark {
            place: Place::Branch("a/b".to_owned()),
            ..mark()
        };
        let too_long = Mark {
            path: Some(vec![0; MAX_PATH_BYTES + 1]),
            ..mark()
        };
        let tokens = [elsewhere, no_branch, too_long].map(|mark| mark.token());
        let others = ["", "x", "e30", "!!!"].map(str::to_owned);
        for token in tokens
            .into_iter()
            .chain(others)
            .chain(["A".repeat(MAX_TOKEN_BYTES + 1)])
        {
            assert!(
                matches!(
                    Mark::parse(&token),
                    Err(Error::Engine(graveler::Error::Advised { .. }))
                ),
                "{token}"
            );
        }
    }
}
