//! Compares reference pages of the book with the source: limits, S3 operations, options of the command.

use std::collections::BTreeSet;
use std::path::Path;

fn text_of(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("failed to read {file}: {e}"))
}

/// Limits of the page, one a line: the beginning of its row; its value as the page shows it; the file
/// or folder with the constant; the constant, or the field of a struct's defaults.
const LIMITS: &str = "
line and headers of a request; 128 KiB; server/app/src/serve; MAX_HEADER_BYTES
parameters in a query; 1,000; server/app/src/serve; MAX_QUERY_PARAMETERS
JSON body; 10 MiB; server/api/src; MAX_BODY_BYTES
JSON body; 100,000; server/api/src/body.rs; MAX_VALUES
JSON body of an operation; 8 KiB; server/api/src; MAX_ANONYMOUS_BODY_BYTES
bytes of an unauthenticated caller's body; 64 KiB; server/app/src/unread_body.rs; MAX_BYTES
form fields before; 1 MiB; server/api/src; MAX_FORM_PREAMBLE_BYTES
XML document; 8 MiB; server/gateway/src/xml.rs; MAX_BYTES
XML document; 200,000; server/gateway/src/xml.rs; MAX_TAGS
signed chunk; 16 MiB; server/gateway/src; MAX_SIGNED_CHUNK_BYTES
request id; 128 bytes; server/app/src/telemetry.rs; MAX_REQUEST_ID_BYTES
time between a signed S3 request; 15 min; server/gateway/src; MAX_CLOCK_SKEW_SECS
lifetime of a presigned; 7 days; server/gateway/src; MAX_EXPIRES_SECS
entries of a page of a listing; 1,000; server/api/src; MAX_PER_PAGE
entries of a page of a listing; 100 by default; server/api/src; DEFAULT_PER_PAGE
page of a log; 4 MiB; server/catalog/src; MAX_PAGE_BYTES
commits that one page of a log; 5,000; server/catalog/src; MAX_COMPARISONS
pull requests that one page; 10,000; server/catalog/src/pulls.rs; MAX_PULLS_SCANNED
keys and prefixes of a page; 1,000; server/gateway/src/list.rs; MAX_KEYS
buckets of a page; 10,000; server/gateway/src; MAX_BUCKETS
paths of one deletion; 1,000; server/api/src; MAX_DELETE_PATHS
paths in a conflict answer; 1,000; server/graveler/src; MAX_REPORTED_CONFLICTS
name of a branch or tag; 900 bytes; server/graveler/src; MAX_REF_NAME_BYTES
ref expression; 4,096 bytes; server/graveler/src; MAX_EXPRESSION_BYTES
object path; 1,024 bytes; server/catalog/src/constants.rs; MAX_PATH_BYTES
message of a commit; 64 KiB; server/catalog/src; MAX_MESSAGE_BYTES
metadata of a commit; 1 MiB; server/catalog/src; MAX_COMMIT_METADATA_BYTES
user metadata of an object; 64 KiB; server/catalog/src; MAX_USER_METADATA_BYTES
user metadata of an object; 2,048 bytes; server/gateway/src; MAX_METADATA_BYTES
metadata of a repository; 1 MiB; server/catalog/src; MAX_REPOSITORY_METADATA_BYTES
title of a pull request; 1 KiB; server/catalog/src; MAX_PULL_TITLE_BYTES
description of a pull request; 32 KiB; server/catalog/src; MAX_PULL_DESCRIPTION_BYTES
branch protection rules; 32 KiB; server/graveler/src/protection.rs; MAX_RULES_BYTES
branch protection rules; 10,240 [steps]; server/graveler/src/protection.rs; MAX_RULES_STEPS
parents of a commit; 16; server/graveler/src/commit_record.rs; MAX_PARENTS
parts of a multipart upload; 10,000; server/catalog/src; MAX_PARTS
JSON and XML bodies of all requests; 128 KiB; server/gateway/src/chunked.rs; MAX_FREE_CHUNK_BYTES
content type of an object; 1 KiB; server/catalog/src; MAX_CONTENT_TYPE_BYTES
message and hint of an error; 8 KiB; server/api/src; MAX_ERROR_TEXT_BYTES
hook runs in the header; 100; server/api/src; MAX_GATE_RUNS_IN_HEADER
user name, access key id and secret; 256 bytes; server/auth/src; MAX_NAME_BYTES
secret of a new administrator; 16 bytes; server/auth/src; MIN_SECRET_BYTES
setup token; 16 characters; server/app/src; MIN_SETUP_TOKEN_BYTES
secret key; 16 bytes; server/auth/src; MIN_SECRET_KEY_BYTES
attempts of a commit or merge; 50; server/graveler/src/change/mod.rs; MAX_TRIES
changes of one branch that wait; 1,024; server/graveler/src/queue.rs; MAX_WAITING
changes of a server; 4,096; server/catalog/src; MAX_DETACHED_CHANGES
dumps, restores and additions; 16; server/catalog/src; MAX_DETACHED_REPOSITORY_CHANGES
page of `ListMultipartUploads`; 4 MiB; server/catalog/src; MAX_PAGE_BYTES
running tasks; 32; server/catalog/src; MAX_RUNNING_TASKS
unfinished tasks; 1,000; server/catalog/src; MAX_OPEN_TASKS
attempts of a task; 3; server/catalog/src/tasks; MAX_ATTEMPTS
time for which the status; 24 h; server/catalog/src; TASK_RETENTION
time for which a completed; 24 h; server/catalog/src; COMPLETION_RETENTION
commits that a pull request searches; 1,000; server/catalog/src; MAX_COMMITS_SEARCHED
directories of symlink files; 64; server/catalog/src; MAX_NESTED_DIRECTORIES
connections of one address; 1,024; server/app/src/config/http.rs; max_connections_per_address
reserved connections; 64; server/app/src/serve; RESERVED_CONNECTIONS
reserved connections; 8 of one; server/app/src/serve; RESERVED_PER_ADDRESS
requests of one HTTP/2; 128; server/app/src/serve; MAX_STREAMS
requests that are running; 30 s; server/app/src/serve; DRAIN_TIMEOUT
records in memory; 4 MiB; server/kv/src/store.rs; SCAN_PAGE_BYTES
configuration file; 1 MiB; server/app/src/config; MAX_FILE_BYTES
configuration file; 10,000; server/app/src/config; MAX_VALUES
configuration file; 4 MiB; server/app/src/config; MAX_TEXT_BYTES
objects of one hook checked; 64; actions/src; MAX_PARALLELISM
component |; 64 MiB; actions/src; MAX_COMPONENT_BYTES
compilers of the server; 4 processes; actions/src/wasm/limits.rs; COMPILES
compilers of one repository; 1 at a time; actions/src/wasm/limits.rs; COMPILES_EACH
wall-clock time for compiling; at least 120 s; actions/src/wasm/limits.rs; COMPILE_TIME
concurrent storage calls; 16; actions/src/wasm/limits.rs; STORAGE_CALLS
failures of components; 1,024; actions/src/wasm/limits.rs; BROKEN
failures of components; 10 min; actions/src/wasm/limits.rs; BROKEN_AGE
instances of the whole server; 64; actions/src/wasm/limits.rs; INSTANCES
instances of one repository; 120 s; actions/src/wasm/limits.rs; ADMISSION_WAIT
one storage call; 60 s; actions/src/wasm/limits.rs; HOST_CALL
one read, one value; 8 MiB; actions/src/wasm/limits.rs; READ_BYTES
all findings of a hook; 16 MiB; actions/src/wasm/limits.rs; FINDINGS_BYTES
all findings of a hook; at least 64 KiB; actions/src/wasm/limits.rs; FINDINGS_EACH
open handles; 1,024; actions/src/wasm/limits.rs; HANDLES
open scans; 16; actions/src/wasm/limits.rs; SCANS
summary of a hook; 64 KiB; actions/src/wasm/limits.rs; SUMMARY_BYTES
`describe`; 64 MiB; actions/src/wasm/limits.rs; DESCRIBE_MEMORY
`describe`; 256 KiB; actions/src/wasm/limits.rs; DESCRIBE_BYTES
mistakes in a hook's `config`; 10 mistakes; actions/src/schema.rs; MAX_MISTAKES
checking a hook's `config`; 1,000,000; actions/src/schema.rs; MAX_STEPS
globs (; 1024 bytes; server/base/src; MAX_PATTERN_BYTES
globs (; 32 opening; server/base/src; MAX_BRACES
globs (; 16,384 [steps]; server/base/src; MAX_STEPS
`if`; 256 tokens; actions/src/condition.rs; MAX_TOKENS
`if`; 32 levels; actions/src/condition.rs; MAX_DEPTH
YAML of an action file; 64 levels; actions/src/action_file/yaml/parser.rs; MAX_DEPTH
YAML of an action file; 100,000; actions/src/action_file/yaml/parser.rs; MAX_NODES
URL of a webhook; 8 KiB; actions/src/action_file/webhook_properties.rs; MAX_URL_BYTES
nesting of a component; 16 levels; actions/src/wasm/nesting.rs; MAX_COMPONENTS
nesting of a component; 2000; actions/src/wasm/nesting.rs; MAX_COMPOUND_TYPES
hooks |; 100 per; actions/src/action_file; MAX_HOOKS
hooks |; 1000 per; actions/src/selection.rs; MAX_EVENT_HOOKS
threads for computations; 16 of; actions/src/computations.rs; THREADS
threads for computations; 120 s; actions/src/computations.rs; THREAD_WAIT
matching the changed paths; 10 min; actions/src/load.rs; MATCH_TIME
components that are being read; 120 s; actions/src/runner/wasm/components.rs; READ_WAIT
warnings about the action files; 100, and; actions/src/preflight.rs; MAX_WARNINGS
warnings about the action files; 32 KiB; actions/src/preflight.rs; MAX_WARNING_BYTES
warnings of hooks that judged nothing; 20; actions/src/execute.rs; MAX_HOOK_WARNINGS
checks of the action files; 100 reported; actions/src/preflight.rs; errors
checks of the action files; 1000 hooks; actions/src/preflight.rs; hooks
checks of the action files; 120 s; actions/src/preflight.rs; time
wait of the checks; 120 s in all; actions/src/wasm/limits.rs; COMPILE_WAIT
action files of a tree; 1000 files; actions/src/action_file; MAX_FILES
action files of a tree; 16 MiB; actions/src/load.rs; MAX_TREE_BYTES
logged part; 64 KiB; actions/src/webhook/transcript.rs; MAX_RESPONSE_BYTES
Airflow's description; 1 MiB; actions/src/webhook; MAX_DAG_RUN_BYTES
changes of one repository that wait; 256 changes; actions/src/nesting.rs; MAX_IN_FLIGHT
nesting of changes; 3 levels; actions/src/nesting.rs; MAX_DEPTH
post hooks of one repository; 8 events; actions/src/queue.rs; MAX_RUNNING
post hooks of one repository; 256 unfinished; actions/src/queue.rs; MAX_PENDING
post hooks of one repository; 10 s; actions/src/engine.rs; RECORD_WAIT
connections |; 10,000; server/app/src/config/http.rs; max_connections
connections of one address; 1,024; server/app/src/config/http.rs; max_connections_per_address
first byte of a connection; 30 s; server/app/src/config/http.rs; first_byte_timeout
headers of a request; 30 s; server/app/src/config/http.rs; headers_timeout
waiting for a request body; 30 s; server/app/src/config/http.rs; body_timeout
waiting for a client to read; 60 s; server/app/src/config/http.rs; response_timeout
lowest average rate; 1,024 bytes; server/app/src/config/http.rs; min_bytes_per_second
idle connection; 120 s; server/app/src/config/http.rs; idle_timeout
JSON and XML bodies of all requests; 256 MiB; server/app/src/config/http.rs; body_memory_bytes
post hooks of one server; 16,384; actions/src/queue.rs; MAX_PENDING_IN_ALL
";

/// Returns the value of a constant in a source file, or in the only file of a folder that has it,
/// in its base unit: bytes, milliseconds or a count.
fn constant(place: &str, name: &str) -> u64 {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    source_files(&root.join(place), &mut files);
    let is_field = name.starts_with(|c: char| c.is_ascii_lowercase());
    let found: Vec<String> = files
        .iter()
        .filter_map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            if is_field {
                // The defaults begin with a number or a duration, the declaration with a type.
                let field = format!(" {name}: ");
                let mut values = text.split(&field).skip(1);
                let value = values.find(|rest| {
                    rest.starts_with(|c: char| c.is_ascii_digit())
                        || rest.starts_with("Duration::from")
                })?;
                return Some(value.split_once(',')?.0.to_owned());
            }
            let rest = text.split(&format!("const {name}: ")).nth(1)?;
            let rest = rest.split_once('=')?.1;
            Some(rest.split_once(';')?.0.trim().to_owned())
        })
        .collect();
    assert_eq!(found.len(), 1, "{name} in {place}: {found:?}");
    value(&found[0])
}

fn source_files(path: &Path, files: &mut Vec<std::path::PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            source_files(&entry.unwrap().path(), files);
        }
    } else if path.extension().is_some_and(|e| e == "rs") {
        files.push(path.to_owned());
    }
}

