//! Conditions of a rule: texts and patterns in regions, and how they are joined.

use regex::Regex;
use serde::Deserialize;
use serde::de::Error as _;

use super::region::{Look, Region};

/// A condition.
#[derive(Debug)]
pub(super) enum Condition {
    /// One row of the region contains the text.
    Contains(Region, String),
    /// One row of the region matches the pattern.
    Regex(Region, Regex),
    /// All hold.
    All(Vec<Condition>),
    /// One holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
}

impl Condition {
    /// Whether it holds.
    pub(super) fn holds(&self, look: &Look<'_>) -> bool {
        match self {
            Self::Contains(region, text) => region.rows(look).iter().any(|row| row.contains(text.as_str())),
            Self::Regex(region, pattern) => region.rows(look).iter().any(|row| pattern.is_match(row)),
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(look)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(look)),
            Self::Not(condition) => !condition.holds(look),
        }
    }

    /// Whether every region that it looks at is this one.
    pub(super) fn looks_only_at(&self, wanted: Region) -> bool {
        match self {
            Self::Contains(region, _) | Self::Regex(region, _) => *region == wanted,
            Self::All(conditions) | Self::Any(conditions) => {
                conditions.iter().all(|condition| condition.looks_only_at(wanted))
            }
            Self::Not(condition) => condition.looks_only_at(wanted),
        }
    }

    /// Whether it can hold on an empty look, as a condition of nothing but denials does.
    pub(super) fn holds_of_nothing(&self) -> bool {
        self.holds(&Look::default())
    }
}

/// A condition as it is written: a region, and exactly one thing to look for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, rename = "in")]
    region: Option<Region>,
    #[serde(default)]
    contains: Option<String>,
    #[serde(default)]
    regex: Option<String>,
    #[serde(default)]
    all: Option<Vec<Written>>,
    #[serde(default)]
    any: Option<Vec<Written>>,
    #[serde(default)]
    not: Option<Box<Written>>,
}

impl Written {
    /// The condition; a region counts for what lies within, unless that names its own.
    fn condition(self, outer: Region) -> Result<Condition, String> {
        let region = self.region.unwrap_or(outer);
        let joined = |list: Vec<Self>, how: &str| {
            if list.is_empty() {
                return Err(format!("`{how}` names no condition"));
            }
            list.into_iter().map(|written| written.condition(region)).collect::<Result<Vec<_>, _>>()
        };
        match (self.contains, self.regex, self.all, self.any, self.not) {
            (Some(text), None, None, None, None) if text.is_empty() => {
                Err("`contains` is empty, and every row contains that".to_owned())
            }
            (Some(text), None, None, None, None) => Ok(Condition::Contains(region, text)),
            (None, Some(pattern), None, None, None) => Regex::new(&pattern)
                .map(|pattern| Condition::Regex(region, pattern))
                .map_err(|error| format!("`{pattern}` is no regular expression: {error}")),
            (None, None, Some(list), None, None) => joined(list, "all").map(Condition::All),
            (None, None, None, Some(list), None) => joined(list, "any").map(Condition::Any),
            (None, None, None, None, Some(one)) => Ok(Condition::Not(Box::new(one.condition(region)?))),
            _ => Err("a condition has exactly one of `contains`, `regex`, `all`, `any`, `not`".to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written::deserialize(deserializer)?.condition(Region::default()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(yaml: &str) -> Result<Condition, String> {
        serde_saphyr::from_str(yaml).map_err(|error| error.to_string())
    }

    #[test]
    fn conditions_hold_as_they_say() {
        let rows = ["one", "", "two  ", "three"].map(str::to_owned);
        let look = Look { title: "⠋ busy", notification: "", rows: &rows, cursor: None };
        for (yaml, holds) in [
            ("{ contains: wo }", true),
            ("{ contains: 'one two' }", false),
            ("{ regex: '^two$' }", true),
            ("{ in: last 1, contains: two }", false),
            ("{ in: title, regex: '^[⠀-⣿]' }", true),
            ("{ all: [{ contains: one }, { in: title, contains: busy }] }", true),
            ("{ in: title, any: [{ contains: one }, { in: screen, contains: four }] }", false),
            ("{ not: { contains: four } }", true),
        ] {
            assert_eq!(condition(yaml).unwrap().holds(&look), holds, "{yaml}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for (yaml, why) in [
            ("{}", "exactly one of"),
            ("{ contains: a, regex: b }", "exactly one of"),
            ("{ contains: '' }", "every row"),
            ("{ regex: '(' }", "no regular expression"),
            ("{ all: [] }", "names no condition"),
            ("{ in: nowhere, contains: a }", "no region"),
            ("{ containing: a }", "containing"),
        ] {
            let error = condition(yaml).unwrap_err();
            assert!(error.contains(why), "{yaml}: {error}");
        }
    }
}
