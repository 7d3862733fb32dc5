//! Bounds the size of chunks in `aws-chunked` bodies.
//!
//! s3s's decoder buffers a whole chunk before it passes it on. Clients choose the chunk size,
//! and some send an entire object as one chunk. Unsigned chunks are therefore split into the pieces
//! in which they arrive. Splitting a signed chunk would invalidate its signature, so signed
//! chunks above a limit are rejected instead, and large ones reserve memory from the server's budget.

use std::io;

use axum::body::Body;
use base::{ByteBudget, Reservation};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::body_error::BodyError;

/// Maximum size of a signed chunk. Clients send 64 KiB to 1 MiB.
const MAX_SIGNED_CHUNK_BYTES: u64 = 16 * 1024 * 1024;
/// Signed chunks of this size and smaller reserve no memory. Most clients send 64 KiB.
const MAX_FREE_CHUNK_BYTES: u64 = 128 * 1024;
/// Maximum length of the line before a chunk, which holds its size and signature.
const MAX_HEADER_BYTES: usize = 1024;

/// Wraps an `aws-chunked` body so that s3s buffers only small chunks. `signed` says whether chunks have signatures.
/// `budget` limits the memory of large signed chunks.
pub(crate) fn bound_chunks(body: Body, signed: bool, budget: &ByteBudget) -> Body {
    let mut chunks = ChunkRewriter::new(signed, budget.clone());
    let pieces = body
        .into_data_stream()
        .map(Some)
        .chain(futures::stream::iter([None]))
        .map(move |piece| match piece {
            Some(piece) => chunks.rewrite(piece.map_err(io::Error::other)?),
            None => chunks.finish().map(|()| Vec::new()),
        })
        .map_ok(|pieces| futures::stream::iter(pieces.into_iter().map(io::Result::Ok)))
        .try_flatten();
    Body::from_stream(pieces)
}

enum State {
    /// Reading the line before a chunk; holds the bytes read so far.
    Header(Vec<u8>),
    /// Reading a chunk's data; holds the number of bytes left.
    Data(u64),
    /// Reading the CRLF after a chunk's data; holds the number of bytes left.
    LineEnd(usize),
    /// After the last chunk: trailers are passed on unchanged.
    Trailers,
}

struct ChunkRewriter {
    signed: bool,
    state: State,
    budget: ByteBudget,
    /// The memory of the current chunk, if it is a large signed one. Released at the next chunk, by which time s3s has
    /// passed it on.
    reservation: Option<Reservation>,
}

impl ChunkRewriter {
    fn new(signed: bool, budget: ByteBudget) -> Self {
        Self {
            signed,
            state: State::Header(Vec::new()),
            budget,
            reservation: None,
        }
    }

    /// Reserves the memory of a signed chunk.
    fn reserve(&mut self, size: u64) -> Result<(), BodyError> {
        self.reservation = None;
        if size > MAX_SIGNED_CHUNK_BYTES {
            return Err(BodyError::ChunkTooLarge);
        }
        if size > MAX_FREE_CHUNK_BYTES {
            let mut reservation = self.budget.reservation();
            let size = usize::try_from(size).map_err(|_| BodyError::ChunkTooLarge)?;
            reservation.grow(size).map_err(|_| BodyError::OutOfMemory)?;
            self.reservation = Some(reservation);
        }
        Ok(())
    }

    /// Consumes a piece of the body and returns what to pass on.
    fn rewrite(&mut self, mut input: Bytes) -> io::Result<Vec<Bytes>> {
        let mut out = Vec::new();
        while !input.is_empty() {
            match &mut self.state {
                State::Header(line) => {
                    let end = input.iter().position(|byte| *byte == b'\n');
                    line.extend_from_slice(&input.split_to(end.map_or(input.len(), |end| end + 1)));
                    if line.len() > MAX_HEADER_BYTES {
                        return Err(io::Error::other(BodyError::Incomplete));
                    }
                    if end.is_none() {
                        break;
                    }
                    let line = std::mem::take(line);
                    let size = size(&line)?;
                    if self.signed {
                        self.reserve(size).map_err(io::Error::other)?;
                    }
                    self.state = if size == 0 {
                        State::Trailers
                    } else {
                        State::Data(size)
                    };
                    if self.signed || size == 0 {
                        out.push(Bytes::from(line));
                    }
                }
                State::Data(left) => {
                    let len = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(input.len());
                    let data = input.split_to(len);
                    *left -= len as u64;
                    if *left == 0 {
                        self.state = State::LineEnd(2);
                    }
                    if self.signed {
                        out.push(data);
                    } else {
                        out.extend([
                            Bytes::from(format!("{len:x}\r\n")),
                            data,
                            Bytes::from_static(b"\r\n"),
                        ]);
                    }
                }
                State::LineEnd(left) => {
                    let end = input.split_to((*left).min(input.len()));
                    if !b"\r\n"[2 - *left..].starts_with(&end) {
                        return Err(io::Error::other(BodyError::Incomplete));
                    }
                    *left -= end.len();
                    if *left == 0 {
                        self.state = State::Header(Vec::new());
                    }
                    if self.signed {
                        out.push(end);
                    }
                }
                State::Trailers => out.push(std::mem::take(&mut input)),
            }
        }
        Ok(out)
    }

