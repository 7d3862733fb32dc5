//! Matches one glob with a bit-parallel automaton, whose work is known before it runs.
//!
//! The automaton has one position for each byte that the glob consumes. A set of positions is a few machine words, and a byte of
//! text moves the whole set with a few shifts. A backtracking matcher or a regex engine would visit the positions one by one.
//! A glob of 900 bytes that alternates `*` and a letter can be at hundreds of positions after each byte of a name.
//!
//! Globs are parsed by `globset`. This module starts with the regex that `globset` makes of a glob, so that both agree on the
//! language. Such a regex repeats only single bytes; it contains no groups that repeat.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};
use regex_syntax::utf8::Utf8Sequences;

/// Maximum number of pairs of consecutive positions while an automaton is built. A glob without braces has a few per byte.
const MAX_EDGES: usize = 1 << 16;
const BITS: usize = u64::BITS as usize;

/// Why a regex cannot be compiled.
#[derive(Debug)]
pub(super) enum CompileError {
    /// It has more than [`MAX_EDGES`] pairs of consecutive positions.
    TooManyEdges,
    /// It is malformed, or contains something that `globset` does not generate.
    Malformed(String),
}

/// A compiled glob.
#[derive(Debug, Clone)]
pub(super) struct Automaton {
    /// Number of words in a set of positions.
    words: usize,
    /// Whether the empty text matches.
    matches_empty: bool,
    /// The positions of the first byte of a match.
    first: Vec<u64>,
    /// The positions of the last byte of a match.
    last: Vec<u64>,
    /// The class of each byte. All bytes of a class are accepted by the same positions.
    classes: Vec<u8>,
    /// The positions that accept the bytes of each class, `words` words per class.
    accepting: Vec<u64>,
    shifts: Vec<Shift>,
    /// Pairs of consecutive positions that no shift covers.
    jumps: Vec<(u16, u16)>,
}

/// Pairs of consecutive positions with the same distance. One shift follows all of them.
#[derive(Debug, Clone)]
struct Shift {
    /// Less than [`BITS`].
    distance: u32,
    /// The first positions of the pairs.
    from: Vec<u64>,
}

impl Automaton {
    pub(super) fn new(regex: &str) -> Result<Self, CompileError> {
        let malformed = |error: regex_syntax::Error| CompileError::Malformed(error.to_string());
        // The options with which `globset` compiles the regex.
        let mut parser = ParserBuilder::new()
            .utf8(false)
            .dot_matches_new_line(true)
            .build();
        let mut positions = Positions::default();
        let whole = positions.add(&parser.parse(regex).map_err(malformed)?)?;
        Ok(positions.compile(&whole))
    }

    /// Returns whether the whole text matches. `sets` is reused memory.
    pub(super) fn is_match(&self, text: &[u8], sets: &mut Vec<u64>) -> bool {
        let Some((first, rest)) = text.split_first() else {
            return self.matches_empty;
        };
        sets.clear();
        sets.extend_from_slice(&self.first);
        sets.resize(2 * self.words, 0);
        let (mut live, mut next) = sets.split_at_mut(self.words);
        if !self.retain_accepting(live, *first) {
            return false;
        }
        for byte in rest {
            self.advance(live, next);
            if !self.retain_accepting(next, *byte) {
                return false;
            }
            (live, next) = (next, live);
        }
        live.iter()
            .zip(&self.last)
            .any(|(live, last)| live & last != 0)
    }

    /// Sets `next` to all positions that follow those in `live`.
    fn advance(&self, live: &[u64], next: &mut [u64]) {
        next.fill(0);
        for Shift { distance, from } in &self.shifts {
            let mut carry = 0;
            for ((next, live), from) in next.iter_mut().zip(live).zip(from) {
                let moving = u128::from(live & from) << distance;
                *next |= low(moving) | carry;
                carry = low(moving >> BITS);
            }
        }
        for (from, to) in &self.jumps {
            if contains(live, *from) {
                insert(next, *to);
            }
        }
    }

    /// Removes the positions that do not accept `byte`, and returns whether any are left.
    fn retain_accepting(&self, positions: &mut [u64], byte: u8) -> bool {
        let start = usize::from(self.classes[usize::from(byte)]) * self.words;
        let mut any = 0;
        for (position, accepting) in positions.iter_mut().zip(&self.accepting[start..]) {
            *position &= accepting;
            any |= *position;
        }
        any != 0
    }

