//! Keeps the chunks of `aws-chunked` bodies small.
//!
//! The decoder behind this holds a whole chunk in memory before it hands it on, and
//! a chunk may be as large as its sender likes; some clients send an object in one.
//! Chunks without signatures are cut to the pieces they arrive in. Signed ones can't
//! be cut: they are refused beyond a bound.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::body::BodyFault;

/// The largest chunk with a signature. Clients send 64 KiB to 1 MiB.
const MAX_SIGNED_CHUNK_BYTES: u64 = 16 * 1024 * 1024;
/// The longest line before a chunk: its size and signature.
const MAX_HEADER_BYTES: usize = 1024;

/// Wraps a body whose chunks do (`signed`) or don't carry signatures.
pub(crate) fn bounded(body: Body, signed: bool) -> Body {
    let mut chunks = Chunks {
        signed,
        state: State::Header(Vec::new()),
    };
    let pieces = body
        .into_data_stream()
        .map(move |piece| chunks.cut(piece.map_err(io::Error::other)?))
        .map_ok(|pieces| futures::stream::iter(pieces.into_iter().map(io::Result::Ok)))
        .try_flatten();
    Body::from_stream(pieces)
}

enum State {
    /// In the line before a chunk; what there is of it.
    Header(Vec<u8>),
    /// In a chunk's data; how much is to come.
    Data(u64),
    /// Before the line end behind a chunk's data; how much of it is to come.
    LineEnd(usize),
    /// Behind the last chunk: trailers, passed on as they are.
    Trailers,
}

struct Chunks {
    signed: bool,
    state: State,
}

impl Chunks {
    fn cut(&mut self, mut input: Bytes) -> io::Result<Vec<Bytes>> {
        let mut out = Vec::new();
        while !input.is_empty() {
            match &mut self.state {
                State::Header(line) => {
                    let end = input.iter().position(|byte| *byte == b'\n');
                    line.extend_from_slice(&input.split_to(end.map_or(input.len(), |end| end + 1)));
                    if line.len() > MAX_HEADER_BYTES {
                        return Err(io::Error::other(BodyFault::Incomplete));
                    }
                    if end.is_none() {
                        break;
                    }
                    let line = std::mem::take(line);
                    let size = size(&line)?;
                    if self.signed && size > MAX_SIGNED_CHUNK_BYTES {
                        return Err(io::Error::other(BodyFault::ChunkTooLarge));
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
                        return Err(io::Error::other(BodyFault::Incomplete));
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
}

/// Takes a body in pieces, for [`crate::fuzzing`].
pub(crate) fn try_pieces(signed: bool, pieces: impl Iterator<Item = Bytes>) {
    let mut chunks = Chunks {
        signed,
        state: State::Header(Vec::new()),
    };
    for piece in pieces {
        if chunks.cut(piece).is_err() {
            return;
        }
    }
}

/// The size in a chunk's first line.
fn size(line: &[u8]) -> io::Result<u64> {
    let malformed = || io::Error::other(BodyFault::Incomplete);
    let line = std::str::from_utf8(line).map_err(|_| malformed())?;
    let digits = line.split(';').next().unwrap_or_default().trim();
    u64::from_str_radix(digits, 16).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a body in pieces of every size and returns what comes out, joined.
    fn cut(body: &[u8], piece: usize, signed: bool) -> io::Result<Vec<u8>> {
        let mut chunks = Chunks {
            signed,
            state: State::Header(Vec::new()),
        };
        let mut out = Vec::new();
        for piece in body.chunks(piece) {
            out.extend(chunks.cut(Bytes::copy_from_slice(piece))?);
        }
        Ok(out.concat())
    }

    /// The data of a chunked body, and the largest chunk.
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
    fn unsigned_chunks_are_cut_and_keep_data_and_trailers() {
        let body = b"b\r\nhello world\r\n3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        for piece in 1..body.len() {
            let (data, largest, trailers) = decode(&cut(body, piece, false).unwrap());
            assert_eq!(data, b"hello worldabc");
            assert!(
                largest <= piece,
                "a chunk of {largest} from pieces of {piece}"
            );
            assert_eq!(trailers, b"x-amz-checksum-crc32:AAAA\r\n\r\n");
        }
    }

    #[test]
    fn signed_chunks_pass_unchanged_up_to_the_bound() {
        let body = b"3;chunk-signature=ab\r\nabc\r\n0;chunk-signature=cd\r\n\r\n";
        for piece in 1..body.len() {
            assert_eq!(cut(body, piece, true).unwrap(), body);
        }
        let error = cut(b"1000001;chunk-signature=ab\r\n", 100, true).unwrap_err();
        assert_eq!(error.to_string(), BodyFault::ChunkTooLarge.to_string());
    }

    #[test]
    fn what_is_no_chunk_is_an_error() {
        assert!(cut(b"zz\r\n", 10, false).is_err());
        assert!(cut(b"1\r\nabc", 10, false).is_err());
        assert!(cut(&[b'1'; 2000], 100, false).is_err());
    }
}
