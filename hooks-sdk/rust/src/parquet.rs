//! Parquet without reading the whole file: the footer in one or two reads, rows through the ordinary reader.
//!
//! Feature `parquet`.

mod footer;

use std::io::{self, Read};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::ColumnDescriptor;

use crate::{Error, Object, Result, Span};

/// Read first; most footers fit.
const TAIL_BYTES: u32 = 64 << 10;
/// A longer footer is refused.
const MAX_FOOTER_BYTES: usize = 64 << 20;
/// One read of rows.
const CHUNK_BYTES: u32 = 256 << 10;

/// A leaf column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Dotted where nested.
    pub name: String,
    /// Physical type, and the logical type where there is one: `BYTE_ARRAY (String)`.
    pub type_name: String,
}

/// A file's footer.
#[derive(Debug)]
pub struct ParquetFile {
    metadata: ParquetMetaData,
}

impl Object {
    /// Reads the object's Parquet footer.
    ///
    /// # Errors
    /// When it is no Parquet file, or can't be read.
    pub fn parquet(&self) -> Result<ParquetFile> {
        let mut tail = self.read_tail(TAIL_BYTES)?;
        loop {
            footer::check_tail(&tail).map_err(Error::new)?;
            let mut reader = ParquetMetaDataReader::new();
            match reader.try_parse_sized(&Bytes::from(tail), self.size_bytes()) {
                Ok(()) => {
                    return Ok(ParquetFile {
                        metadata: reader.finish().map_err(Error::from)?,
                    });
                }
                Err(ParquetError::NeedMoreData(needed)) if needed <= MAX_FOOTER_BYTES => {
                    let needed = u32::try_from(needed)
                        .map_err(|_| Error::new("the Parquet footer is too long"))?;
                    let length = u64::from(needed).min(self.size_bytes());
                    tail = self.read_in_pieces(self.size_bytes() - length, length)?;
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// The bytes from an offset on, in as many reads as one call's limit asks for.
    fn read_in_pieces(&self, mut offset: u64, length: u64) -> Result<Vec<u8>> {
        let end = offset.saturating_add(length);
        let mut out = Vec::new();
        while offset < end {
            let left = end - offset;
            let piece =
                u32::try_from(left.min(u64::from(crate::max_read()))).expect("at most a u32");
            out.extend_from_slice(&self.read(Span {
                offset,
                length: piece,
            })?);
            offset += u64::from(piece);
        }
        Ok(out)
    }
}

impl ParquetFile {
    /// Leaf columns in the order of the schema.
    #[must_use]
    pub fn columns(&self) -> Vec<Column> {
        self.schema_columns()
            .iter()
            .map(|c| Column {
                name: c.path().string(),
                type_name: type_name(c),
            })
            .collect()
    }

    /// How many rows the file has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        u64::try_from(self.metadata.file_metadata().num_rows()).unwrap_or(0)
    }

    /// How many values of a column are null; none where the writer left no statistics.
    #[must_use]
    pub fn nulls(&self, column: &str) -> Option<u64> {
        let index = self
            .schema_columns()
            .iter()
            .position(|c| c.path().string() == column)?;
        self.metadata
            .row_groups()
            .iter()
            .map(|g| g.columns().get(index)?.statistics()?.null_count_opt())
            // Counts are what the file says: they may add up to more than a number holds.
            .try_fold(0, |sum: u64, nulls| Some(sum.saturating_add(nulls?)))
    }

    /// The footer as the `parquet` crate has it.
    #[must_use]
    pub fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }

    fn schema_columns(&self) -> &[std::sync::Arc<ColumnDescriptor>] {
        self.metadata.file_metadata().schema_descr().columns()
    }
}

fn type_name(column: &ColumnDescriptor) -> String {
    let physical = column.physical_type().to_string();
    match column.logical_type_ref() {
        Some(logical) => format!("{physical} ({logical:?})"),
        None => physical,
    }
}

impl From<ParquetError> for Error {
    fn from(e: ParquetError) -> Self {
        Self::new(e.to_string())
    }
}

impl Length for Object {
    fn len(&self) -> u64 {
        self.size_bytes()
    }
}

impl ChunkReader for Object {
    type T = ObjectReader;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let chunks = self
            .scan(start)
            .map_err(|e| ParquetError::General(e.to_string()))?;
        Ok(ObjectReader {
            chunks,
            piece: Bytes::new(),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        // A column chunk may be larger than one read.
        let bytes = self
            .read_in_pieces(start, length as u64)
            .map_err(|e| ParquetError::General(e.to_string()))?;
        Ok(bytes.into())
    }
}

/// The bytes of an object from an offset on.
#[derive(Debug)]
pub struct ObjectReader {
    chunks: crate::Chunks,
    piece: Bytes,
}

impl Read for ObjectReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            match self
                .chunks
                .next(CHUNK_BYTES)
                .map_err(|e| io::Error::other(e.to_string()))?
            {
                Some(piece) => self.piece = piece.into(),
                None => return Ok(0),
            }
        }
        let length = out.len().min(self.piece.len());
        out[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}
