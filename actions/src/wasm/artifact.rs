//! Encoding of compiled components, for the compiler process and for the disk cache.
//!
//! Loaded machine code runs without further checks. This is the only module that loads it. Callers
//! pass only bytes that this server's compiler has just produced, or bytes whose tag on disk proves
//! that it produced them.

use wasmtime::Engine;
use wasmtime::component::Component;

use super::check::World;
use super::engine::Interruption;
use super::report::{Cause, Failure};

/// A validated and compiled component.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Artifact {
    pub(super) world: World,
    pub(super) interruption: Interruption,
    /// Machine code for the engine with this kind of interruption.
    pub(super) code: Vec<u8>,
}

const HEADER_BYTES: usize = 2;

impl Artifact {
    /// Encodes the artifact: world, interruption, code.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.code.len());
        bytes.push(match self.world {
            World::Gate => 0,
            World::ObjectGate => 1,
        });
        bytes.push(match self.interruption {
            Interruption::Fuel => 0,
            Interruption::FuelAndEpochs => 1,
        });
        bytes.extend_from_slice(&self.code);
        bytes
    }

    /// Decodes an artifact. Returns `None` for malformed input.
    pub(super) fn decode(mut bytes: Vec<u8>) -> Option<Self> {
        let world = match bytes.first()? {
            0 => World::Gate,
            1 => World::ObjectGate,
            _ => return None,
        };
        let interruption = match bytes.get(1)? {
            0 => Interruption::Fuel,
            1 => Interruption::FuelAndEpochs,
            _ => return None,
        };
        bytes.drain(..HEADER_BYTES);
        Some(Self {
            world,
            interruption,
            code: bytes,
        })
    }
}

/// Loads code that this server's compiler produced.
pub(super) fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    #[expect(unsafe_code, reason = "the only way to load compiled code")]
    // SAFETY: callers pass code that an engine with this configuration compiled. It comes either
    // through the pipe of our own compiler process, or from a file whose tag has been verified.
    unsafe {
        Component::deserialize(engine, code)
    }
}

/// Result of a compilation.
pub(super) type Compiled = Result<Artifact, Failure>;

/// Encodes the response of the compiler process: one tag byte, then either the artifact, or a cause
/// and a message.
pub(super) fn encode_answer(answer: &Compiled) -> Vec<u8> {
    match answer {
        Ok(artifact) => [&[0][..], &artifact.encode()].concat(),
        Err(failure) => {
            let cause = u8::from(failure.cause == Cause::ComponentAbi);
            [&[1, cause][..], failure.message.as_bytes()].concat()
        }
    }
}

/// Decodes a response. Returns `None` if it is incomplete or malformed.
pub(super) fn decode_answer(mut bytes: Vec<u8>) -> Option<Compiled> {
    match bytes.first()? {
        0 => {
            bytes.remove(0);
            Artifact::decode(bytes).map(Ok)
        }
        1 => {
            let cause = match bytes.get(1)? {
                0 => Cause::ComponentInvalid,
                1 => Cause::ComponentAbi,
                _ => return None,
            };
            let message = String::from_utf8_lossy(&bytes[2..]).into_owned();
            Some(Err(Failure::new(cause, message)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_round_trip() {
        let artifact = |world, interruption| {
            Ok(Artifact {
                world,
                interruption,
                code: vec![1, 2, 3],
            })
        };
        for answer in [
            artifact(World::Gate, Interruption::FuelAndEpochs),
            artifact(World::ObjectGate, Interruption::Fuel),
            Err(Failure::new(Cause::ComponentAbi, "no")),
            Err(Failure::new(Cause::ComponentInvalid, "")),
        ] {
            assert_eq!(decode_answer(encode_answer(&answer)), Some(answer));
        }
        for cut in [&[][..], &[0], &[0, 0], &[0, 2, 0], &[1], &[1, 7], &[9]] {
            assert_eq!(decode_answer(cut.to_vec()), None, "{cut:?}");
        }
    }
}
