//! The range of keys that start with a prefix.

/// Returns the smallest key above all keys that start with `prefix`, or `None` if there is none.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::prefix_end;

    #[test]
    fn end_is_above_all_keys_with_the_prefix() {
        for (prefix, end) in [
            (&b"a"[..], Some(&b"b"[..])),
            (b"a/", Some(b"a0")),
            (b"a\xff\xff", Some(b"b")),
            (b"\xff", None),
            (b"", None),
        ] {
            assert_eq!(prefix_end(prefix).as_deref(), end);
        }
    }
}
