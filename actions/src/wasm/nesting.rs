//! Limits the nesting depth of a component before it is validated.
//!
//! The validator recurses into nested component types and into types that refer to other types, and
//! its time grows with the square of the nesting depth of components. A component of 3 KB could
//! overflow the stack, which would end the process. The walk in this file does not recurse and stops
//! at limits that are far above the needs of real hooks.

use wasmparser::{
    BinaryReader, ComponentAlias, ComponentDefinedType, ComponentExternName, ComponentImport,
    ComponentType, ComponentTypeRef, CoreType, Encoding, FromReader as _, Parser, Payload,
};

use crate::error::Malformed;

/// Maximum nesting depth of components and modules.
const MAX_COMPONENTS: usize = 16;
/// Maximum nesting depth of component and instance types.
const MAX_TYPES: usize = 16;
/// Maximum number of types that refer to other types. Each may refer to the previous one.
const MAX_COMPOUND_TYPES: usize = 2_000;

/// Rejects a component that nests deeper than the validator can handle. Input that is not a
/// component passes; the validator reports what is wrong with it.
pub(super) fn check(component: &[u8]) -> Result<(), Malformed> {
    let mut depth = 0_usize;
    let mut types = Types::default();
    for payload in Parser::new(0).parse_all(component) {
        let Ok(payload) = payload else {
            return Ok(());
        };
        match payload {
            Payload::Version {
                encoding: Encoding::Module | Encoding::Component,
                ..
            } => {
                depth += 1;
                if depth > MAX_COMPONENTS {
                    return Err(Malformed::new(format!(
                        "components are nested deeper than {MAX_COMPONENTS} levels"
                    )));
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentTypeSection(section) => {
                let bytes = component.get(section.range()).unwrap_or_default();
                let mut reader = BinaryReader::new(bytes, section.range().start);
                match types.read_section(&mut reader) {
                    Err(Stop::Malformed) => return Ok(()),
                    Err(Stop::LimitExceeded(reason)) => return Err(Malformed::new(reason)),
                    Ok(()) => {}
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Why the walk ends early.
enum Stop {
    /// Malformed input. The validator fails at the same bytes and does not recurse deeper before it
    /// reaches them.
    Malformed,
    LimitExceeded(String),
}

impl From<wasmparser::BinaryReaderError> for Stop {
    fn from(_: wasmparser::BinaryReaderError) -> Self {
        Self::Malformed
    }
}

/// The construct that a list of declarations belongs to.
#[derive(Debug, Clone, Copy)]
enum Owner {
    Section,
    Component,
    Instance,
}

/// The types of a component, over all its sections.
#[derive(Debug, Default)]
struct Types {
    compound: usize,
}

impl Types {
    fn read_section(&mut self, reader: &mut BinaryReader<'_>) -> Result<(), Stop> {
        // The open lists, outermost first, each with the number of remaining declarations.
        let mut open = vec![(Owner::Section, reader.read_var_u32()?)];
        while let Some((owner, left)) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            let is_type = match owner {
                Owner::Section => true,
                Owner::Component if peek(reader)? == 0x03 => {
                    reader.read_u8()?;
                    ComponentImport::from_reader(reader)?;
                    false
                }
                Owner::Component | Owner::Instance => read_declaration(reader)?,
            };
            if is_type && let Some(list) = self.read_type(reader)? {
                if open.len() > MAX_TYPES {
                    return Err(Stop::LimitExceeded(format!(
                        "types of components are nested deeper than {MAX_TYPES} levels"
                    )));
                }
                open.push(list);
            }
        }
        Ok(())
    }

    /// Reads a type, except for the declarations of a list that it opens.
    fn read_type(&mut self, reader: &mut BinaryReader<'_>) -> Result<Option<(Owner, u32)>, Stop> {
        let owner = match peek(reader)? {
            0x41 => Some(Owner::Component),
            0x42 => Some(Owner::Instance),
            _ => None,
        };
        let list = match owner {
            Some(owner) => {
                reader.read_u8()?;
                Some((owner, reader.read_var_u32()?))
            }
            None if is_simple(&ComponentType::from_reader(reader)?) => return Ok(None),
            None => None,
        };
        self.compound += 1;
        if self.compound > MAX_COMPOUND_TYPES {
            return Err(Stop::LimitExceeded(format!(
                "more than {MAX_COMPOUND_TYPES} types refer to other types"
            )));
        }
        Ok(list)
    }
}

/// Reports whether the type ends every chain of types. Functions refer to types, but no type in a
/// chain refers to a function. Handles refer only to resources.
fn is_simple(ty: &ComponentType<'_>) -> bool {
    matches!(
        ty,
        ComponentType::Func(_)
            | ComponentType::Resource { .. }
            | ComponentType::Defined(
                ComponentDefinedType::Primitive(_)
                    | ComponentDefinedType::Flags(_)
                    | ComponentDefinedType::Enum(_)
                    | ComponentDefinedType::Own(_)
                    | ComponentDefinedType::Borrow(_)
            )
    )
}

/// Reads a declaration. If it declares a type, reads only its tag byte and returns true.
fn read_declaration(reader: &mut BinaryReader<'_>) -> Result<bool, Stop> {
    match reader.read_u8()? {
        0x00 => {
            CoreType::from_reader(reader)?;
        }
        0x01 => return Ok(true),
        0x02 => {
            ComponentAlias::from_reader(reader)?;
        }
        0x04 => {
            ComponentExternName::from_reader(reader)?;
            ComponentTypeRef::from_reader(reader)?;
        }
        _ => return Err(Stop::Malformed),
    }
    Ok(false)
}

fn peek(reader: &BinaryReader<'_>) -> Result<u8, Stop> {
    Ok(reader.clone().read_u8()?)
}

#[cfg(test)]
mod tests {
    use super::super::check::check as check_component;
    use super::*;

    /// Length of a chain of lists that the validator accepts. With the innermost element, this is
    /// the validator's own limit of 100 types.
    const MAX_CHAIN: usize = 99;
    const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

    /// Encodes a number below 2^27 in LEB128, valid both as signed and as unsigned.
    fn number(n: usize) -> Vec<u8> {
        let byte = |at: u32| ((n >> (7 * at)) & 0x7f) as u8;
        vec![byte(0) | 0x80, byte(1) | 0x80, byte(2) | 0x80, byte(3)]
    }

    fn section(id: u8, body: &[u8]) -> Vec<u8> {
        [&[id][..], &number(body.len()), body].concat()
    }

    fn of(sections: &[Vec<u8>]) -> Vec<u8> {
        [HEADER, &sections.concat()].concat()
    }

    fn nested_types(depth: usize, kind: u8) -> Vec<u8> {
        let mut body = vec![1];
        for _ in 1..depth {
            body.extend([kind, 1, 1]);
        }
        body.extend([kind, 0]);
        of(&[section(7, &body)])
    }

    fn nested_components(depth: usize) -> Vec<u8> {
        (1..depth).fold(HEADER.to_vec(), |inner, _| of(&[section(4, &inner)]))
    }

    /// Chained list types, and an import of a function that takes the last type.
    fn chained_types(length: usize) -> Vec<u8> {
        chains_of_types(length, length)
    }

    /// The same, but split into chains of `depth` types. The first list of each chain contains no
    /// list.
    fn chains_of_types(length: usize, depth: usize) -> Vec<u8> {
        let mut body = number(length + 1);
        for n in 0..length {
            // The last chain is complete.
            if n == 0 || (length - n).is_multiple_of(depth) {
                body.extend([0x70, 0x7d]);
            } else {
                body.push(0x70);
                body.extend(number(n - 1));
            }
        }
        body.extend([0x40, 1, 1, b'a']);
        body.extend(number(length - 1));
        body.extend([1, 0]);
        let mut import = vec![1, 0, 1, b'f', 1];
        import.extend(number(length));
        of(&[section(7, &body), section(10, &import)])
    }

    /// Regression test: each of these overflowed the validator's stack, or took quadratic time.
    #[test]
    fn deeply_nested_components_are_rejected_before_validation() {
        base::testing::on_small_stack(|| {
            for (component, reason) in [
                (
                    nested_types(MAX_TYPES + 2, 0x41),
                    "types of components are nested deeper",
                ),
                (
                    nested_types(1_000, 0x41),
                    "types of components are nested deeper",
                ),
                (
                    nested_types(1_000_000, 0x41),
                    "types of components are nested deeper",
                ),
                (
                    nested_types(1_000_000, 0x42),
                    "types of components are nested deeper",
                ),
                (
                    nested_components(MAX_COMPONENTS + 1),
                    "components are nested deeper",
                ),
                (nested_components(3_000), "components are nested deeper"),
                (
                    chained_types(MAX_COMPOUND_TYPES + 1),
                    "types refer to other types",
                ),
                (chained_types(300_000), "types refer to other types"),
            ] {
                let message = check_component(&component).expect_err("too deep").message;
                assert!(message.contains(reason), "{message}");
            }
        });
    }

    #[test]
    fn deepest_accepted_components_do_not_overflow_a_small_stack() {
        base::testing::on_small_stack(|| {
            for component in [
                nested_types(MAX_TYPES, 0x41),
                nested_types(MAX_TYPES, 0x42),
                nested_components(MAX_COMPONENTS),
                chains_of_types(MAX_COMPOUND_TYPES, MAX_CHAIN),
            ] {
                check(&component).expect("within the limits");
                // They are valid components, but have no exports, or imports that do not exist.
                let failure = check_component(&component).expect_err("no hook");
                assert_eq!(
                    failure.cause,
                    crate::wasm::report::Cause::ComponentAbi,
                    "{}",
                    failure.message
                );
            }
            // The validator's own limit: it accepts no deeper chain.
            for depth in [MAX_CHAIN + 1, MAX_COMPOUND_TYPES] {
                let deeper = chains_of_types(MAX_COMPOUND_TYPES, depth);
                check(&deeper).expect("within the limits");
                let failure = check_component(&deeper).expect_err("too deep");
                assert_eq!(
                    failure.cause,
                    crate::wasm::report::Cause::ComponentInvalid,
                    "{}",
                    failure.message
                );
            }
        });
    }

    #[test]
    fn real_hooks_are_far_below_the_limits() {
        let hook = include_bytes!("../../tests/fixtures/test_object_gate.wasm");
        let mut types = Types::default();
        for payload in Parser::new(0).parse_all(hook) {
            if let Payload::ComponentTypeSection(section) = payload.unwrap() {
                let bytes = &hook[section.range()];
                let mut reader = BinaryReader::new(bytes, 0);
                assert!(types.read_section(&mut reader).is_ok());
                assert!(reader.eof(), "the walk does not know every form of a type");
            }
        }
        assert!(
            (10..MAX_COMPOUND_TYPES / 4).contains(&types.compound),
            "{}",
            types.compound
        );
    }

    #[test]
    fn truncated_components_are_left_to_the_validator() {
        let whole = chained_types(20);
        for len in 0..whole.len() {
            check(&whole[..len]).expect("the validator rejects it later");
        }
    }
}
