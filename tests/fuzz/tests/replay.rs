//! Runs every parser on all saved inputs, including those that once crashed, without a fuzzer.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fuzz::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("failed to read the folder").path())
        .collect();
    files.sort();
    files
}

/// Tries an input, also truncated, as after a broken connection or on a full disk.
fn try_input(target: &fuzz::Target, from: &str, input: &[u8]) {
    // A stack overflow ends the process, and this is then the last line of output.
    eprintln!("{}: {from}", target.name);
    target.try_input(input);
    for len in [0, 1, input.len() / 2, input.len().saturating_sub(1)] {
        target.try_input(&input[..len.min(input.len())]);
    }
}

#[test]
fn every_parser_returns_on_every_saved_input() {
    for target in TARGETS {
        let inputs = files(&corpus().join(target.name));
        assert!(inputs.len() >= 2, "{} has too few inputs", target.name);
        for path in inputs {
            let input = std::fs::read(&path).expect("failed to read the file");
            try_input(target, &path.display().to_string(), &input);
        }
    }
}

/// `cargo xtask fuzz` keeps what it found, so that every test run covers it.
#[test]
fn every_parser_returns_on_every_kept_input() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("kept");
    let mut tried = 0;
    for file in files(&kept) {
        let name = file.file_name().and_then(|name| name.to_str());
        let target = fuzz::find(name.unwrap_or_default());
        let target = target.unwrap_or_else(|| panic!("{} belongs to no target", file.display()));
        let text = std::fs::read_to_string(&file).expect("failed to read the file");
        for line in text.lines() {
            let input = STANDARD.decode(line).expect("each line is base64");
            try_input(target, line, &input);
            tried += 1;
        }
    }
    assert!(tried >= 1_000, "only {tried} inputs are kept");
}

#[test]
fn targets_and_corpus_folders_match() {
    let folders: Vec<_> = files(&corpus())
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(folders, names);
}

/// Repeats each token that some grammar nests or lists, so that inputs are long, deep or have many elements.
#[test]
fn nested_input_does_not_overflow_the_stack() {
    let pieces: &[&[u8]] = &[
        b"{",
        b"[",
        b"(",
        b"!",
        b"- ",
        b"? ",
        b"{\"a\":",
        b"[{",
        b"<a>",
        b"<Part/>",
        b"&lt;",
        b"not ",
        b"~",
        b"^1",
        b"*",
        b"?",
        b"{a,",
        b"[!",
        b"\\",
        b"%41",
        b"a=b&",
        b"%",
        b"\x0a\x7f",
        b"\x0b",
        b"\x1b\x0b",
        b"\x41\x01\x01",
        b"1\r\n",
        b"0;",
        b"\xff",
        b"\0",
        b"\x80",
        b"--B\r\n",
        b"a: &a [",
        b"<<: ",
        b"{{ ENV.",
        b"AAAA",
        b"..",
        b"a\n",
    ];
    for target in TARGETS {
        for piece in pieces {
            // A stack overflow ends the process, and this is then the last line of output.
            eprintln!("{}: {}", target.name, piece.escape_ascii());
            for prefix in 0..=10_u8 {
                let many = piece.repeat((64 << 10) / piece.len());
                target.try_input(&[&[prefix][..], &many].concat());
                if prefix == 0 {
                    target.try_input(&many);
                }
            }
        }
    }
}
