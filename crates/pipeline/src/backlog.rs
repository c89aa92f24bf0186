//! The backlog in an engine's answer: YAML or JSON, in a fence, bare, or amid prose.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BacklogItem {
    /// `W001`, ...
    pub id: String,
    /// A line.
    pub title: String,
    /// What is to be reached.
    #[serde(default)]
    pub objective: String,
    /// How it is seen that it is reached; at least one.
    pub acceptance: Vec<String>,
    /// Files that are likely to change.
    #[serde(default)]
    pub files_hint: Vec<String>,
    /// Items that come before.
    #[serde(default)]
    pub depends_on: Vec<String>,
}

/// Why an answer is no backlog. The text is evidence for the engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadBacklog(pub String);

/// Longest title, in characters.
const TITLE: usize = 120;
/// Most items that are looked at.
const ITEMS: usize = 100;

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn many(self) -> Vec<String> {
        let texts = match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        };
        texts.into_iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect()
    }
}

#[derive(Deserialize)]
struct RawItem {
    id: String,
    title: String,
    #[serde(default)]
    objective: Option<String>,
    #[serde(default)]
    acceptance: Option<OneOrMany>,
    #[serde(default)]
    files_hint: Option<OneOrMany>,
    #[serde(default)]
    depends_on: Option<OneOrMany>,
}

#[derive(Deserialize)]
struct Wrapped {
    items: Vec<RawItem>,
}

/// Reads the backlog in an answer, checks it and puts it into an order in which dependencies come first. More than
/// `most` items are merged into the last, or refused.
///
/// # Errors
/// [`BadBacklog`] with what is wrong.
pub fn read(answer: &str, most: usize, coalesce: bool) -> Result<Vec<BacklogItem>, BadBacklog> {
    let mut first_error = None;
    for candidate in candidates(answer) {
        match parse(candidate) {
            Ok(raw) => return finish(raw, most, coalesce),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    let why = first_error.map(|error| format!(" ({error})")).unwrap_or_default();
    Err(BadBacklog(format!("the answer holds no backlog: YAML with a list `items` is wanted{why}")))
}

fn finish(raw: Vec<RawItem>, most: usize, coalesce: bool) -> Result<Vec<BacklogItem>, BadBacklog> {
    let items = ordered(checked(raw)?)?;
    if items.len() <= most {
        return Ok(items);
    }
    if coalesce {
        return Ok(merged(items, most));
    }
    Err(BadBacklog(format!("the backlog has {} items and {most} are allowed: merge some", items.len())))
}

/// The parts of an answer that may be the backlog, likeliest first.
fn candidates(answer: &str) -> Vec<&str> {
    let mut fenced = Vec::new();
    let mut rest = answer;
    while let Some((_, after)) = rest.split_once("```") {
        let Some((_, body)) = after.split_once('\n') else { break };
        let Some((body, behind)) = body.split_once("\n```").or_else(|| body.split_once("```")) else {
            fenced.push(body);
            break;
        };
        fenced.push(body);
        rest = behind;
    }
    // The last fence is the answer where several are shown.
    fenced.reverse();
    let starts = ["items:", "- id:", "{", "[", "run_id:"];
    let mut offset = 0;
    let mut bare = Vec::new();
    for line in answer.split_inclusive('\n') {
        let trimmed = line.trim_start();
        if starts.iter().any(|start| trimmed.starts_with(start)) {
            bare.extend(answer.get(offset..).and_then(|part| part.get(line.len() - trimmed.len()..)));
            bare.extend(answer.get(offset..).map(until_prose));
        }
        offset += line.len();
    }
    fenced.into_iter().chain([answer]).chain(bare.into_iter().take(32)).collect()
}

/// The part of a text before its first line that is neither indented nor a list nor a key.
fn until_prose(text: &str) -> &str {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let first = line.chars().next().unwrap_or('\n');
        let belongs = first.is_whitespace()
            || matches!(first, '-' | '#' | '{' | '}' | '[' | ']' | '"')
            || line.trim_end().split_once(':').is_some_and(|(key, _)| !key.contains(' '));
        if !belongs {
            break;
        }
        end += line.len();
    }
    text.get(..end).unwrap_or(text)
}

fn parse(text: &str) -> Result<Vec<RawItem>, String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Shape {
        Wrapped(Wrapped),
        Bare(Vec<RawItem>),
    }
    let options = serde_saphyr::options! { with_snippet: false };
    // The wrapped shape is tried by itself for the sake of its message.
    match serde_saphyr::from_str_with_options::<Wrapped>(text, options.clone()) {
        Ok(wrapped) => Ok(wrapped.items),
        Err(error) => match serde_saphyr::from_str_with_options::<Shape>(text, options) {
            Ok(Shape::Bare(items) | Shape::Wrapped(Wrapped { items })) => Ok(items),
            Err(_) => Err(error.to_string().lines().next().unwrap_or_default().to_owned()),
        },
    }
}

