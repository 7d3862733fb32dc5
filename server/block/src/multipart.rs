//! What multipart uploads have in common whatever keeps their parts.

use md5::{Digest as _, Md5};

use crate::{CompletedPart, Error, PartInfo, Result};

/// The greatest part number.
pub(crate) const MAX_PART_NUMBER: u32 = 10_000;

/// Checks a part's number.
pub(crate) fn check_number(number: u32) -> Result<()> {
    if (1..=MAX_PART_NUMBER).contains(&number) {
        Ok(())
    } else {
        Err(Error::InvalidPart(format!(
            "part number {number} is not between 1 and {MAX_PART_NUMBER}"
        )))
    }
}

/// Picks the `named` parts among those that were `uploaded`, and checks that they are named
/// in ascending order with their tags.
pub(crate) fn pick<'a>(
    uploaded: &'a [PartInfo],
    named: &[CompletedPart],
) -> Result<Vec<&'a PartInfo>> {
    if named.is_empty() {
        return Err(Error::InvalidPart("no part is named".to_owned()));
    }
    let mut picked = Vec::with_capacity(named.len().min(uploaded.len()));
    let mut last = 0;
    for CompletedPart { number, etag } in named {
        if *number <= last {
            return Err(Error::InvalidPart(format!("part {number} is out of order")));
        }
        last = *number;
        let part = uploaded
            .iter()
            .find(|part| part.number == *number)
            .ok_or_else(|| Error::InvalidPart(format!("part {number} was not uploaded")))?;
        if !part.etag.eq_ignore_ascii_case(etag.trim_matches('"')) {
            return Err(Error::InvalidPart(format!("part {number} has another tag")));
        }
        picked.push(part);
    }
    Ok(picked)
}

/// Named parts in one spelling, by which two lists are compared.
pub(crate) fn normal(named: &[CompletedPart]) -> Vec<CompletedPart> {
    let normal = |part: &CompletedPart| CompletedPart {
        number: part.number,
        etag: part.etag.trim_matches('"').to_ascii_lowercase(),
    };
    named.iter().map(normal).collect()
}

/// The tag of an object that was joined from parts: the MD5 of their MD5s, and their number.
pub(crate) fn joined_tag(parts: &[[u8; 16]]) -> String {
    let mut all = Md5::new();
    for part in parts {
        all.update(part);
    }
    format!("{}-{}", hex::encode(all.finalize()), parts.len())
}
