//! A compiled component as bytes: what a compiler hands over and what is kept on disk.
//!
//! Machine code is run as it is. Bytes become a component here only, and only if this server's
//! compiler has just made them or their tag on disk says that it once did.

use wasmtime::Engine;
use wasmtime::component::Component;

use super::check::World;
use super::engine::Lane;
use super::{Cause, Failure};

/// A component that was checked and compiled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Artifact {
    pub(super) world: World,
    pub(super) lane: Lane,
    /// For an engine of this lane.
    pub(super) code: Vec<u8>,
}

const HEADER_BYTES: usize = 2;

impl Artifact {
    /// World, lane, code.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.code.len());
        bytes.push(match self.world {
            World::Gate => 0,
            World::ObjectGate => 1,
        });
        bytes.push(match self.lane {
            Lane::Plain => 0,
            Lane::Composed => 1,
        });
        bytes.extend_from_slice(&self.code);
        bytes
    }

    /// None if nobody could have encoded these.
    pub(super) fn decode(mut bytes: Vec<u8>) -> Option<Self> {
        let world = match bytes.first()? {
            0 => World::Gate,
            1 => World::ObjectGate,
            _ => return None,
        };
        let lane = match bytes.get(1)? {
            0 => Lane::Plain,
            1 => Lane::Composed,
            _ => return None,
        };
        bytes.drain(..HEADER_BYTES);
        Some(Self {
            world,
            lane,
            code: bytes,
        })
    }
}

/// Loads code that this server's compiler made.
pub(super) fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    #[expect(unsafe_code, reason = "the only way to load compiled code")]
    // SAFETY: callers hand over what an engine with this very configuration compiled: it came
    // through the pipe of our own compiler, or from a file whose tag has been verified.
    unsafe {
        Component::deserialize(engine, code)
    }
}

/// What a compiler answers: an artifact, or why there is none.
pub(super) type Compiled = Result<Artifact, Failure>;

/// As a child process answers: one byte that tells which, then the artifact, or a cause and a message.
pub(super) fn encode_answer(answer: &Compiled) -> Vec<u8> {
    match answer {
        Ok(artifact) => [&[0][..], &artifact.encode()].concat(),
        Err(failure) => {
            let cause = u8::from(failure.cause == Cause::ComponentAbi);
            [&[1, cause][..], failure.message.as_bytes()].concat()
        }
    }
}

/// None if the answer is not whole.
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
    fn answers_are_read_as_they_were_written() {
        let artifact = |world, lane| {
            Ok(Artifact {
                world,
                lane,
                code: vec![1, 2, 3],
            })
        };
        for answer in [
            artifact(World::Gate, Lane::Composed),
            artifact(World::ObjectGate, Lane::Plain),
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