/// Whether a text is `W` and three digits.
fn is_id(text: &str) -> bool {
    text.strip_prefix('W').is_some_and(|digits| digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

fn checked(raw: Vec<RawItem>) -> Result<Vec<BacklogItem>, BadBacklog> {
    let refuse = |message: String| Err(BadBacklog(message));
    if raw.is_empty() {
        return refuse("the backlog has no items: at least one is wanted".to_owned());
    }
    if raw.len() > ITEMS {
        return refuse(format!("the backlog has {} items, which is more than anybody reads", raw.len()));
    }
    let mut items: Vec<BacklogItem> = Vec::new();
    for item in raw {
        let id = item.id.trim().to_owned();
        if !is_id(&id) {
            return refuse(format!(
                "`{id}` is no identifier of an item: `W` and three digits are wanted, such as W001"
            ));
        }
        if items.iter().any(|other| other.id == id) {
            return refuse(format!("the identifier {id} is given twice"));
        }
        let title = one_line(&item.title);
        if title.is_empty() {
            return refuse(format!("{id} has no title"));
        }
        let acceptance = item.acceptance.map(OneOrMany::many).unwrap_or_default();
        if acceptance.is_empty() {
            return refuse(format!("{id} has no acceptance: say at least one way to see that it is done"));
        }
        items.push(BacklogItem {
            id,
            title,
            objective: item.objective.unwrap_or_default().trim().to_owned(),
            acceptance,
            files_hint: item.files_hint.map(OneOrMany::many).unwrap_or_default(),
            depends_on: item.depends_on.map(OneOrMany::many).unwrap_or_default(),
        });
    }
    for item in &items {
        for before in &item.depends_on {
            if before == &item.id {
                return refuse(format!("{before} depends on itself"));
            }
            if !items.iter().any(|other| other.id == *before) {
                return refuse(format!("{} depends on {before}, which is not in the backlog", item.id));
            }
        }
    }
    Ok(items)
}

/// A text on one line, cut to a title's length.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(TITLE).collect()
}

/// The items with each behind those that it depends on, otherwise as they were given.
fn ordered(items: Vec<BacklogItem>) -> Result<Vec<BacklogItem>, BadBacklog> {
    let mut left = items;
    let mut placed: Vec<BacklogItem> = Vec::new();
    while !left.is_empty() {
        let free = left
            .iter()
            .position(|item| item.depends_on.iter().all(|before| placed.iter().any(|other| other.id == *before)));
        let Some(free) = free else {
            let circle = left.iter().map(|item| item.id.as_str()).collect::<Vec<_>>().join(", ");
            return Err(BadBacklog(format!("the dependencies of {circle} go round in a circle")));
        };
        placed.push(left.remove(free));
    }
    Ok(placed)
}

/// Merges everything from position `most` on into one item. Behind a topological order no earlier item depends on it.
fn merged(mut items: Vec<BacklogItem>, most: usize) -> Vec<BacklogItem> {
    let keep = most.saturating_sub(1);
    let tail: Vec<BacklogItem> = items.drain(keep.min(items.len())..).collect();
    let ids: Vec<String> = tail.iter().map(|item| item.id.clone()).collect();
    let Some(id) = ids.first().cloned() else { return items };
    let mut all = BacklogItem {
        id,
        title: one_line(&tail.iter().map(|item| item.title.as_str()).collect::<Vec<_>>().join("; ")),
        objective: tail
            .iter()
            .map(|item| if item.objective.is_empty() { item.title.clone() } else { item.objective.clone() })
            .collect::<Vec<_>>()
            .join("\n"),
        acceptance: Vec::new(),
        files_hint: Vec::new(),
        depends_on: Vec::new(),
    };
    for item in tail {
        all.acceptance.extend(item.acceptance);
        all.files_hint.extend(item.files_hint.into_iter().filter(|file| !file.is_empty()));
        all.depends_on.extend(item.depends_on.into_iter().filter(|before| !ids.contains(before)));
    }
    let unique = |texts: &mut Vec<String>| {
        let mut seen = BTreeMap::new();
        texts.retain(|text| seen.insert(text.clone(), ()).is_none());
    };
    unique(&mut all.files_hint);
    unique(&mut all.depends_on);
    unique(&mut all.acceptance);
    items.push(all);
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "items:\n  - id: W001\n    title: Add a\n    objective: A is there\n    acceptance:\n      - a works\n";

    fn ids(answer: &str) -> Vec<String> {
        read(answer, 10, true).unwrap().into_iter().map(|item| item.id).collect()
    }

    #[test]
    fn a_backlog_is_found_wherever_it_stands() {
        let json = r#"{"items": [{"id": "W001", "title": "t", "acceptance": "works"}]}"#;
        let indented = ONE.replace('\n', "\n  ");
        for answer in [
            ONE.to_owned(),
            format!("Here it is:\n\n```yaml\n{ONE}```\nDone."),
            format!("First a sketch:\n```\nnot: a backlog\n```\nthen\n```yml\n{ONE}\n```\n"),
            format!("Here you are.\n\n{ONE}"),
            format!("Here you are.\n\n{ONE}\nI hope that this helps you.\n"),
            format!("```json\n{json}\n```"),
            json.to_owned(),
            format!("The backlog: \n{json}"),
            "- id: W001\n  title: t\n  acceptance: [a]\n".to_owned(),
            format!("```yaml\n{ONE}"),
            format!("run_id: x\n{ONE}"),
            format!("  {indented}"),
        ] {
            assert_eq!(ids(&answer), ["W001"], "{answer}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (answer, expected) in [
            ("I could not do it.", "the answer holds no backlog"),
            ("items: []", "at least one is wanted"),
            ("items: [{id: X1, title: t, acceptance: a}]", "`X1` is no identifier"),
            ("items: [{id: W001, title: t}]", "W001 has no acceptance"),
            ("items: [{id: W001, title: ' ', acceptance: a}]", "W001 has no title"),
            (
                "items: [{id: W001, title: t, acceptance: a}, {id: W001, title: t, acceptance: a}]",
                "the identifier W001 is given twice",
            ),
            ("items: [{id: W001, title: t, acceptance: a, depends_on: [W009]}]", "W001 depends on W009, which is not"),
            ("items: [{id: W001, title: t, acceptance: a, depends_on: W001}]", "W001 depends on itself"),
            (
                "items: [{id: W001, title: t, acceptance: a, depends_on: [W002]}, {id: W002, title: t, acceptance: a, depends_on: [W001]}]",
                "the dependencies of W001, W002 go round in a circle",
            ),
        ] {
            let error = read(answer, 4, true).unwrap_err().to_string();
            assert!(error.contains(expected), "{answer}: {error}");
        }
    }

    #[test]
    fn dependencies_come_first_and_excess_is_merged_into_the_last() {
        let item = |number: u32, before: &str| {
            format!(
                "  - {{id: W{number:03}, title: t{number}, objective: o{number}, acceptance: [a{number}], files_hint: [f], depends_on: [{before}]}}\n"
            )
        };
        let answer = format!("items:\n{}{}{}{}", item(1, "W003"), item(2, ""), item(3, ""), item(4, "W001"));
        assert_eq!(ids(&answer), ["W002", "W003", "W001", "W004"]);
        let merged = read(&answer, 2, true).unwrap();
        assert_eq!(merged.len(), 2);
        assert_eq!((merged[1].id.as_str(), merged[1].title.as_str()), ("W003", "t3; t1; t4"));
        assert_eq!((merged[1].acceptance.len(), merged[1].files_hint.len(), merged[1].depends_on.len()), (3, 1, 0));
        assert!(read(&answer, 2, false).unwrap_err().to_string().contains("has 4 items and 2 are allowed"));
        assert_eq!(read(&answer, 1, true).unwrap().len(), 1);
    }
}