    /// Returns whether a text of at least one byte matches.
    pub(super) fn matches_some_text(&self) -> bool {
        let mut accepting = vec![0; self.words];
        for class in self.accepting.chunks(self.words) {
            for (any, class) in accepting.iter_mut().zip(class) {
                *any |= class;
            }
        }
        let first = self.first.iter().zip(&accepting);
        let mut live: Vec<u64> = first.map(|(first, accepting)| first & accepting).collect();
        let mut next = vec![0; self.words];
        loop {
            self.advance(&live, &mut next);
            let mut grows = false;
            for ((live, next), accepting) in live.iter_mut().zip(&next).zip(&accepting) {
                let all = (*live | next) & accepting;
                grows |= all & !*live != 0;
                *live = all;
            }
            if !grows {
                break;
            }
        }
        let mut ends = live.iter().zip(&self.last);
        ends.any(|(live, last)| live & last != 0)
    }

    /// Returns the maximum number of steps per byte of text. A step is a few machine instructions.
    pub(super) fn steps(&self) -> usize {
        self.words * (self.shifts.len() + 1) + self.jumps.len()
    }

    /// Returns the approximate size in memory.
    pub(super) fn bytes(&self) -> usize {
        let sets = self.first.len() + self.last.len() + self.accepting.len();
        let shifts = self.shifts.len() * self.words;
        size_of::<Self>()
            + self.classes.len()
            + (sets + shifts) * size_of::<u64>()
            + self.jumps.len() * size_of::<(u16, u16)>()
    }
}

/// The positions of a glob and the pairs of consecutive positions, while an automaton is built.
#[derive(Default)]
struct Positions {
    /// The ranges of bytes that each position accepts.
    accepted: Vec<Vec<(u8, u8)>>,
    edges: Vec<(u16, u16)>,
}

/// The boundaries of a part of a glob.
#[derive(Default)]
struct Part {
    /// Whether the part matches the empty text.
    matches_empty: bool,
    first: Vec<u16>,
    last: Vec<u16>,
}

impl Part {
    fn empty() -> Self {
        Self {
            matches_empty: true,
            ..Self::default()
        }
    }

    fn or(mut self, other: Self) -> Self {
        self.matches_empty |= other.matches_empty;
        self.first.extend(other.first);
        self.last.extend(other.last);
        self
    }
}

impl Positions {
    fn add(&mut self, hir: &Hir) -> Result<Part, CompileError> {
        match hir.kind() {
            // Anchors occur only at the ends of the regex. They have no effect, since the whole text must match.
            HirKind::Empty | HirKind::Look(_) => Ok(Part::empty()),
            HirKind::Literal(literal) => {
                let bytes = literal.0.iter().map(|byte| vec![(*byte, *byte)]);
                self.add_sequence(bytes)
            }
            HirKind::Class(class) => self.add_class(class),
            HirKind::Repetition(repetition) => {
                let mut part = self.add(&repetition.sub)?;
                match (repetition.min, repetition.max) {
                    (0, Some(1)) => {}
                    (0, None) => self.connect(&part.last, &part.first)?,
                    other => return Err(unexpected(&other)),
                }
                part.matches_empty = true;
                Ok(part)
            }
            HirKind::Concat(parts) => {
                let mut whole = Part::empty();
                for (index, hir) in parts.iter().enumerate() {
                    // Two stars in a row mean the same as one, which has fewer edges.
                    if index > 0 && is_star(hir) && parts[index - 1] == *hir {
                        continue;
                    }
                    let part = self.add(hir)?;
                    whole = self.concat(whole, part)?;
                }
                Ok(whole)
            }
            HirKind::Alternation(parts) => {
                let parts = parts.iter().map(|hir| self.add(hir));
                parts
                    .reduce(|a, b| Ok(a?.or(b?)))
                    .unwrap_or_else(|| Ok(Part::empty()))
            }
            HirKind::Capture(capture) => Err(unexpected(capture)),
        }
    }

    fn add_class(&mut self, class: &Class) -> Result<Part, CompileError> {
        match class {
            Class::Bytes(class) => {
                let ranges = class.iter().map(|range| (range.start(), range.end()));
                self.add_sequence([ranges.collect()])
            }
            // The regex parser turns alternatives that are single characters into such a class.
            Class::Unicode(class) => {
                let mut whole = Part::default();
                for range in class.iter() {
                    for sequence in Utf8Sequences::new(range.start(), range.end()) {
                        let bytes = sequence.as_slice().iter();
                        let bytes = bytes.map(|range| vec![(range.start, range.end)]);
                        whole = whole.or(self.add_sequence(bytes)?);
                    }
                }
                Ok(whole)
            }
        }
    }

