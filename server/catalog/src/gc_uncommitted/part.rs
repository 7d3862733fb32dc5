//! Writes one Parquet file as lakeFS's Spark client reads it: GZIP, two required columns.
//!
//! Compression runs on the blocking thread pool. The file so far and the rows of one group are in memory.

use std::sync::Arc;

use base::joined;
use bytes::Bytes;
use parquet::basic::{Compression, GzipLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::{Error, Result};

const SCHEMA: &str = "message uncommitted {
    REQUIRED BYTE_ARRAY physical_address (UTF8);
    REQUIRED INT64 creation_date;
}";

/// A Parquet file in memory and the rows of its next group.
#[derive(Debug)]
pub(super) struct Part {
    addresses: Vec<ByteArray>,
    created_secs: Vec<i64>,
    /// None while `flush` writes to it, and after `flush` failed.
    file: Option<File>,
    groups: usize,
}

struct File(SerializedFileWriter<Vec<u8>>);

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").finish_non_exhaustive()
    }
}

impl Part {
    pub(super) fn new() -> Result<Self> {
        let schema = Arc::new(parse_message_type(SCHEMA).map_err(failed)?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::GZIP(GzipLevel::default()))
            .build();
        let file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties));
        Ok(Self {
            addresses: Vec::new(),
            created_secs: Vec::new(),
            file: Some(File(file.map_err(failed)?)),
            groups: 0,
        })
    }

    pub(super) fn add(&mut self, address: &str, created_secs: i64) {
        self.addresses.push(ByteArray::from(address));
        self.created_secs.push(created_secs);
    }

    /// The number of rows that are not flushed yet.
    pub(super) fn buffered_rows(&self) -> usize {
        self.addresses.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups == 0 && self.addresses.is_empty()
    }

    /// The number of compressed bytes so far.
    pub(super) fn written_bytes(&self) -> usize {
        self.file.as_ref().map_or(0, |file| file.0.bytes_written())
    }

    /// Compresses the buffered rows and appends them to the file.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let mut file = self.file.take().expect("present unless a flush failed");
        let addresses = std::mem::take(&mut self.addresses);
        let created_secs = std::mem::take(&mut self.created_secs);
        let written = tokio::task::spawn_blocking(move || {
            write_group(&mut file.0, &addresses, &created_secs).map(|()| file)
        });
        self.file = Some(joined(written).await.map_err(failed)?);
        self.groups += 1;
        Ok(())
    }

    /// Completes the file and returns its bytes.
    pub(super) async fn close(mut self) -> Result<Bytes> {
        if !self.addresses.is_empty() {
            self.flush().await?;
        }
        let file = self.file.take().expect("present unless a flush failed");
        let bytes = file.0.into_inner().map_err(failed)?;
        Ok(Bytes::from(bytes))
    }
}

fn write_group(
    file: &mut SerializedFileWriter<Vec<u8>>,
    addresses: &[ByteArray],
    created_secs: &[i64],
) -> std::result::Result<(), ParquetError> {
    let mut group = file.next_row_group()?;
    if let Some(mut column) = group.next_column()? {
        column
            .typed::<ByteArrayType>()
            .write_batch(addresses, None, None)?;
        column.close()?;
    }
    if let Some(mut column) = group.next_column()? {
        column
            .typed::<Int64Type>()
            .write_batch(created_secs, None, None)?;
        column.close()?;
    }
    group.close()?;
    Ok(())
}

fn failed(error: ParquetError) -> Error {
    Error::from(block::Error::Storage {
        operation: "encode",
        location: "a file of uncommitted objects".to_owned(),
        source: std::io::Error::other(error),
    })
}
