//! Parquet files. Requires the feature `parquet`.
//!
//! [`Object::parquet`] reads the footer in one or two reads, whatever the size of the file. To read rows, pass the
//! [`Object`] to a reader of the `parquet` crate: it implements [`ChunkReader`].

mod footer;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::ColumnDescriptor;

use crate::{Error, Object, ObjectReader, Result, Span};

/// The size of the first read, in bytes. Most footers fit.
const TAIL_BYTES: u32 = 64 << 10;
/// Maximum size of a footer, in bytes. A larger footer is an error.
const MAX_FOOTER_BYTES: usize = 64 << 20;

/// A leaf column of a Parquet file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The names from the root to the leaf, joined by dots.
    pub name: String,
    /// The physical type, and the logical type if the column has one: `BYTE_ARRAY (String)`.
    pub type_name: String,
}

/// The footer of a Parquet file.
#[derive(Debug)]
pub struct ParquetFile {
    metadata: ParquetMetaData,
}

impl Object {
    /// Reads the object's Parquet footer.
    ///
    /// # Errors
    /// [`Error::Tree`] if the object cannot be read. [`Error::Other`] if it is not a valid Parquet file.
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
                    let length = (needed as u64).min(self.size_bytes());
                    tail = self.read_in_pieces(self.size_bytes() - length, length)?;
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Reads bytes in several calls if one call cannot return that many.
    fn read_in_pieces(&self, mut offset: u64, length: u64) -> Result<Vec<u8>> {
        let end = offset.saturating_add(length);
        let mut out = Vec::new();
        while offset < end {
            let left = end - offset;
            let length =
                u32::try_from(left.min(u64::from(crate::max_read()))).expect("at most a u32");
            out.extend_from_slice(&self.read(Span { offset, length })?);
            offset += u64::from(length);
        }
        Ok(out)
    }
}

impl ParquetFile {
    /// The leaf columns, in the order of the schema.
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

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        u64::try_from(self.metadata.file_metadata().num_rows()).unwrap_or(0)
    }

    /// The number of nulls in a column. None if there is no such column or a row group has no statistics.
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
            // The counts come from the file, so the sum may overflow.
            .try_fold(0, |sum: u64, nulls| Some(sum.saturating_add(nulls?)))
    }

    /// The footer as a type of the `parquet` crate.
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

/// Restores the [`Error`] that an [`Object`] passed through a reader of the `parquet` crate.
impl From<ParquetError> for Error {
    fn from(e: ParquetError) -> Self {
        match e {
            ParquetError::External(inner) => match inner.downcast::<Self>() {
                Ok(original) => *original,
                Err(inner) => Self::new(inner.to_string()),
            },
            other => Self::new(other.to_string()),
        }
    }
}

/// Lets a reader of the `parquet` crate return the original error.
impl From<Error> for ParquetError {
    fn from(e: Error) -> Self {
        Self::External(Box::new(e))
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
        Ok(self.reader(start)?)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        // A column chunk may exceed the limit of one call.
        Ok(self.read_in_pieces(start, length as u64)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TreeError;

    #[test]
    fn errors_of_the_tree_survive_the_parquet_crate() {
        let object = Object::from_bytes("a.parquet", "PAR1");
        let error = object.get_bytes(2, 10).unwrap_err();
        assert_eq!(Error::from(error), Error::Tree(TreeError::OutOfRange));
        let error = object.parquet().unwrap_err();
        assert!(matches!(error, Error::Other(_)), "{error:?}");
    }
}
