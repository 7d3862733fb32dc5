//! Hostile components as WAT, because no toolchain generates them. Used by the tests of `actions`
//! and by `cargo xtask bench attacks`.

use bytes::Bytes;

/// Returns a gate whose `check` runs the given instructions and then returns `pass`. They may use
/// the memory, the table and the local `$n`.
pub(crate) fn component(check: &str) -> Bytes {
    module(&format!(
        r#"
        (memory (export "memory") 16)
        (table 100 funcref)
        (func (export "check") (result i32) (local $n i32)
            {check}
            (i32.store8 (i32.const 64) (i32.const 0))
            (i32.store8 (i32.const 68) (i32.const 0))
            (i32.const 64))
        (func (export "describe") (result i32)
            (i32.store (i32.const 0) (i32.const 16))
            (i32.store (i32.const 4) (i32.const 2))
            (i32.const 0))"#
    ))
}

/// Returns a gate from a core module that exports `memory`, `check` and `describe`.
pub(crate) fn module(fields: &str) -> Bytes {
    let text = format!(
        r#"(component
            (core module $m {fields} (data (i32.const 16) "{{}}"))
            (core instance $i (instantiate $m))
            {EXPORTS})"#
    );
    wat::parse_str(text).unwrap().into()
}

/// Turns the core instance `$i` into a gate.
pub(crate) const EXPORTS: &str = r#"
    (type $verdict (enum "pass" "fail" "skip"))
    (func $describe (result string)
        (canon lift (core func $i "describe") (memory $i "memory")))
    (func $check (result (result $verdict (error string)))
        (canon lift (core func $i "check") (memory $i "memory")))
    (instance $describe-api (export "describe" (func $describe)))
    (instance $gate-api (export "verdict" (type $verdict)) (export "check" (func $check)))
    (export "weir:hooks/describe-api@0.1.0" (instance $describe-api))
    (export "weir:hooks/gate-api@0.1.0" (instance $gate-api))"#;

/// Two nested components. One passes a string of `mib` MiB repeatedly to the other, which uses
/// UTF-16. All work happens in the engine's adapter between them.
pub(crate) fn passing_text(mib: u32) -> Bytes {
    let (bytes, pages) = (mib << 20, mib << 4);
    let twice = 2 * pages;
    let text = format!(
        r#"(component
            (component $taker
                (core module $m
                    (memory (export "memory") 1)
                    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                        (if (i32.eq (memory.size) (i32.const 1))
                            (then (drop (memory.grow (i32.const {twice})))))
                        (i32.const 0))
                    (func (export "take") (param i32 i32)))
                (core instance $i (instantiate $m))
                (func (export "take") (param "text" string)
                    (canon lift (core func $i "take") string-encoding=utf16
                        (memory $i "memory") (realloc (func $i "realloc")))))
            (component $giver
                (import "take" (func $take (param "text" string)))
                (core module $memory (memory (export "memory") 1)
                    (data (i32.const 16) "{{}}"))
                (core instance $memory (instantiate $memory))
                (core func $take (canon lower (func $take) (memory $memory "memory")))
                (core module $m
                    (import "" "memory" (memory 0))
                    (import "" "take" (func $take (param i32 i32)))
                    (func (export "check") (result i32)
                        (drop (memory.grow (i32.const {pages})))
                        (loop (call $take (i32.const 64) (i32.const {bytes})) (br 0))
                        (unreachable))
                    (func (export "describe") (result i32)
                        (i32.store (i32.const 0) (i32.const 16))
                        (i32.store (i32.const 4) (i32.const 2))
                        (i32.const 0)))
                (core instance $host
                    (export "memory" (memory $memory "memory")) (export "take" (func $take)))
                (core instance $main (instantiate $m (with "" (instance $host))))
                (core instance $i
                    (export "memory" (memory $memory "memory"))
                    (export "check" (func $main "check"))
                    (export "describe" (func $main "describe")))
                {EXPORTS})
            (instance $taker (instantiate $taker))
            (instance $giver (instantiate $giver (with "take" (func $taker "take"))))
            (export "weir:hooks/describe-api@0.1.0"
                (instance $giver "weir:hooks/describe-api@0.1.0"))
            (export "weir:hooks/gate-api@0.1.0" (instance $giver "weir:hooks/gate-api@0.1.0")))"#
    );
    wat::parse_str(text).unwrap().into()
}

/// Nested loops around local variables that live in all of them. For its few KB, this is the
/// slowest input for the compiler's register allocation.
pub(crate) fn nested_loops(loops: usize, locals: usize) -> Bytes {
    let mut body = String::new();
    for _ in 0..loops {
        body.push_str("(loop ");
    }
    for local in 0..locals {
        let next = (local + 1) % locals;
        body.push_str(&format!(
            "(local.set {local} (i32.add (local.get {local}) (local.get {next})))"
        ));
    }
    for _ in 0..loops {
        body.push_str("(br_if 0 (local.get 0)))");
    }
    let types = "i32 ".repeat(locals);
    module(&format!(
        r#"(memory (export "memory") 1)
        (func (export "describe") (result i32)
            (i32.store (i32.const 0) (i32.const 16))
            (i32.store (i32.const 4) (i32.const 2))
            (i32.const 0))
        (func (export "check") (result i32) (local {types}) {body} (i32.const 64))"#
    ))
}
