//! Measures a YAML document before it is decoded.
//!
//! An alias expands to its anchor's value, which may contain further aliases, so a kilobyte can
//! expand to gigabytes. This module expands aliases like the decoder, but keeps nothing and stops at
//! a limit.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess as _, Visitor,
};

/// Maximum number of values and keys, with aliases expanded.
const MAX_VALUES: usize = 10_000;
/// Maximum total size of the text of all values and keys, with aliases expanded.
const MAX_TEXT_BYTES: usize = 4 << 20;

/// Rejects a document that is too large after expanding aliases.
///
/// # Errors
/// Also returns the decoder's error if the text is not valid YAML.
pub(super) fn check(text: &str) -> Result<(), serde_yaml_ng::Error> {
    let mut size = Size::default();
    let document = serde_yaml_ng::Deserializer::from_str(text);
    Measure(&mut size).deserialize(document)
}

/// The size measured so far.
#[derive(Debug, Default)]
struct Size {
    values: usize,
    text_bytes: usize,
}

/// Adds the size of a value and of everything nested in it.
struct Measure<'a>(&'a mut Size);

impl Measure<'_> {
    fn add<E: serde::de::Error>(&mut self, text_bytes: usize) -> Result<(), E> {
        self.0.values += 1;
        self.0.text_bytes += text_bytes;
        if self.0.values > MAX_VALUES {
            return Err(E::custom(format!(
                "it has more than {MAX_VALUES} values, with aliases expanded"
            )));
        }
        if self.0.text_bytes > MAX_TEXT_BYTES {
            return Err(E::custom(format!(
                "it has more than {MAX_TEXT_BYTES} bytes of text, with aliases expanded"
            )));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Measure<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! add_scalar {
    ($($visit:ident: $kind:ty),*) => {
        $(fn $visit<E: serde::de::Error>(mut self, _: $kind) -> Result<(), E> {
            self.add(0)
        })*
    };
}

impl<'de> Visitor<'de> for Measure<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    add_scalar!(
        visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128, visit_f64: f64
    );

    fn visit_str<E: serde::de::Error>(mut self, text: &str) -> Result<(), E> {
        self.add(text.len())
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> Result<(), E> {
        self.add(0)
    }

    fn visit_none<E: serde::de::Error>(mut self) -> Result<(), E> {
        self.add(0)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.add(0)?;
        while items.next_element_seed(Measure(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        self.add(0)?;
        while entries.next_key_seed(Measure(self.0))?.is_some() {
            entries.next_value_seed(Measure(self.0))?;
        }
        Ok(())
    }

    /// A value with a custom tag.
    fn visit_enum<A: EnumAccess<'de>>(mut self, tagged: A) -> Result<(), A::Error> {
        self.add(0)?;
        let ((), value) = tagged.variant_seed(Measure(self.0))?;
        value.newtype_variant_seed(Measure(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_includes_expanded_aliases() {
        for fits in [
            "",
            "a: 1",
            "a: &a [x, 1, 1.5, true, ~]\nb: *a\n",
            "a: !tag {b: c}",
            "? [a, b]\n: 1",
        ] {
            check(fits).unwrap_or_else(|e| panic!("{fits}: {e}"));
        }
        let levels: String = (1..9)
            .map(|n| {
                format!(
                    "a{n}: &a{n} [{}]\n",
                    vec![format!("*a{}", n - 1); 10].join(", ")
                )
            })
            .collect();
        let texts = format!(
            "a: &a {}\nb: [{}]",
            "x".repeat(60_000),
            ["*a"; 100].join(", ")
        );
        for (large, reason) in [
            (format!("a0: &a0 [x]\n{levels}"), "values"),
            (texts, "bytes of text"),
            (format!("a: [{}]", "1,".repeat(MAX_VALUES)), "values"),
        ] {
            let error = check(&large).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
