//! Reads CSV files row by row, without loading the file into memory. Requires the feature `csv`.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::rc::Rc;

use ::csv::{ErrorKind, ReaderBuilder, StringRecord};

use crate::{Error, Object, ObjectReader, Result};

/// Maximum size of a row; a longer row is an error. Without this limit, one missing quote would load the rest of the file
/// into memory.
const MAX_ROW_BYTES: usize = 1 << 20;

/// The dialect of a CSV file. The default is RFC 4180 with a header: commas, double quotes, column names in the
/// first row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    delimiter: u8,
    quote: u8,
    has_header: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: b'"',
            has_header: true,
        }
    }
}

impl CsvOptions {
    /// The default dialect.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the delimiter of fields, such as `;` or a tab.
    ///
    /// # Errors
    /// [`Error::Config`] if the text is not exactly one ASCII character.
    pub fn delimiter(mut self, delimiter: &str) -> Result<Self> {
        self.delimiter = ascii("delimiter", delimiter)?;
        Ok(self)
    }

    /// Sets the character that encloses fields with delimiters or line breaks.
    ///
    /// # Errors
    /// [`Error::Config`] if the text is not exactly one ASCII character.
    pub fn quote(mut self, quote: &str) -> Result<Self> {
        self.quote = ascii("quote", quote)?;
        Ok(self)
    }

    /// The file has no header: the first row is data.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.has_header = false;
        self
    }
}

fn ascii(what: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => Err(Error::Config(format!(
            "CSV {what} must be one ASCII character, got {text:?}"
        ))),
    }
}

/// Iterates over the rows of a CSV file.
///
/// Rows may have any number of fields; compare [`CsvRow::len`] with the number of columns to find incomplete rows.
/// After an error the iterator ends.
#[derive(Debug)]
pub struct CsvReader {
    reader: ::csv::Reader<Limited>,
    columns: Vec<String>,
    /// The index of the first column of each name.
    indexes: Rc<BTreeMap<String, usize>>,
    next_row: u64,
    is_done: bool,
}

/// One row of a CSV file.
#[derive(Debug, Clone)]
pub struct CsvRow {
    number: u64,
    fields: StringRecord,
    indexes: Rc<BTreeMap<String, usize>>,
}

impl Object {
    /// Reads the object as a CSV file in the default dialect.
    ///
    /// # Errors
    /// See [`Object::csv_with`].
    pub fn csv(&self) -> Result<CsvReader> {
        self.csv_with(&CsvOptions::default())
    }

    /// Reads the object as a CSV file in the given dialect. The header is read immediately.
    ///
    /// # Errors
    /// [`Error::Tree`] if the object cannot be read. [`Error::Other`] if the header is not valid UTF-8 or longer
    /// than 1 MiB.
    pub fn csv_with(&self, options: &CsvOptions) -> Result<CsvReader> {
        let mut reader = ReaderBuilder::new()
            .delimiter(options.delimiter)
            .quote(options.quote)
            .has_headers(options.has_header)
            .flexible(true)
            .from_reader(Limited {
                inner: self.reader(0)?,
                left: MAX_ROW_BYTES,
            });
        let mut columns = Vec::new();
        if options.has_header {
            let header = reader.headers().map_err(|e| explain("the header", e))?;
            columns.extend(header.iter().map(str::to_owned));
        }
        let mut indexes = BTreeMap::new();
        for (index, column) in columns.iter().enumerate() {
            indexes.entry(column.clone()).or_insert(index);
        }
        Ok(CsvReader {
            reader,
            columns,
            indexes: indexes.into(),
            next_row: 0,
            is_done: false,
        })
    }
}

impl CsvReader {
    /// The column names in the header, in order. Empty if the file is empty or has no header.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }
}

impl Iterator for CsvReader {
    type Item = Result<CsvRow>;

    /// Reads the next row.
    ///
    /// Returns [`Error::Tree`] if the object cannot be read, and [`Error::Other`] if the row is not valid UTF-8 or
    /// longer than 1 MiB.
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        self.reader.get_mut().left = MAX_ROW_BYTES;
        let mut fields = StringRecord::new();
        let row = match self.reader.read_record(&mut fields) {
            Ok(true) => Ok(CsvRow {
                number: self.next_row,
                fields,
                indexes: Rc::clone(&self.indexes),
            }),
            Ok(false) => {
                self.is_done = true;
                return None;
            }
            Err(e) => {
                self.is_done = true;
                Err(explain(&format!("row {}", self.next_row + 1), e))
            }
        };
        self.next_row += 1;
        Some(row)
    }
}

