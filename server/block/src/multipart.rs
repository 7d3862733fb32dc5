//! Rules of multipart uploads that all drivers share.

use md5::{Digest as _, Md5};

use crate::{CompletedPart, Error, PartInfo, Result};

/// The highest part number.
pub(crate) const MAX_PART_NUMBER: u32 = 10_000;

/// Checks a part number.
pub(crate) fn check_number(number: u32) -> Result<()> {
    if (1..=MAX_PART_NUMBER).contains(&number) {
        Ok(())
    } else {
        Err(Error::InvalidPart(format!(
            "part number {number} is not between 1 and {MAX_PART_NUMBER}"
        )))
    }
}

/// Returns the uploaded parts that `named` lists, after checking the order and the ETags.
pub(crate) fn select_parts<'a>(
    uploaded: &'a [PartInfo],
    named: &[CompletedPart],
) -> Result<Vec<&'a PartInfo>> {
    if named.is_empty() {
        return Err(Error::InvalidPart("the list of parts is empty".to_owned()));
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
            return Err(Error::InvalidPart(format!(
                "part {number} has a different ETag"
            )));
        }
        picked.push(part);
    }
    Ok(picked)
}

/// Normalizes the ETags of a list of parts, so that two lists can be compared.
pub(crate) fn normalized(named: &[CompletedPart]) -> Vec<CompletedPart> {
    let normalized = |part: &CompletedPart| CompletedPart {
        number: part.number,
        etag: part.etag.trim_matches('"').to_ascii_lowercase(),
    };
    named.iter().map(normalized).collect()
}

/// Returns the ETag of a multipart object: the MD5 of the parts' MD5s, and the number of parts.
pub(crate) fn multipart_etag(parts: &[[u8; 16]]) -> String {
    let mut all = Md5::new();
    for part in parts {
        all.update(part);
    }
    format!("{}-{}", hex::encode(all.finalize()), parts.len())
}
