//! Inputs that fuzzing found and that the repository keeps: one file per parser, with one base64 line per input.
//!
//! A folder of thousands of small files would be slow in git, and a binary file could not be compared. The file is
//! limited in size; inputs that do not fit stay in the target folder.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Maximum size of the file of one parser.
const MAX_FILE_BYTES: usize = 32 << 10;

/// Selects the inputs to keep, the shortest first, without those that are seeds.
pub(crate) fn select(inputs: Vec<Vec<u8>>, seeds: &BTreeSet<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut new: Vec<_> = inputs.into_iter().filter(|i| !seeds.contains(i)).collect();
    new.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    new.dedup();
    let mut bytes = 0;
    let fits = |input: &Vec<u8>| {
        bytes += line(input).len();
        bytes <= MAX_FILE_BYTES
    };
    new.into_iter()
        // An empty line could not be distinguished from the end of the file. Every parser is tried on empty input
        // anyway.
        .filter(|input| !input.is_empty())
        .take_while(fits)
        .collect()
}

fn line(input: &[u8]) -> String {
    format!("{}\n", STANDARD.encode(input))
}

/// Writes the file of a parser.
pub(crate) fn write(file: &Path, inputs: &[Vec<u8>]) -> Result<()> {
    let text: String = inputs.iter().map(|input| line(input)).collect();
    std::fs::write(file, text).with_context(|| format!("failed to write {}", file.display()))
}

/// Reads the file of a parser. A missing file has no inputs.
pub(crate) fn read(file: &Path) -> Result<Vec<Vec<u8>>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).with_context(|| format!("failed to read {}", file.display())),
    };
    let inputs = text.lines().map(|line| STANDARD.decode(line));
    inputs
        .collect::<Result<_, _>>()
        .with_context(|| format!("{} has a line that is not base64", file.display()))
}

/// Reads the files of a folder.
pub(crate) fn read_folder(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let mut inputs = Vec::new();
    for entry in folder.read_dir()? {
        inputs.push(std::fs::read(entry?.path())?);
    }
    Ok(inputs)
}

/// Replaces the files of a folder with these inputs.
pub(crate) fn write_folder(folder: &Path, inputs: &[Vec<u8>]) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    for (number, input) in inputs.iter().enumerate() {
        std::fs::write(folder.join(number.to_string()), input)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::{root, target_dir};

    #[test]
    fn shortest_new_inputs_are_kept_within_the_limit() {
        let seeds = BTreeSet::from([b"seed".to_vec()]);
        let inputs = [&b"bb"[..], b"seed", b"", b"a", b"bb"].map(<[u8]>::to_vec);
        assert_eq!(
            select(inputs.to_vec(), &seeds),
            [b"a".to_vec(), b"bb".to_vec()]
        );
        let many: Vec<Vec<u8>> = (0..100_u8).map(|n| vec![n; 1_000]).collect();
        let kept = select(many.clone(), &seeds);
        let bytes: usize = kept.iter().map(|input| line(input).len()).sum();
        assert!(bytes <= MAX_FILE_BYTES && bytes > MAX_FILE_BYTES - 1_400);
        assert_eq!(kept, many[..kept.len()]);
    }

    #[test]
    fn kept_inputs_are_read_back() {
        let folder = target_dir().join(format!("kept-inputs-{}", std::process::id()));
        let inputs = [vec![0, 10, 13, 255], b"text".to_vec()];
        write_folder(&folder, &[b"stale".to_vec()]).unwrap();
        write_folder(&folder, &inputs).unwrap();
        assert_eq!(
            read_folder(&folder)
                .unwrap()
                .into_iter()
                .collect::<BTreeSet<_>>(),
            BTreeSet::from(inputs.clone())
        );
        let file = folder.join("parser");
        assert_eq!(read(&file).unwrap(), Vec::<Vec<u8>>::new());
        write(&file, &inputs).unwrap();
        assert_eq!(read(&file).unwrap(), inputs);
        std::fs::write(&file, "a-line").unwrap();
        assert!(read(&file).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn kept_files_belong_to_targets_and_are_limited() {
        let fuzz = root().join("tests/fuzz");
        for entry in fuzz.join("kept").read_dir().unwrap() {
            let file = entry.unwrap().path();
            let target = file.file_name().unwrap();
            assert!(fuzz.join("corpus").join(target).is_dir(), "{target:?}");
            assert!(file.metadata().unwrap().len() <= MAX_FILE_BYTES as u64);
            assert!(!read(&file).unwrap().is_empty(), "{target:?}");
        }
    }
}
