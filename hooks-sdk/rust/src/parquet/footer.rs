//! Checks the depth and the counts of a footer before the `parquet` crate parses it.
//!
//! The crate allocates memory for as many elements as a footer claims to have, and builds the schema recursively. A
//! footer of 20 KB could make it allocate gigabytes or overflow the stack. The check here walks the same bytes
//! (Thrift's compact protocol), records the number of children of each schema element, and stops at fixed limits.

/// Maximum nesting of structures and lists. Real footers have six levels.
const MAX_DEPTH: usize = 16;
/// Maximum nesting of groups in the schema.
const MAX_SCHEMA_DEPTH: usize = 64;
/// Maximum total size of the dotted names of all columns.
const MAX_NAMES_BYTES: usize = 64 << 20;

/// Field ids in the file metadata and in schema elements.
const SCHEMA: i64 = 2;
const NAME: i64 = 4;
const CHILDREN: i64 = 5;

/// Type ids of Thrift's compact protocol.
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// Checks the footer at the end of `tail`. Accepts a tail that is shorter than the footer: the caller reads more
/// and checks again.
pub(super) fn check_tail(tail: &[u8]) -> Result<(), String> {
    let Some((before, end)) = tail.split_last_chunk::<8>() else {
        return Ok(());
    };
    let length = u32::from_le_bytes([end[0], end[1], end[2], end[3]]) as usize;
    match before.len().checked_sub(length) {
        Some(start) => check(&before[start..]),
        None => Ok(()),
    }
}

fn check(footer: &[u8]) -> Result<(), String> {
    let mut walk = Walk {
        rest: footer,
        elements: Vec::new(),
    };
    walk.structure(Place::File, 0)?;
    check_schema(&walk.elements)
}

/// An element of the schema.
#[derive(Debug, Clone, Copy, Default)]
struct Element {
    name_len: usize,
    children: usize,
}

/// Checks that the schema is a tree within the limits.
fn check_schema(elements: &[Element]) -> Result<(), String> {
    // For each open group: the number of children that follow, and the length of the dotted name.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut names = 0_usize;
    for element in elements {
        while open.last().is_some_and(|(left, _)| *left == 0) {
            open.pop();
        }
        let mut path_len = element.name_len + 1;
        if let Some((left, len)) = open.last_mut() {
            *left -= 1;
            path_len += *len;
        }
        if element.children > elements.len() {
            return Err(format!(
                "the Parquet schema claims {} columns in one group but has {} in total",
                element.children,
                elements.len()
            ));
        }
        if element.children > 0 {
            if open.len() == MAX_SCHEMA_DEPTH {
                return Err(format!(
                    "the Parquet schema is nested deeper than {MAX_SCHEMA_DEPTH} levels"
                ));
            }
            open.push((element.children, path_len));
        }
        names = names.saturating_add(path_len);
        if names > MAX_NAMES_BYTES {
            return Err(format!(
                "the names of the Parquet columns exceed {MAX_NAMES_BYTES} bytes"
            ));
        }
    }
    Ok(())
}

/// The kind of a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    File,
    Element,
    Other,
}

struct Walk<'a> {
    rest: &'a [u8],
    elements: Vec<Element>,
}

impl<'a> Walk<'a> {
    fn byte(&mut self) -> Result<u8, String> {
        let (first, rest) = self.rest.split_first().ok_or_else(truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("the Parquet footer contains a number with more than 64 bits".to_owned())
    }

    /// Reads a signed number in zigzag encoding: 0, -1, 1, -2 are stored as 0, 1, 2, 3.
    fn signed(&mut self) -> Result<i64, String> {
        let stored = self.number()?;
        Ok((stored >> 1).cast_signed() ^ -(stored & 1).cast_signed())
    }

    fn length(&mut self) -> Result<usize, String> {
        // Every element takes at least one byte.
        usize::try_from(self.number()?)
            .ok()
            .filter(|length| *length <= self.rest.len())
            .ok_or_else(|| "the Parquet footer claims more bytes than it has".to_owned())
    }

    fn structure(&mut self, place: Place, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!(
                "the Parquet footer is nested deeper than {MAX_DEPTH} levels"
            ));
        }
        let (mut field, mut element) = (0_i64, Element::default());
        loop {
            let head = self.byte()?;
            if head == 0 {
                break;
            }
            let kind = head & 0x0f;
            field = match head >> 4 {
                0 => self.signed()?,
                step => field.saturating_add(i64::from(step)),
            };
            match (place, field, kind) {
                (Place::File, SCHEMA, LIST) => self.list(Place::Element, depth + 1)?,
                (Place::Element, NAME, BINARY) => {
                    let len = self.length()?;
                    self.take(len)?;
                    element.name_len = len;
                }
                (Place::Element, CHILDREN, 4..=6) => {
                    element.children = usize::try_from(self.signed()?)
                        .map_err(|_| "a group of the Parquet schema has a negative size")?;
                }
                // The type of a boolean field contains its value.
                (_, _, 1 | 2) => {}
                (_, _, kind) => self.value(kind, depth + 1)?,
            }
        }
        if place == Place::Element {
            self.elements.push(element);
        }
        Ok(())
    }

    fn list(&mut self, place: Place, depth: usize) -> Result<(), String> {
        let head = self.byte()?;
        let length = match head >> 4 {
            15 => self.length()?,
            short => usize::from(short),
        };
        for _ in 0..length {
            match head & 0x0f {
                STRUCT => self.structure(place, depth)?,
                1 | 2 => drop(self.byte()?),
                kind => self.value(kind, depth)?,
            }
        }
        Ok(())
    }

    fn value(&mut self, kind: u8, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!(
                "the Parquet footer is nested deeper than {MAX_DEPTH} levels"
            ));
        }
        match kind {
            // 3 is a byte, 4 to 6 are integers, 7 is a double.
            3 => drop(self.byte()?),
            4..=6 => drop(self.number()?),
            7 => drop(self.take(8)?),
            BINARY => {
                let len = self.length()?;
                self.take(len)?;
            }
            // Sets (10) are encoded like lists.
            LIST | 10 => self.list(Place::Other, depth + 1)?,
            STRUCT => self.structure(Place::Other, depth + 1)?,
            // Footers contain no maps and none of the unknown types.
            _ => {
                return Err(format!(
                    "the Parquet footer contains a value of unknown type {kind}"
                ));
            }
        }
        Ok(())
    }
}

