//! Members of `orx.yaml` with limits of their own: what is out of bounds is refused where it stands.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Gate, GateKind, StageKey};

/// Longest time of a stage or gate, in seconds.
const DAY: u64 = 86_400;

/// Whether a member was given, without its value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Presence(pub bool);

impl Presence {
    pub(super) const fn is_absent(&self) -> bool {
        !self.0
    }
}

impl<'de> Deserialize<'de> for Presence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|IgnoredAny| Self(true))
    }
}

impl Serialize for Presence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[not kept]")
    }
}

fn bounded<'de, D: Deserializer<'de>>(deserializer: D, least: u64, most: u64) -> Result<u64, D::Error> {
    let number = i64::deserialize(deserializer)?;
    match u64::try_from(number) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(D::Error::custom(format!("{number} is out of bounds: it must be {least} to {most}"))),
    }
}

fn small<'de, D: Deserializer<'de>>(deserializer: D, least: u32, most: u32) -> Result<u32, D::Error> {
    let number = bounded(deserializer, u64::from(least), u64::from(most))?;
    u32::try_from(number).map_err(D::Error::custom)
}

pub(super) fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    bounded(deserializer, 30, DAY)
}

pub(super) fn gate_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    bounded(deserializer, 1, DAY).map(Some)
}

pub(super) fn files<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    bounded(deserializer, 1, 100_000)
}

pub(super) fn changed_lines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    bounded(deserializer, 10, 1_000_000)
}

pub(super) fn attempts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    small(deserializer, 1, 10)
}

pub(super) fn retries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    small(deserializer, 1, 5)
}

pub(super) fn targets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    small(deserializer, 1, 50)
}

pub(super) fn items<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    small(deserializer, 1, 50)
}

/// A stage's time limit.
struct Timeout(u64);

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bounded(deserializer, 30, DAY).map(Self)
    }
}

pub(super) fn timeouts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<StageKey, u64>, D::Error> {
    let limits: BTreeMap<StageKey, Timeout> = unique_map(deserializer)?;
    Ok(limits.into_iter().map(|(stage, Timeout(seconds))| (stage, seconds)).collect())
}

/// `1.0` is a number to YAML and a text to S3.
pub(super) fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Version {
        Text(String),
        Number(f64),
    }
    let text = match Version::deserialize(deserializer)? {
        Version::Text(text) => text,
        Version::Number(number) => format!("{number:?}"),
    };
    if text == "1" || text.starts_with("1.") {
        Ok(text)
    } else {
        Err(D::Error::custom(format!("version `{text}` is not known: there is `1.0`")))
    }
}

/// A map whose keys have aliases: the same key under two names is refused.
pub(super) fn unique_map<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + fmt::Display,
    V: Deserialize<'de>,
{
    struct Unique<K, V>(PhantomData<(K, V)>);

    impl<'de, K: Deserialize<'de> + Ord + fmt::Display, V: Deserialize<'de>> Visitor<'de> for Unique<K, V> {
        type Value = BTreeMap<K, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a mapping")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some(key) = access.next_key::<K>()? {
                if map.contains_key(&key) {
                    return Err(A::Error::custom(format!("`{key}` is given twice, once under another name")));
                }
                map.insert(key, access.next_value()?);
            }
            Ok(map)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }
    }

    deserializer.deserialize_map(Unique(PhantomData))
}

/// Gates with unique names, each with a command where it needs one.
pub(super) fn gates<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Gate>>, D::Error> {
    struct Gates;

    impl<'de> Visitor<'de> for Gates {
        type Value = Option<Vec<Gate>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sequence of gates")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut gates: Vec<Gate> = Vec::new();
            while let Some(gate) = access.next_element::<Gate>()? {
                check(&gate, &gates).map_err(A::Error::custom)?;
                gates.push(gate);
            }
            Ok(Some(gates))
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_seq(self)
        }
    }

    deserializer.deserialize_option(Gates)
}

fn check(gate: &Gate, before: &[Gate]) -> Result<(), String> {
    let name = &gate.name;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | ' ');
    if name.trim().is_empty() || name.len() > 64 || !name.chars().all(plain) || name.starts_with('.') {
        return Err(format!(
            "a gate's name has 1 to 64 letters, digits, spaces and `-_.:`, and does not begin with a dot; `{name}` is none"
        ));
    }
    if before.iter().any(|other| other.name == *name) {
        return Err(format!("two gates are named `{name}`: names must be unique"));
    }
    if gate.kind() == GateKind::Generic && gate.command.trim().is_empty() {
        return Err(format!("the gate `{name}` needs a `command`; only ruff, pytest and docker know theirs"));
    }
    crate::gates::words(&gate.command).map(|_| ()).map_err(|error| format!("the command of gate `{name}`: {error}"))
}

impl Gate {
    /// Its sort: as said, else by its name.
    #[must_use]
    pub fn kind(&self) -> GateKind {
        self.kind.unwrap_or(match self.name.as_str() {
            "ruff" => GateKind::Ruff,
            "pytest" => GateKind::Pytest,
            "docker" => GateKind::Docker,
            _ => GateKind::Generic,
        })
    }
}
