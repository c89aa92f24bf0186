//! The rules of one engine: read from text, and held against a look.

use orx_protocol::activity::{AgentState, Source};
use regex::Regex;
use semver::{Version, VersionReq};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::condition::Condition;
use super::region::{Look, Region};

/// A limit is not believed to last longer than a month, in seconds.
const LASTS_MAX_S: u64 = 31 * 86_400;

/// A rule file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the screen rules of {engine}: {what}")]
pub struct RuleError {
    /// Whose rules.
    pub engine: String,
    /// What is wrong, with line and column where the text itself is.
    pub what: String,
}

/// One rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, unique in its file.
    pub name: String,
    /// What it concludes.
    pub state: AgentState,
    /// That in words, for a person.
    pub reason: String,
    /// How sure that is, in percent.
    pub confidence: u8,
    /// Of rules that match, the one with the highest counts; of equals the first.
    #[serde(default)]
    pub priority: i32,
    /// The engine's versions that it counts for; those of the file when absent.
    #[serde(default, deserialize_with = "versions")]
    pub versions: Option<VersionReq>,
    /// Where the screen says how long it lasts; only of limits.
    #[serde(default, deserialize_with = "lasting")]
    lasts: Option<Regex>,
    when: Condition,
}

/// The rules of an engine, highest priority first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The engine.
    pub engine: String,
    /// Versions of which recorded screens are held against these rules; none where they come from documentation.
    #[serde(deserialize_with = "tested")]
    pub tested: Vec<Version>,
    /// The engine's versions that its rules count for, where they do not say it themselves; all when absent.
    #[serde(default, deserialize_with = "versions")]
    pub versions: Option<VersionReq>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A rule that matched.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Which source that makes it a vote of.
    pub source: Source,
}

impl Rules {
    /// Reads the rules of `engine`.
    ///
    /// # Errors
    /// With line and column, when the text is not of the documented shape; when a name is used twice, a rule could match
    /// a blank screen, or is for another engine.
    pub fn parse(engine: &str, text: &str) -> Result<Self, RuleError> {
        let wrong = |what: String| RuleError { engine: engine.to_owned(), what };
        let options = serde_saphyr::options! { with_snippet: false };
        let mut rules: Self =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| wrong(error.to_string()))?;
        if rules.engine != engine {
            return Err(wrong(format!("they say that they are those of `{}`", rules.engine)));
        }
        for (index, rule) in rules.rules.iter().enumerate() {
            let named = |what: &str| wrong(format!("rule `{}`: {what}", rule.name));
            if rules.rules.iter().take(index).any(|other| other.name == rule.name) {
                return Err(named("there are two of that name"));
            }
            if rule.confidence == 0 || rule.confidence > 100 {
                return Err(named("`confidence` is 1 to 100"));
            }
            if matches!(rule.state, AgentState::Lost | AgentState::Unknown) {
                return Err(named("no screen shows that an agent is lost or unknown"));
            }
            if rule.lasts.is_some() && rule.state != AgentState::RateLimited {
                return Err(named("`lasts` is of limits alone: nothing else is known to end by itself"));
            }
            if rule.when.holds_of_nothing() {
                return Err(named("`when` holds of a blank screen too; name something that is to be seen"));
            }
        }
        if let Some(versions) = &rules.versions {
            for rule in rules.rules.iter_mut().filter(|rule| rule.versions.is_none()) {
                rule.versions = Some(versions.clone());
            }
        }
        rules.rules.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
        Ok(rules)
    }

    /// No rules: of a program of which nothing is known.
    #[must_use]
    pub fn none(engine: &str) -> Self {
        Self { engine: engine.to_owned(), tested: Vec::new(), versions: None, rules: Vec::new() }
    }

    /// The best match of each source. An unknown version is taken for the newest one of which there are recordings.
    #[must_use]
    pub fn matched(&self, version: Option<&Version>, look: &Look<'_>) -> Vec<Matched<'_>> {
        let version = version.or_else(|| self.tested.iter().max());
        let mut found: Vec<Matched<'_>> = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.is_for(version)) {
            let source = rule.source();
            if found.iter().all(|matched| matched.source != source) && rule.when.holds(look) {
                found.push(Matched { rule, source });
            }
        }
        found
    }
}

