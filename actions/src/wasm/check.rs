//! Checks a component before it is compiled: whether it is a component, which world it implements,
//! and whether this server provides its imports. The messages are written for the author of the
//! hook, who would otherwise see linker errors.

use wasmparser::{CanonicalFunction, Encoding, Parser, Payload, Validator};

use super::engine::{Interruption, features};
use super::limits::{COMPONENT_BYTES, size};
use super::report::{Cause, Failure};
use super::{nesting, outside};

/// The world that a component implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    Gate,
    ObjectGate,
}

/// Version of `weir:hooks` that this server implements.
pub(super) const VERSION: &str = "0.1.0";

const BUILD: &str = "build for wasm32-wasip2";
const PACKAGE: &str = "weir:hooks/";

/// Checks size and magic number without parsing the component.
pub(super) fn check_header(component: &[u8]) -> Result<(), Failure> {
    if component.len() > COMPONENT_BYTES {
        let (is, limit) = (component.len(), size(COMPONENT_BYTES as u64));
        return Err(invalid(format!(
            "component has {is} bytes; the limit is {limit}"
        )));
    }
    match component.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 0, 0]) => Err(invalid(format!(
            "this is a core WebAssembly module, not a component: {BUILD}"
        ))),
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(()),
        _ => Err(invalid(format!(
            "this is not a WebAssembly component: {BUILD}"
        ))),
    }
}

/// Validates a component and returns its world and how its code must be interrupted.
pub(super) fn check(component: &[u8]) -> Result<(World, Interruption), Failure> {
    check_header(component)?;
    nesting::check(component).map_err(|e| invalid(e.to_string()))?;
    Validator::new_with_features(features())
        .validate_all(component)
        .map_err(|e| invalid(format!("component is not valid: {e}")))?;
    let Outline {
        imports,
        exports,
        interruption,
    } = outline(component).map_err(|e| invalid(format!("component is not valid: {e}")))?;
    for name in imports.iter().chain(&exports) {
        check_version(name)?;
    }
    for name in &imports {
        check_import(name)?;
    }
    Ok((world(&exports)?, interruption))
}

fn invalid(message: String) -> Failure {
    Failure::new(Cause::ComponentInvalid, message)
}

/// Properties of a component that can be read without compiling it.
struct Outline {
    /// Imports of the component itself, without those of nested components.
    imports: Vec<String>,
    exports: Vec<String>,
    interruption: Interruption,
}