/// Evaluates an expression of numbers, `<<`, `*`, and `Duration::from_...`, which gives milliseconds.
fn value(expression: &str) -> u64 {
    for (call, factor) in [
        ("Duration::from_secs(", 1000),
        ("Duration::from_millis(", 1),
    ] {
        if let Some(inner) = expression.strip_prefix(call) {
            return factor * value(inner.trim_end_matches(')'));
        }
    }
    if let Some((left, right)) = expression.split_once("<<") {
        return value(left) << value(right);
    }
    expression
        .split('*')
        .map(|factor| {
            let digits = factor.trim().replace('_', "");
            digits
                .parse::<u64>()
                .unwrap_or_else(|e| panic!("{expression}: {e}"))
        })
        .product()
}

/// Returns the value that the page shows, in the base unit. Times of constants that count seconds
/// are compared in seconds.
fn shown(text: &str, name: &str) -> u64 {
    let text = text.trim_start_matches("at least ");
    let mut words = text.split_whitespace();
    let number: u64 = words.next().unwrap().replace(',', "").parse().unwrap();
    let ms = if name.ends_with("_SECS") { 1 } else { 1000 };
    number
        * match words.next() {
            Some("KiB") => 1 << 10,
            Some("MiB") => 1 << 20,
            Some("GiB") => 1 << 30,
            Some("s") => ms,
            Some("min") => 60 * ms,
            Some("h") => 3600 * ms,
            Some("days") => 86_400 * ms,
            _ => 1,
        }
}