impl Rule {
    /// Whether it counts for a version; a rule for some versions does not where nothing is known of them.
    fn is_for(&self, version: Option<&Version>) -> bool {
        match (&self.versions, version) {
            // A preview looks as what it is a preview of.
            (Some(versions), Some(version)) => {
                versions.matches(&Version::new(version.major, version.minor, version.patch))
            }
            (None, _) => true,
            (Some(_), None) => false,
        }
    }

    /// Whose vote it is when it matches.
    #[must_use]
    pub fn source(&self) -> Source {
        if self.when.looks_only_at(Region::Title) {
            Source::Title
        } else if self.when.looks_only_at(Region::Notification) {
            Source::Notification
        } else {
            Source::Screen
        }
    }

    /// For how many seconds more it lasts, as the lowest row that says so tells.
    #[must_use]
    pub fn lasts_s(&self, look: &Look<'_>) -> Option<u64> {
        let pattern = self.lasts.as_ref()?;
        let found = look.rows.iter().rev().find_map(|row| pattern.captures(row))?;
        let count: u64 = found.get(1)?.as_str().parse().ok()?;
        let unit = match found.get(2).map_or("s", |unit| unit.as_str()) {
            unit if unit.starts_with(['h', 'H']) => 3600,
            unit if unit.starts_with(['m', 'M']) => 60,
            _ => 1,
        };
        count.checked_mul(unit).filter(|seconds| *seconds <= LASTS_MAX_S)
    }

    /// Whether it matches, whatever the version.
    #[must_use]
    pub fn matches(&self, look: &Look<'_>) -> bool {
        self.when.holds(look)
    }
}

fn lasting<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Regex>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match Regex::new(&text) {
        Ok(pattern) if (2..=3).contains(&pattern.captures_len()) => Ok(Some(pattern)),
        Ok(_) => {
            Err(D::Error::custom(format!("`{text}` must have a group for the number, and may have one for its unit")))
        }
        Err(error) => Err(D::Error::custom(format!("`{text}` is no regular expression: {error}"))),
    }
}

fn tested<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Version>, D::Error> {
    let wrong = |text: &str, error| D::Error::custom(format!("`{text}` is no version: {error}"));
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| Version::parse(text).map_err(|error| wrong(text, error))).collect()
}

