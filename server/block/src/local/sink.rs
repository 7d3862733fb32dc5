//! The file that a body is written to. Tests replace it.

use std::fs::File;
use std::io::{self, Write};

/// A file being written. Tests replace it to simulate disk failures.
pub(super) trait Sink: Write + Send {
    /// Flushes the written bytes to disk.
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Wraps a new file in a [`Sink`].
pub(super) type CreateSink = fn(File) -> Box<dyn Sink>;

pub(super) fn write_to_file(file: File) -> Box<dyn Sink> {
    Box::new(file)
}
