//! A test object gate. The first line of an object selects what it does: `fail`, `err`, `panic`,
//! `loop`, `skip`; anything else passes. Reports each object it checked.
//!
//! It also looks for traces of other instances: a counter that must be fresh, and memory beyond
//! its own that must be zero.

wit_bindgen::generate!({ path: "../../../../wit/since-v0.1.0", world: "object-gate" });

use std::sync::atomic::{AtomicU32, Ordering};

use exports::weir::hooks::object_gate_api::{Change, Object, Verdict};
use weir::hooks::report::{self, Finding, Severity};
use weir::hooks::tree::{self, Span};

struct Guest;

static CALLS: AtomicU32 = AtomicU32::new(0);

fn say(rule: &str, message: &str) {
    drop(report::submit(Finding::new(Severity::Info, rule, message)));
}

/// Grows the memory by 4 MiB, counts non-zero bytes there, and leaves a mark.
fn traces() -> usize {
    let pages = 64;
    let start = core::arch::wasm32::memory_grow(0, pages) * 65_536;
    // Volatile, so that the compiler optimizes neither the reads nor the mark away.
    let mut found = 0;
    for at in (start..start + pages * 65_536).step_by(512) {
        let p = at as *mut u8;
        // SAFETY: the pages were just added to this instance's memory; nothing else refers to them.
        unsafe {
            found += usize::from(p.read_volatile() != 0);
            p.write_volatile(0xAA);
        }
    }
    found
}

impl exports::weir::hooks::describe_api::Guest for Guest {
    fn describe() -> String {
        r#"{"name":"test-object-gate","version":"0.1.0","scope":"object","defaults":{"paths":["data/**"]},"config_schema":{"type":"object","properties":{"forbid":{"type":"array","items":{"type":"string"}}},"additionalProperties":false}}"#.into()
    }
}

impl exports::weir::hooks::object_gate_api::Guest for Guest {
    fn check_object(subject: Change, content: Option<Object>) -> Result<Verdict, String> {
        let call = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        let traces = traces();
        if call != 1 || traces != 0 {
            say("leak", &format!("call {call}, {traces} traces"));
        }
        let Some(object) = content else {
            say("removed", &format!("{:?} {}", subject.kind, subject.path));
            return Ok(Verdict::Pass);
        };
        let size = object.entry().size.min(64) as u32;
        let bytes = object
            .read(Span {
                offset: 0,
                length: size,
            })
            .map_err(|e| format!("{e:?}"))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        say("saw", &format!("{:?} {text}", subject.kind));
        match text.lines().next().unwrap_or_default() {
            "fail" => {
                report::submit(Finding::new(Severity::Error, "bad", "says fail"))?;
                Ok(Verdict::Fail)
            }
            "skip" => Ok(Verdict::Skip),
            "err" => Err("undecided".into()),
            "panic" => panic!("this object is cursed"),
            "loop" => loop {
                std::hint::black_box(0);
            },
            "speak" => {
                println!("{} speaks", subject.path);
                Ok(Verdict::Pass)
            }
            // Compares with the previous version of the object, like a schema check.
            "compare" => {
                let before = tree::base()
                    .ok_or("no base")?
                    .open(&subject.path)
                    .map_err(|e| format!("{e:?}"))?;
                say(
                    "before",
                    &String::from_utf8_lossy(&before.read_tail(64).map_err(|e| format!("{e:?}"))?),
                );
                Ok(Verdict::Pass)
            }
            _ => Ok(Verdict::Pass),
        }
    }
}

export!(Guest);