fn versions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<VersionReq>, D::Error> {
    let text = String::deserialize(deserializer)?;
    VersionReq::parse(&text)
        .map(Some)
        .map_err(|error| D::Error::custom(format!("`{text}` is no range of versions: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "engine: x\ntested: ['1.0.0']\nrules:\n\
        - { name: idle, state: idle, reason: r, confidence: 80, when: { contains: '>' } }\n\
        - { name: ask, state: blocked, reason: r, confidence: 95, priority: 9, when: { contains: Allow } }\n\
        - { name: old, state: working, reason: r, confidence: 90, priority: 5, versions: '<1.2', when: { contains: '>' } }\n\
        - { name: busy, state: working, reason: r, confidence: 90, when: { in: title, contains: '*' } }\n";

    fn names(version: Option<&str>, title: &str, row: &str) -> Vec<String> {
        let rules = Rules::parse("x", TEXT).unwrap();
        let version = version.map(|version| Version::parse(version).unwrap());
        let rows = [row.to_owned()];
        let look = Look { title, notification: "", rows: &rows, cursor: None };
        rules.matched(version.as_ref(), &look).iter().map(|matched| matched.rule.name.clone()).collect()
    }

    #[test]
    fn the_highest_priority_of_each_source_counts_for_its_versions() {
        assert_eq!(names(Some("1.5.0"), "", "> Allow"), ["ask"]);
        assert_eq!(names(Some("1.5.0"), "* x", "> "), ["idle", "busy"]);
        assert_eq!(names(Some("1.1.0"), "", "> "), ["old"]);
        assert_eq!(names(Some("1.2.0-beta.3"), "", "> "), ["idle"]);
        assert_eq!(names(Some("1.1.9-rc.1"), "", "> "), ["old"]);
        assert_eq!(names(None, "", "something else"), Vec::<String>::new());
    }

    #[test]
    fn an_unknown_version_is_taken_for_the_newest_that_was_recorded() {
        let rows = ["> ".to_owned()];
        let look = Look { rows: &rows, ..Look::default() };
        for (tested, matched) in [("['1.0.0']", "old"), ("['1.0.0', '1.10.0', '1.9.0']", "idle"), ("[]", "idle")] {
            let rules = Rules::parse("x", &TEXT.replace("['1.0.0']", tested)).unwrap();
            let found = rules.matched(None, &look).into_iter().map(|found| found.rule.name.clone());
            assert_eq!(found.collect::<Vec<_>>(), [matched], "{tested}");
        }
    }

    #[test]
    fn a_file_s_versions_are_those_of_its_rules_that_name_none() {
        let text = TEXT.replace("rules:", "versions: '>=1, <2'\nrules:");
        let rules = Rules::parse("x", &text).unwrap();
        let rows = ["> Allow".to_owned()];
        let look = Look { rows: &rows, ..Look::default() };
        let names = |version: &str| {
            let version = Version::parse(version).unwrap();
            rules.matched(Some(&version), &look).iter().map(|found| found.rule.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names("1.5.0"), ["ask"]);
        assert_eq!(names("2.0.0"), Vec::<String>::new(), "another look says nothing");
        assert_eq!(names("0.9.0"), ["old"], "a rule's own range stands");
    }

    #[test]
    fn a_limit_lasts_as_long_as_the_lowest_row_says() {
        let rule = "- { name: limit, state: rate_limited, reason: r, confidence: 90, lasts: '(?i)again in (\\d+) ?(\\w)', when: { contains: again } }";
        let rules = Rules::parse("x", &format!("engine: x\ntested: []\nrules:\n{rule}\n")).unwrap();
        let lasts = |rows: &[&str]| {
            let rows: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
            rules.rules[0].lasts_s(&Look { rows: &rows, ..Look::default() })
        };
        assert_eq!(lasts(&["again in 9s", "Again in 6s · attempt 1/10", ""]), Some(6));
        assert_eq!(lasts(&["again in 5 minutes"]), Some(300));
        assert_eq!(lasts(&["again in 2h"]), Some(7200));
        assert_eq!(lasts(&["again soon"]), None);
        assert_eq!(lasts(&["again in 99999999999999999999 s", "x"]), None);
        assert_eq!(lasts(&["again in 9999999 h"]), None);
    }

    #[test]
    fn a_bad_file_is_refused_with_the_place() {
        let rule = |text: &str| format!("engine: x\ntested: []\nrules:\n  - {{ {text} }}\n");
        for (text, what) in [
            ("engine: x\nrules: []\n".to_owned(), "tested"),
            ("engine: x\ntested: []\nrules: []\nmore: 1\n".to_owned(), "line 4"),
            ("engine: y\ntested: []\nrules: []\n".to_owned(), "those of `y`"),
            (rule("name: a, state: idle, reason: r, confidence: 1, when: { contains: a }, colour: red"), "colour"),
            (rule("name: a, state: asleep, reason: r, confidence: 1, when: { contains: a }"), "asleep"),
            (rule("name: a, state: lost, reason: r, confidence: 1, when: { contains: a }"), "no screen shows"),
            (rule("name: a, state: idle, reason: r, confidence: 0, when: { contains: a }"), "1 to 100"),
            (rule("name: a, state: idle, reason: r, confidence: 9, when: { not: { contains: a } }"), "blank screen"),
            (rule("name: a, state: idle, reason: r, confidence: 9, when: { contains: a, regex: b }"), "line 4"),
            (rule("name: a, state: idle, reason: r, confidence: 9, versions: new, when: { contains: a }"), "range"),
            (
                rule("name: a, state: idle, reason: r, confidence: 9, lasts: '(a)', when: { contains: a }"),
                "of limits alone",
            ),
            (
                rule("name: a, state: rate_limited, reason: r, confidence: 9, lasts: 'a', when: { contains: a }"),
                "a group",
            ),
            ("engine: x\ntested: []\nversions: new\nrules: []\n".to_owned(), "line 3"),
            ("engine: x\ntested: [newest]\nrules: []\n".to_owned(), "line 2"),
        ] {
            let error = Rules::parse("x", &text).unwrap_err().to_string();
            assert!(error.contains(what), "{text}\n{error}");
        }
        let twice = format!("{TEXT}{}", TEXT.lines().last().unwrap_or_default());
        assert!(Rules::parse("x", &twice).unwrap_err().to_string().contains("two of that name"));
    }
}