#[test]
fn limits_are_those_of_the_source() {
    let page = text_of("docs/reference/limits.md");
    for limit in LIMITS.trim().lines() {
        let parts: Vec<&str> = limit.split("; ").collect();
        let [row, text, place, name] = parts[..] else {
            panic!("not four parts: {limit}");
        };
        let start = format!("| {row}");
        assert!(
            page.lines()
                .any(|line| line.starts_with(&start) && line.contains(text)),
            "no row of the page begins with `{row}` and contains `{text}`"
        );
        assert_eq!(
            shown(text, name),
            constant(place, name),
            "the page says that {row} is at most {text}, but see {name} in {place}"
        );
    }
}

/// Returns the code spans in the first cells of the rows between two texts of a page.
fn first_cells(page: &str, from: &str, to: &str) -> BTreeSet<String> {
    let part = page.split(from).nth(1).unwrap().split(to).next().unwrap();
    part.lines()
        .filter_map(|line| line.strip_prefix("| "))
        .filter_map(|line| line.split(" | ").next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned))
        .collect()
}

#[test]
fn s3_page_lists_the_operations_of_the_gateway() {
    let service = text_of("server/gateway/src/service.rs");
    let implemented: BTreeSet<String> = service
        .split("delegate! {")
        .nth(1)
        .unwrap()
        .lines()
        .filter_map(|line| {
            Some(
                line.split_once("Input ->")?
                    .0
                    .rsplit(' ')
                    .next()?
                    .to_owned(),
            )
        })
        .collect();
    let page = text_of("docs/reference/s3.md");
    assert_eq!(
        first_cells(&page, "## Operations", "All other operations"),
        implemented
    );

    let source = text_of("server/gateway/src/subresource.rs");
    let list = source.split("const UNSUPPORTED").nth(1).unwrap();
    let list = list.split("];").next().unwrap();
    for name in list.split('"').skip(1).step_by(2) {
        assert!(page.contains(&format!("`{name}`")), "the page lacks {name}");
    }
}

#[test]
fn command_line_page_lists_the_options_of_the_command() {
    let source = text_of("server/app/src/main.rs");
    let arguments = source.split("struct RunArgs {").nth(1).unwrap();
    let arguments = arguments.split("\n}").next().unwrap();
    let options: Vec<String> = arguments
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .filter(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .map(|(name, _)| format!("`--{}", name.replace('_', "-")))
        .collect();
    assert!(options.len() >= 6, "{options:?}");
    let page = text_of("docs/reference/command-line.md");
    for option in options {
        assert!(page.contains(&option), "the page lacks {option}");
    }
}

/// The guide shows the example of the SDK's README, which a system test builds and runs.
#[test]
fn guide_to_hooks_shows_the_tested_example() {
    let blocks = |page: &str| -> Vec<String> {
        let parts = page.split("\n```").skip(1).step_by(2);
        parts
            .filter(|block| {
                ["toml\n", "rust\n", "yaml\n"]
                    .iter()
                    .any(|l| block.starts_with(l))
            })
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(
        blocks(&text_of("docs/guides/write-a-hook.md")),
        blocks(&text_of("hooks-sdk/README.md"))
    );
}
