//! A gate whose configuration (`mode`) selects its behaviour, including hostile behaviour.
//!
//! It reports everything it reads as findings, which the tests compare with a transcript.

wit_bindgen::generate!({ path: "../../../../wit/since-v0.1.0", world: "gate" });

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use exports::weir::hooks::gate_api::Verdict;
use weir::hooks::report::{Finding, Severity};
use weir::hooks::tree::{self, Span, TreeError};
use weir::hooks::{config, event, log, report};

struct Guest;

fn say(rule: &str, message: &str) {
    // The modes that test the limit on findings do not use this function.
    drop(report::submit(Finding::new(Severity::Info, rule, message)));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn error(e: &TreeError) -> String {
    match e {
        TreeError::NotFound => "not found".into(),
        TreeError::Denied(m) => format!("denied: {m}"),
        TreeError::OutOfRange => "out of range".into(),
        TreeError::Budget(m) => format!("budget: {m}"),
        TreeError::Unavailable(m) => format!("unavailable: {m}"),
        TreeError::Other(m) => format!("other: {m}"),
    }
}

/// A string in the configuration, without quotes.
fn setting(pointer: &str) -> String {
    config::get(pointer)
        .unwrap_or_default()
        .trim_matches('"')
        .to_owned()
}

fn read(path: &str) -> Result<(), TreeError> {
    let snapshot = tree::candidate().ok_or(TreeError::NotFound)?;
    let object = snapshot.open(path)?;
    let entry = object.entry();
    say(
        "entry",
        &format!("{} {} {}", entry.path, entry.size, object.modified_ms()),
    );
    say(
        "type",
        &format!("{:?} {:?}", object.content_type(), object.metadata()),
    );
    say(
        "read",
        &text(&object.read(Span {
            offset: 2,
            length: 3,
        })?),
    );
    say("tail", &text(&object.read_tail(4)?));
    say("long tail", &text(&object.read_tail(1000)?));
    let spans = [
        Span {
            offset: 6,
            length: 2,
        },
        Span {
            offset: 0,
            length: 1,
        },
        Span {
            offset: 0,
            length: 0,
        },
    ];
    let many: Vec<String> = object.read_many(&spans)?.iter().map(|b| text(b)).collect();
    say("many", &many.join("|"));
    let beyond = Span {
        offset: entry.size - 1,
        length: 2,
    };
    say(
        "beyond",
        &object.read(beyond).map_or_else(|e| error(&e), |b| text(&b)),
    );
    let huge = Span {
        offset: u64::MAX,
        length: u32::MAX,
    };
    say(
        "huge",
        &object.read(huge).map_or_else(|e| error(&e), |b| text(&b)),
    );
    let body = object.scan(1)?;
    let mut parts = Vec::new();
    while let Some(bytes) = body.next(4)? {
        parts.push(text(&bytes));
    }
    say("scan", &parts.join("|"));
    say(
        "scan end",
        &format!(
            "{:?}",
            body.next(4).map(|b| b.is_none()).map_err(|e| error(&e))
        ),
    );
    say(
        "scan at the end",
        &format!("{}", object.scan(entry.size)?.next(4)?.is_none()),
    );
    Ok(())
}

fn look_around() -> Result<(), TreeError> {
    let snapshot = tree::candidate().ok_or(TreeError::NotFound)?;
    say("tree", &snapshot.tree_id());
    let listing = snapshot.walk("", None)?;
    loop {
        let page = listing.next(2)?;
        if page.is_empty() {
            break;
        }
        say(
            "walk",
            &page
                .iter()
                .map(|e| e.path.as_str())
                .collect::<Vec<_>>()
                .join(" "),
        );
    }
    let changes = tree::diff("", Some("a/0"))?;
    loop {
        let page = changes.next(2)?;
        if page.is_empty() {
            break;
        }
        for change in page {
            let side = |e: Option<tree::Entry>| e.map_or("-".into(), |e| e.size.to_string());
            say(
                "diff",
                &format!(
                    "{:?} {} {} {}",
                    change.kind,
                    change.path,
                    side(change.before),
                    side(change.after)
                ),
            );
        }
    }
    Ok(())
}

fn facts() {
    say("kind", &event::kind());
    say("run", &event::run_id());
    say(
        "where",
        &format!(
            "{} {:?} {:?}",
            event::repository(),
            event::branch(),
            event::tag()
        ),
    );
    say("what", &format!("{} / {}", event::action(), event::hook()));
    say(
        "who",
        &format!("{} from {:?}", event::actor(), event::merge_source()),
    );
    say("when", &event::time_ms().to_string());
    say(
        "commit",
        &format!(
            "{:?} {:?} {:?} {:?}",
            event::commit_id(),
            event::commit_message(),
            event::commit_metadata(),
            event::parents()
        ),
    );
    say("config", &config::all());
    say(
        "nested",
        &format!("{:?} {:?}", config::get("/list/1"), config::get("/list/9")),
    );
}

#[expect(clippy::disallowed_methods, reason = "shows the clock that guests get")]
fn surroundings() {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis());
    say("clock", &now.to_string());
    say("passed", &format!("{}", Instant::now().elapsed().as_secs()));
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u8(1);
    say("random", &hasher.finish().to_string());
    say("environment", &std::env::vars().count().to_string());
    say("arguments", &std::env::args().count().to_string());
    say(
        "file",
        &std::fs::read("/etc/passwd")
            .map_or_else(|_| "refused".to_string(), |b| b.len().to_string()),
    );
    say(
        "directory",
        &std::fs::read_dir(".").map_or_else(|_| "refused".to_string(), |d| d.count().to_string()),
    );
    say(
        "network",
        &std::net::TcpStream::connect("127.0.0.1:80")
            .map_or_else(|_| "refused".to_string(), |_| "open".to_string()),
    );
    println!("said on stdout");
    eprintln!("said on stderr");
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn descend(n: u64) -> u64 {
    std::hint::black_box(descend(std::hint::black_box(n + 1))) + 1
}

impl exports::weir::hooks::describe_api::Guest for Guest {
    fn describe() -> String {
        r#"{"name":"test-gate","version":"0.1.0","scope":"change","defaults":{"paths":[]}}"#.into()
    }
}

impl exports::weir::hooks::gate_api::Guest for Guest {
    fn check() -> Result<Verdict, String> {
        match setting("/mode").as_str() {
            "pass" => {
                log::write(
                    log::Level::Info,
                    "looked at it",
                    &[("rows".into(), "3".into())],
                );
                report::metric("rows", 3.0, "rows");
                report::progress(1, Some(1));
                report::summary("all **good**");
                Ok(Verdict::Pass)
            }
            "fail" => {
                let finding = Finding::new(Severity::Error, "null-ratio", "too many nulls");
                finding.at_path("tables/a.csv");
                finding.at_row(7, Some("delay"));
                finding.at_bytes(10, 20);
                finding.property("ratio", "0.5");
                report::submit(finding)?;
                Ok(Verdict::Fail)
            }
            "skip" => Ok(Verdict::Skip),
            "err" => Err("the moon is in the wrong phase".into()),
            "loop" => {
                say("before", "found before the loop");
                // The test waits for this call before it measures the loop.
                drop(tree::candidate());
                loop {
                    std::hint::black_box(0);
                }
            }
            "call" => loop {
                drop(tree::candidate());
            },
            "hoard-prefixes" => {
                let prefix = "p".repeat(5000);
                tree::diff(&prefix, None)
                    .map(|_| Verdict::Pass)
                    .map_err(|e| error(&e))
            }
            "sleep" => {
                std::thread::sleep(std::time::Duration::from_secs(3600));
                Ok(Verdict::Pass)
            }
            "allocate" => {
                let mut hoard: Vec<Vec<u8>> = Vec::new();
                loop {
                    hoard.push(std::hint::black_box(vec![1; 1 << 20]));
                }
            }
            "allocate-once" => Err(std::hint::black_box(vec![1_u8; 1 << 30]).len().to_string()),
            "allocate-most" => {
                let hoard: Vec<u8> = Vec::with_capacity(std::hint::black_box(3 << 30));
                Err(hoard.capacity().to_string())
            }
            "allocate-caught" => {
                let mut hoard: Vec<u8> = Vec::new();
                hoard
                    .try_reserve(std::hint::black_box(1 << 30))
                    .map_err(|e| e.to_string())?;
                Ok(Verdict::Pass)
            }
            "read-file" => std::fs::read("/data/rules.csv")
                .map(|_| Verdict::Pass)
                .map_err(|e| e.to_string()),
            "connect" => std::net::TcpStream::connect("192.0.2.1:80")
                .map(|_| Verdict::Pass)
                .map_err(|e| e.to_string()),
            "resolve" => std::net::TcpStream::connect("rules.example:80")
                .map(|_| Verdict::Pass)
                .map_err(|e| e.to_string()),
            "read-file-or-panic" => {
                panic!("{:?}", std::fs::read_to_string("/data/rules.csv").unwrap())
            }
            "panic" => panic!("no such column: delay"),
            "unreachable" => core::arch::wasm32::unreachable(),
            "descend" => Err(descend(0).to_string()),
            "flood-log" => loop {
                log::write(log::Level::Warn, &"tick ".repeat(200), &[]);
            },
            "flood-stderr" => loop {
                eprintln!("{}", "tock ".repeat(200));
            },
            "flood-findings" => {
                let mut refused = 0;
                for n in 0..100 {
                    let finding = Finding::new(Severity::Warning, "many", &format!("number {n}"));
                    refused += u32::from(report::submit(finding).is_err());
                }
                report::summary(&format!("{refused} refused"));
                Ok(Verdict::Fail)
            }
            "flood-reports" => {
                for n in 0..100_000 {
                    report::metric(&format!("metric {n}"), 1.0, "");
                }
                report::summary(&"long ".repeat(200_000));
                let finding = Finding::new(Severity::Warning, "long", &"long ".repeat(200_000));
                for n in 0..1000 {
                    finding.property(&n.to_string(), &"long ".repeat(10_000));
                }
                report::submit(finding)?;
                Ok(Verdict::Pass)
            }
            "hoard-findings" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(Finding::new(Severity::Info, "hoard", "never submitted"));
                }
            }
            "big-string" => {
                say("big", &"x".repeat(64 << 20));
                Ok(Verdict::Pass)
            }
            "read" => read(&setting("/path"))
                .map(|()| Verdict::Pass)
                .map_err(|e| error(&e)),
            "read-all" => {
                let snapshot = tree::candidate().ok_or("no candidate")?;
                let object = snapshot.open(&setting("/path")).map_err(|e| error(&e))?;
                let length = object.entry().size as u32;
                loop {
                    object
                        .read(Span { offset: 0, length })
                        .map_err(|e| error(&e))?;
                }
            }
            "hoard-scans" => {
                let snapshot = tree::candidate().ok_or("no candidate")?;
                let object = snapshot.open(&setting("/path")).map_err(|e| error(&e))?;
                // Closing a scan makes room for another.
                for _ in 0..100 {
                    drop(object.scan(0).map_err(|e| error(&e))?);
                }
                let mut hoard = Vec::new();
                loop {
                    hoard.push(object.scan(0).map_err(|e| error(&e))?);
                }
            }
            "stat" => {
                let snapshot = tree::candidate().ok_or("no candidate")?;
                snapshot.stat(&setting("/path")).map_err(|e| error(&e))?;
                Ok(Verdict::Pass)
            }
            "look" => look_around().map(|()| Verdict::Pass).map_err(|e| error(&e)),
            "facts" => {
                facts();
                Ok(Verdict::Pass)
            }
            "surroundings" => {
                surroundings();
                Ok(Verdict::Pass)
            }
            "spin" => {
                let mut seen: HashMap<u64, u64> = HashMap::new();
                for n in 0..20_000u64 {
                    *seen.entry(n.wrapping_mul(0x9e37_79b9) % 97).or_default() += n;
                }
                say("sum", &seen.values().sum::<u64>().to_string());
                Ok(Verdict::Pass)
            }
            other => Err(format!("no mode {other:?}")),
        }
    }
}

export!(Guest);
