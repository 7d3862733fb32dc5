//! The sample data that a new repository can be filled with.
//!
//! The layout follows lakeFS's tutorials: `README.md`, `lakes.parquet` with a hundred thousand lakes, `data/` and
//! `images/`. All content is Weir's own: text files in this folder, and files generated from a fixed seed, so that
//! every repository gets the same bytes. Lakes and shares of countries are invented.

mod lakes;
mod pictures;
mod random;

use bytes::Bytes;

use crate::{Error, Result};

pub use self::lakes::LAKES;

/// An object of the sample repository.
#[derive(Debug)]
pub(crate) struct SampleObject {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) bytes: Bytes,
}

const MARKDOWN: &str = "text/markdown";
const CSV: &str = "text/csv";

/// Path, content type and content of the text files.
const TEXTS: &[(&str, &str, &str)] = &[
    ("README.md", MARKDOWN, include_str!("README.md")),
    (
        "data/lakes.source.md",
        MARKDOWN,
        include_str!("lakes.source.md"),
    ),
    (
        "data/gates/require-owner.yaml",
        "application/yaml",
        include_str!("require-owner.yaml"),
    ),
    (
        "data/levels/year=2023/levels.csv",
        CSV,
        include_str!("levels-2023.csv"),
    ),
    (
        "data/levels/year=2024/levels.csv",
        CSV,
        include_str!("levels-2024.csv"),
    ),
];

/// Generates all objects, in no particular order. Takes noticeable CPU time; call it on the blocking thread pool.
///
/// # Errors
/// [`Error::Storage`] if a file cannot be encoded.
pub(crate) fn objects() -> Result<Vec<SampleObject>> {
    let text =
        |&(path, content_type, text): &(&'static str, &'static str, &'static str)| SampleObject {
            path,
            content_type,
            bytes: Bytes::from_static(text.as_bytes()),
        };
    let mut objects: Vec<SampleObject> = TEXTS.iter().map(text).collect();
    objects.push(SampleObject {
        path: "lakes.parquet",
        content_type: "application/vnd.apache.parquet",
        bytes: lakes::parquet().map_err(failed)?,
    });
    for (path, picture) in [
        ("images/lake.png", pictures::lake()),
        ("images/lake-at-night.png", pictures::lake_at_night()),
        ("images/branches.png", pictures::branches()),
    ] {
        objects.push(SampleObject {
            path,
            content_type: "image/png",
            bytes: picture.png().map_err(failed)?,
        });
    }
    Ok(objects)
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::from(block::Error::Storage {
        operation: "encode",
        location: "the sample data".to_owned(),
        source: std::io::Error::other(error),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::objects;

    /// The maximum total size of the sample data.
    const MAX_BYTES: usize = 1_500_000;

    #[test]
    fn sample_data_is_small_and_reproducible() {
        let (first, again) = (objects().unwrap(), objects().unwrap());
        for (one, other) in first.iter().zip(&again) {
            assert!(
                one.path == other.path && one.bytes == other.bytes,
                "{}",
                one.path
            );
        }
        let bytes: usize = first.iter().map(|object| object.bytes.len()).sum();
        assert!(bytes < MAX_BYTES, "{bytes}");
        let paths: BTreeSet<_> = first.iter().map(|object| object.path).collect();
        assert_eq!(paths.len(), first.len());
    }

    #[test]
    fn pictures_are_png_files_with_the_right_dimensions() {
        for object in objects().unwrap() {
            if object.content_type == "image/png" {
                let bytes = &object.bytes;
                assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
                assert_eq!(
                    &bytes[12..24],
                    b"IHDR\0\0\x01\x40\0\0\0\xb4",
                    "{}",
                    object.path
                );
                assert_eq!(&bytes[bytes.len() - 8..], b"IEND\xae\x42\x60\x82");
            }
        }
    }
}
