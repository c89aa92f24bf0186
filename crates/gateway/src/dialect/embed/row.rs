//! One vector of an answer, read into 32-bit numbers: as an array, as base64 of their bytes, or as Gemini's `{"values": […]}`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A vector.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row(pub(super) Vec<f32>);

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a vector of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Row, A::Error> {
        let mut numbers = Vec::with_capacity(sequence.size_hint().unwrap_or(0).min(65_536));
        while let Some(number) = sequence.next_element::<f64>()? {
            numbers.push(narrow(number).ok_or_else(|| A::Error::custom("a number of a vector does not fit"))?);
        }
        Ok(Row(numbers))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Row, E> {
        let bytes = STANDARD.decode(text).map_err(|error| E::custom(format!("a vector is no base64: {error}")))?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(E::custom("a vector's bytes are not whole numbers of four each"));
        }
        let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        match numbers.iter().all(|number| number.is_finite()) {
            true => Ok(Row(numbers)),
            false => Err(E::custom("a vector holds what is no number")),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "values" {
                found = Some(map.next_value::<Row>()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        found.ok_or_else(|| A::Error::missing_field("values"))
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RowVisitor)
    }
}

#[allow(clippy::cast_possible_truncation)] // Digits beyond those of a 32-bit number are no part of the vector.
fn narrow(number: f64) -> Option<f32> {
    let narrow = number as f32;
    narrow.is_finite().then_some(narrow)
}

/// The base64 of a vector's bytes.
pub(super) fn base64(numbers: &[f32]) -> String {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
