//! An object as a `std::io::Read`, for parsers that read from a stream.

use std::io::{self, Read};

use bytes::Bytes;

use crate::{Chunks, Object, Result};

/// Bytes requested from the host in one call.
const CHUNK_BYTES: u32 = 256 << 10;

/// Reads the bytes of an object in order. The reader needs no `BufReader`, because it buffers up to 256 KiB itself.
///
/// A failed read returns an [`io::Error`] that holds an [`Error`](crate::Error). `Error::from` restores it.
#[derive(Debug)]
pub struct ObjectReader {
    chunks: Chunks,
    chunk: Bytes,
}

impl Object {
    /// Reads the object from an offset to its end.
    ///
    /// # Errors
    /// [`TreeError::OutOfRange`](crate::TreeError::OutOfRange) if the offset is greater than the size, or any
    /// other error of the host.
    pub fn reader(&self, from_offset: u64) -> Result<ObjectReader> {
        Ok(ObjectReader {
            chunks: self.scan(from_offset)?,
            chunk: Bytes::new(),
        })
    }
}

impl Read for ObjectReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() && !out.is_empty() {
            match self.chunks.next(CHUNK_BYTES)? {
                Some(chunk) => self.chunk = chunk.into(),
                None => return Ok(0),
            }
        }
        let length = out.len().min(self.chunk.len());
        out[..length].copy_from_slice(&self.chunk.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read as _};

    use crate::{Error, Object, TreeError};

    #[test]
    fn reader_returns_all_bytes_after_the_offset() {
        let bytes: Vec<u8> = (0..=255).cycle().take(600 << 10).collect();
        let object = Object::from_bytes("a.bin", bytes.clone());
        let mut read = Vec::new();
        let mut reader = object.reader(10).unwrap();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes[10..]);
        assert_eq!(
            object.reader(700 << 10).unwrap_err(),
            Error::Tree(TreeError::OutOfRange)
        );
    }

    #[test]
    fn errors_survive_std_io() {
        let error = Error::Tree(TreeError::Unavailable("disk is gone".to_owned()));
        assert_eq!(Error::from(io::Error::from(error.clone())), error);
        assert_eq!(
            Error::from(io::Error::from(io::ErrorKind::UnexpectedEof)),
            Error::new("unexpected end of file")
        );
    }
}