fn truncated() -> String {
    "the Parquet footer is truncated".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(mut n: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while n >= 0x80 {
            out.push((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
        out
    }

    /// A schema element with its number of children if it is a group.
    fn element(name: &str, children: Option<u32>) -> Vec<u8> {
        let mut out = vec![0x48];
        out.extend(number(name.len() as u64));
        out.extend(name.as_bytes());
        if let Some(children) = children {
            out.push(0x15);
            out.extend(number(u64::from(children) << 1));
        }
        out.push(0);
        out
    }

    fn footer(claimed: usize, elements: &[Vec<u8>]) -> Vec<u8> {
        let mut out = vec![0x29, 0xfc];
        out.extend(number(claimed as u64));
        out.extend(elements.concat());
        out.push(0);
        out
    }

    fn of(elements: &[Vec<u8>]) -> Result<(), String> {
        check(&footer(elements.len(), elements))
    }

    fn nested(depth: usize) -> Vec<Vec<u8>> {
        let mut elements = vec![element("g", Some(1)); depth];
        elements.push(element("x", None));
        elements
    }

    #[test]
    fn footers_that_would_exhaust_stack_or_memory_are_refused() {
        let wide = [
            element("schema", Some(2)),
            element("a", None),
            element("b", None),
        ];
        assert_eq!(of(&wide), Ok(()));
        assert_eq!(of(&nested(MAX_SCHEMA_DEPTH)), Ok(()));
        let overstated = [
            element("schema", Some(i32::MAX.cast_unsigned())),
            element("a", None),
        ];
        for (footer, reason) in [
            (
                footer(100_001, &nested(100_000)),
                "nested deeper than 64 levels",
            ),
            (
                footer(2, &overstated),
                "claims 2147483647 columns in one group",
            ),
            (
                footer(i32::MAX as usize, &overstated),
                "claims more bytes than it has",
            ),
            (vec![0x1c; 100_000], "nested deeper than 16 levels"),
            (vec![0x19; 100_000], "nested deeper than 16 levels"),
            (
                vec![0x18, 0xff, 0xff, 0xff, 0xff, 0x0f],
                "claims more bytes than it has",
            ),
            (
                [&[0x16][..], &[0x80; 12]].concat(),
                "a number with more than 64 bits",
            ),
            (vec![0x1b], "a value of unknown type 11"),
            (Vec::new(), "is truncated"),
        ] {
            let found = check(&footer).expect_err(reason);
            assert!(found.contains(reason), "{found}");
        }
    }

    #[test]
    fn total_size_of_column_names_is_limited() {
        let mut elements = vec![element(&"g".repeat(1 << 20), Some(100))];
        elements.extend(vec![element("x", None); 100]);
        let reason = of(&elements).expect_err("100 MiB of names");
        assert!(reason.contains("exceed 67108864 bytes"), "{reason}");
    }

    #[test]
    fn truncated_tails_are_accepted() {
        for tail in [
            &b""[..],
            b"PAR1",
            b"\xff\xff\xff\x7fPAR1",
            b"abc\x04\0\0\0PAR1",
        ] {
            assert_eq!(check_tail(tail), Ok(()));
        }
        assert!(check_tail(b"\x1b\x01\0\0\0PAR1").is_err());
    }
}