impl CsvRow {
    /// The position of the row, counted from 0 and without the header: the number that
    /// [`Finding::at_row`](crate::Finding::at_row) takes.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The field in the first column of this name. None if there is no such column or the row ends before it.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&str> {
        self.fields.get(*self.indexes.get(column)?)
    }

    /// The field at an index, counted from 0. None if the row has fewer fields.
    #[must_use]
    pub fn field(&self, index: usize) -> Option<&str> {
        self.fields.get(index)
    }

    /// All fields of the row, in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter()
    }

    /// The number of fields in the row.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether the row has no fields. The reader skips empty lines, so this is false for rows of a file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// Passes through at most `left` bytes. The iterator resets `left` before each row.
#[derive(Debug)]
struct Limited {
    inner: ObjectReader,
    left: usize,
}

impl Read for Limited {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(Error::new("longer than 1 MiB; is a closing quote missing?").into());
        }
        let room = out.len().min(self.left);
        let length = self.inner.read(&mut out[..room])?;
        self.left -= length;
        Ok(length)
    }
}

/// Returns errors of the tree unchanged, and adds `place` to all other errors.
fn explain(place: &str, error: ::csv::Error) -> Error {
    let reason = match error.into_kind() {
        ErrorKind::Io(e) => match Error::from(e) {
            Error::Other(reason) => reason,
            other => return other,
        },
        ErrorKind::Utf8 { err, .. } => format!("field {} is not valid UTF-8", err.field() + 1),
        other => format!("{other:?}"),
    };
    Error::new(format!("{place} is invalid: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: impl Into<bytes::Bytes>, options: &CsvOptions) -> Vec<String> {
        let csv = Object::from_bytes("a.csv", bytes)
            .csv_with(options)
            .unwrap();
        csv.map(|row| match row {
            Ok(row) => format!(
                "{}: {}",
                row.number(),
                row.fields().collect::<Vec<_>>().join("|")
            ),
            Err(e) => e.to_string(),
        })
        .collect()
    }

    #[test]
    fn rows_are_numbered_from_0_without_the_header() {
        let text = "\u{feff}id,name\r\n1,\"a, b\"\r\n\r\n2,\"say \"\"hi\"\"\nthere\"\r\n3";
        let csv = Object::from_bytes("a.csv", text).csv().unwrap();
        assert_eq!(csv.columns(), ["id", "name"]);
        assert_eq!(
            rows(text, &CsvOptions::new()),
            ["0: 1|a, b", "1: 2|say \"hi\"\nthere", "2: 3"]
        );
    }

    #[test]
    fn fields_are_found_by_name_and_index() {
        let mut csv = Object::from_bytes("a.csv", "a,b,a\n1,2,3\n4\n")
            .csv()
            .unwrap();
        let (full, short) = (csv.next().unwrap().unwrap(), csv.next().unwrap().unwrap());
        assert_eq!((full.get("a"), full.get("b")), (Some("1"), Some("2")));
        assert_eq!((full.get("c"), full.field(2)), (None, Some("3")));
        assert_eq!((short.len(), short.get("b")), (1, None));
        assert!(csv.next().is_none());
    }

    #[test]
    fn dialects_are_configurable() {
        let options = CsvOptions::new().delimiter(";").unwrap();
        let options = options.quote("'").unwrap().without_header();
        assert_eq!(rows("1;'a;b'\n2;c\n", &options), ["0: 1|a;b", "1: 2|c"]);
        for text in ["", ";;", "é"] {
            let error = CsvOptions::new().delimiter(text).unwrap_err();
            assert_eq!(
                error,
                Error::Config(format!(
                    "CSV delimiter must be one ASCII character, got {text:?}"
                ))
            );
        }
    }

    #[test]
    fn empty_files_have_no_columns_and_no_rows() {
        let csv = Object::from_bytes("a.csv", "").csv().unwrap();
        assert_eq!(csv.columns(), [""; 0]);
        assert_eq!(csv.count(), 0);
    }

    #[test]
    fn invalid_text_ends_the_file_with_an_error() {
        assert_eq!(
            rows(&b"a,b\n1,2\n3,\xff\n4,5\n"[..], &CsvOptions::new()),
            ["0: 1|2", "row 2 is invalid: field 2 is not valid UTF-8"]
        );
    }

    #[test]
    fn rows_over_the_limit_are_refused() {
        let text = format!("a\n1\n\"{}", "x".repeat(3 << 20));
        assert_eq!(
            rows(text, &CsvOptions::new()),
            [
                "0: 1",
                "row 2 is invalid: longer than 1 MiB; is a closing quote missing?"
            ]
        );
        let header = format!("\"{}", "x".repeat(3 << 20));
        let error = Object::from_bytes("a.csv", header).csv().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the header is invalid: longer than 1 MiB; is a closing quote missing?"
        );
    }
}