    /// Adds consecutive positions.
    fn add_sequence(
        &mut self,
        bytes: impl IntoIterator<Item = Vec<(u8, u8)>>,
    ) -> Result<Part, CompileError> {
        let mut whole = Part::empty();
        for accepted in bytes {
            let position =
                u16::try_from(self.accepted.len()).map_err(|_| CompileError::TooManyEdges)?;
            self.accepted.push(accepted);
            let part = Part {
                matches_empty: false,
                first: vec![position],
                last: vec![position],
            };
            whole = self.concat(whole, part)?;
        }
        Ok(whole)
    }

    fn concat(&mut self, mut a: Part, mut b: Part) -> Result<Part, CompileError> {
        self.connect(&a.last, &b.first)?;
        if a.matches_empty {
            a.first.append(&mut b.first);
        }
        if b.matches_empty {
            b.last.append(&mut a.last);
        }
        Ok(Part {
            matches_empty: a.matches_empty && b.matches_empty,
            first: a.first,
            last: b.last,
        })
    }

    fn connect(&mut self, from: &[u16], to: &[u16]) -> Result<(), CompileError> {
        if self.edges.len() + from.len() * to.len() > MAX_EDGES {
            return Err(CompileError::TooManyEdges);
        }
        let edges = from
            .iter()
            .flat_map(|from| to.iter().map(|to| (*from, *to)));
        self.edges.extend(edges);
        Ok(())
    }

    fn compile(self, whole: &Part) -> Automaton {
        let words = self.accepted.len().div_ceil(BITS).max(1);
        let set = |positions: &[u16]| {
            let mut set = vec![0; words];
            for position in positions {
                insert(&mut set, *position);
            }
            set
        };
        let (classes, accepting) = byte_classes(&self.accepted, words);
        let (shifts, jumps) = group_edges(self.edges, words);
        let shifts = shifts.into_iter().map(|(distance, from)| Shift {
            distance,
            from: set(&from),
        });
        Automaton {
            words,
            matches_empty: whole.matches_empty,
            first: set(&whole.first),
            last: set(&whole.last),
            classes,
            accepting,
            shifts: shifts.collect(),
            jumps,
        }
    }
}

/// Returns the class of each byte, and the positions that accept each class. No range begins or ends inside a class.
fn byte_classes(accepted: &[Vec<(u8, u8)>], words: usize) -> (Vec<u8>, Vec<u64>) {
    let mut begins = [false; 257];
    for (start, end) in accepted.iter().flatten() {
        begins[usize::from(*start)] = true;
        begins[usize::from(*end) + 1] = true;
    }
    let mut classes = vec![0_u8; 256];
    for byte in 1..256 {
        classes[byte] = classes[byte - 1] + u8::from(begins[byte]);
    }
    let mut accepting = vec![0; (usize::from(classes[255]) + 1) * words];
    for (position, ranges) in (0..).zip(accepted) {
        for (start, end) in ranges {
            for class in classes[usize::from(*start)]..=classes[usize::from(*end)] {
                insert(&mut accepting[usize::from(class) * words..], position);
            }
        }
    }
    (classes, accepting)
}

type Shifts = Vec<(u32, Vec<u16>)>;

/// Groups edges by their distance. A group becomes a shift if that takes fewer steps than following its edges one by one.
fn group_edges(mut edges: Vec<(u16, u16)>, words: usize) -> (Shifts, Vec<(u16, u16)>) {
    let distance = |edge: &(u16, u16)| i32::from(edge.1) - i32::from(edge.0);
    edges.sort_unstable_by_key(|edge| (distance(edge), *edge));
    edges.dedup();
    let (mut shifts, mut jumps) = (Vec::new(), Vec::new());
    for group in edges.chunk_by(|a, b| distance(a) == distance(b)) {
        match u32::try_from(distance(&group[0])) {
            Ok(distance) if distance < u64::BITS && group.len() > words => {
                shifts.push((distance, group.iter().map(|edge| edge.0).collect()));
            }
            _ => jumps.extend_from_slice(group),
        }
    }
    (shifts, jumps)
}

fn is_star(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Repetition(repetition) if repetition.max.is_none())
}

fn unexpected(part: &impl std::fmt::Debug) -> CompileError {
    CompileError::Malformed(format!("unexpected {part:?}"))
}

/// Returns the lower half.
fn low(word: u128) -> u64 {
    word as u64
}

fn contains(set: &[u64], position: u16) -> bool {
    let position = usize::from(position);
    set[position / BITS] >> (position % BITS) & 1 == 1
}

fn insert(set: &mut [u64], position: u16) {
    let position = usize::from(position);
    set[position / BITS] |= 1 << (position % BITS);
}