    /// Fails unless the last chunk, which is empty, has arrived. Otherwise a body that was cut off between two chunks
    /// would count as complete.
    fn finish(&self) -> io::Result<()> {
        match self.state {
            State::Trailers => Ok(()),
            _ => Err(io::Error::other(BodyError::Incomplete)),
        }
    }
}

/// Feeds the pieces of a body to the rewriter, for [`crate::fuzzing`].
#[cfg(feature = "testing")]
pub(crate) fn rewrite_pieces(signed: bool, pieces: impl Iterator<Item = Bytes>) {
    let mut chunks = ChunkRewriter::new(signed, ByteBudget::new("chunks", 1 << 30));
    for piece in pieces {
        if chunks.rewrite(piece).is_err() {
            return;
        }
    }
}

/// Parses the size from the line before a chunk.
fn size(line: &[u8]) -> io::Result<u64> {
    let malformed = || io::Error::other(BodyError::Incomplete);
    let line = std::str::from_utf8(line).map_err(|_| malformed())?;
    let digits = line.split(';').next().unwrap_or_default().trim();
    u64::from_str_radix(digits, 16).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a body in pieces of `piece` bytes and returns the concatenated output.
    fn rewrite(body: &[u8], piece: usize, signed: bool) -> io::Result<Vec<u8>> {
        let mut chunks = ChunkRewriter::new(signed, ByteBudget::new("chunks", 1 << 30));
        let mut out = Vec::new();
        for piece in body.chunks(piece) {
            out.extend(chunks.rewrite(Bytes::copy_from_slice(piece))?);
        }
        chunks.finish()?;
        Ok(out.concat())
    }

    /// Returns the data of a chunked body, the size of its largest chunk, and its trailers.
    fn decode(mut body: &[u8]) -> (Vec<u8>, usize, Vec<u8>) {
        let (mut data, mut largest) = (Vec::new(), 0);
        loop {
            let end = body.iter().position(|byte| *byte == b'\n').unwrap();
            let len = usize::try_from(size(&body[..=end]).unwrap()).unwrap();
            body = &body[end + 1..];
            if len == 0 {
                return (data, largest, body.to_vec());
            }
            data.extend_from_slice(&body[..len]);
            largest = largest.max(len);
            body = &body[len + 2..];
        }
    }

    #[test]
    fn unsigned_chunks_are_split_without_losing_data_or_trailers() {
        let body = b"b\r\nhello world\r\n3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        for piece in 1..body.len() {
            let (data, largest, trailers) = decode(&rewrite(body, piece, false).unwrap());
            assert_eq!(data, b"hello worldabc");
            assert!(
                largest <= piece,
                "a chunk of {largest} from pieces of {piece}"
            );
            assert_eq!(trailers, b"x-amz-checksum-crc32:AAAA\r\n\r\n");
        }
    }

    #[test]
    fn signed_chunks_pass_unchanged_up_to_the_limit() {
        let body = b"3;chunk-signature=ab\r\nabc\r\n0;chunk-signature=cd\r\n\r\n";
        for piece in 1..body.len() {
            assert_eq!(rewrite(body, piece, true).unwrap(), body);
        }
        let error = rewrite(b"1000001;chunk-signature=ab\r\n", 100, true).unwrap_err();
        assert_eq!(error.to_string(), BodyError::ChunkTooLarge.to_string());
    }

    /// Guards against a bug: every upload could hold a chunk of 16 MiB.
    #[test]
    fn large_signed_chunks_reserve_their_memory() {
        let budget = ByteBudget::new("chunks", 1 << 20);
        let [mut one, mut two] = [0; 2].map(|_| ChunkRewriter::new(true, budget.clone()));
        let head = |size: u64| Bytes::from(format!("{size:x};chunk-signature=ab\r\n"));
        one.rewrite(head(1 << 20)).unwrap();
        let refused = two.rewrite(head(MAX_FREE_CHUNK_BYTES + 1)).unwrap_err();
        assert_eq!(refused.to_string(), BodyError::OutOfMemory.to_string());
        let mut small = ChunkRewriter::new(true, budget.clone());
        small.rewrite(head(MAX_FREE_CHUNK_BYTES)).unwrap();

        one.rewrite(Bytes::from(vec![0; 1 << 20])).unwrap();
        one.rewrite(Bytes::from_static(b"\r\n")).unwrap();
        assert_eq!(budget.used_bytes(), 1 << 20, "s3s still holds the chunk");
        one.rewrite(head(1)).unwrap();
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn malformed_chunk_is_an_error() {
        // Cut off between two chunks.
        assert!(rewrite(b"1\r\na\r\n", 10, false).is_err());
        assert!(rewrite(b"1;chunk-signature=ab\r\na\r\n", 10, true).is_err());
        assert!(rewrite(b"", 10, false).is_err());
        assert!(rewrite(b"zz\r\n", 10, false).is_err());
        assert!(rewrite(b"1\r\nabc", 10, false).is_err());
        assert!(rewrite(&[b'1'; 2000], 100, false).is_err());
    }
}