/// Reads the outline of a component. Its code is interrupted by fuel and epochs if a nested component lifts or
/// lowers functions.
///
/// Components call each other through the engine's adapters. Caller and callee are then different
/// components, because a call within one component traps, so at least one of them is nested. Nested
/// components that toolchains generate around exported interfaces only re-export functions.
fn outline(component: &[u8]) -> wasmparser::Result<Outline> {
    let mut outline = Outline {
        imports: Vec::new(),
        exports: Vec::new(),
        interruption: Interruption::Fuel,
    };
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::Version {
                encoding: Encoding::Module | Encoding::Component,
                ..
            } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    outline.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    outline.exports.push(export?.name.name.to_owned());
                }
            }
            Payload::ComponentCanonicalSection(section) if depth > 1 => {
                for function in section {
                    if matches!(
                        function?,
                        CanonicalFunction::Lift { .. } | CanonicalFunction::Lower { .. }
                    ) {
                        outline.interruption = Interruption::FuelAndEpochs;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(outline)
}

/// Accepts any 0.1 version, for example `weir:hooks/tree@0.1.3`. The linker checks the details.
fn check_version(name: &str) -> Result<(), Failure> {
    let Some(version) = name
        .strip_prefix(PACKAGE)
        .and_then(|n| n.split_once('@'))
        .map(|(_, v)| v)
    else {
        return Ok(());
    };
    let minor = |v: &str| {
        v.splitn(3, '.')
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    if minor(version) == minor(VERSION) {
        return Ok(());
    }
    Err(Failure::new(
        Cause::ComponentAbi,
        format!("component requires weir:hooks {version}, but this server has {VERSION}"),
    ))
}

fn check_import(name: &str) -> Result<(), Failure> {
    const WASI: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];
    let package = name.strip_prefix("wasi:").and_then(|n| n.split('/').next());
    if name.starts_with(PACKAGE) || package.is_some_and(|p| WASI.contains(&p)) {
        return Ok(());
    }
    Err(Failure::new(
        Cause::ComponentAbi,
        format!(
            "component imports {name}, which this server does not provide to hooks: {}",
            outside::NOTE
        ),
    ))
}

fn world(exports: &[String]) -> Result<World, Failure> {
    let has = |interface: &str| {
        exports.iter().any(|e| {
            e.strip_prefix(PACKAGE)
                .is_some_and(|n| n.split('@').next() == Some(interface))
        })
    };
    let abi = |message: &str| Err(Failure::new(Cause::ComponentAbi, message));
    match (has("describe-api"), has("gate-api"), has("object-gate-api")) {
        (true, true, false) => Ok(World::Gate),
        (true, false, true) => Ok(World::ObjectGate),
        (_, true, true) => abi(
            "component exports gate-api and object-gate-api: build it for one world of weir:hooks",
        ),
        (false, true, _) | (false, _, true) => {
            abi("component does not export weir:hooks/describe-api")
        }
        (_, false, false) => abi(
            "component exports neither weir:hooks/gate-api nor object-gate-api: build it for the world gate or object-gate",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(component: &[u8]) -> (Cause, String) {
        let failure = check(component).expect_err("refused");
        (failure.cause, failure.message)
    }

    #[test]
    fn non_components_are_rejected_with_a_build_hint() {
        let not = (
            Cause::ComponentInvalid,
            "this is not a WebAssembly component: build for wasm32-wasip2".to_owned(),
        );
        for garbage in [
            &b""[..],
            b"\0asm",
            b"#!/bin/sh\necho pass\n",
            b"\x7fELF\x02\x01\x01\0\0\0",
        ] {
            assert_eq!(refusal(garbage), not);
        }
        let core = (
            Cause::ComponentInvalid,
            "this is a core WebAssembly module, not a component: build for wasm32-wasip2"
                .to_owned(),
        );
        assert_eq!(refusal(b"\0asm\x01\0\0\0"), core);
        assert_eq!(
            refusal(b"\0asm\x0d\0\x01\0").0,
            Cause::ComponentAbi,
            "an empty component has no exports"
        );
        let (cause, message) = refusal(b"\0asm\x0d\0\x01\0\x01\xff\xff\xff\xff\x0fjunk");
        assert!(
            cause == Cause::ComponentInvalid && message.starts_with("component is not valid: "),
            "{message}"
        );
    }

    /// Toolchains nest components to give exports their types. Those are not compositions.
    #[test]
    fn only_composed_components_are_interrupted_by_epochs() {
        let interruption = |component: &[u8]| check(component).expect("a good component").1;
        let gate = include_bytes!("../../tests/fixtures/test_gate.wasm");
        let object_gate = include_bytes!("../../tests/fixtures/test_object_gate.wasm");
        let composed = include_bytes!("../../tests/fixtures/nested_text.wasm");
        assert_eq!(interruption(gate), Interruption::Fuel);
        assert_eq!(interruption(object_gate), Interruption::Fuel);
        assert_eq!(interruption(composed), Interruption::FuelAndEpochs);
    }

    #[test]
    fn versions_match_by_minor_number() {
        assert_eq!(check_version("weir:hooks/tree@0.1.9"), Ok(()));
        assert_eq!(check_version("wasi:io/streams@0.2.6"), Ok(()));
        let wrong = check_version("weir:hooks/tree@0.3.0").expect_err("too new");
        assert_eq!(
            (wrong.cause, wrong.message.as_str()),
            (
                Cause::ComponentAbi,
                "component requires weir:hooks 0.3.0, but this server has 0.1.0"
            )
        );
        check_version("weir:hooks/tree@0.10.0").expect_err("0.10 is not 0.1");
    }

    #[test]
    fn unsupported_imports_are_named() {
        assert_eq!(check_import("wasi:clocks/wall-clock@0.2.6"), Ok(()));
        let message = check_import("wasi:http/outgoing-handler@0.2.0")
            .expect_err("no network")
            .message;
        assert_eq!(
            message,
            "component imports wasi:http/outgoing-handler@0.2.0, which this server does not provide to hooks: hooks have no files and no network"
        );
    }

    #[test]
    fn exports_determine_the_world() {
        let of = |e: &[&str]| {
            world(
                &e.iter()
                    .map(|e| format!("weir:hooks/{e}@0.1.0"))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(of(&["describe-api", "gate-api"]), Ok(World::Gate));
        assert_eq!(
            of(&["describe-api", "object-gate-api"]),
            Ok(World::ObjectGate)
        );
        for bad in [
            &["describe-api"][..],
            &["gate-api"],
            &["describe-api", "gate-api", "object-gate-api"],
        ] {
            assert_eq!(of(bad).expect_err("no world").cause, Cause::ComponentAbi);
        }
    }
}
