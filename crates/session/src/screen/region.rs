//! Parts of a screen that a condition can look at.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// What there is to look at, at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look<'a> {
    /// The window title.
    pub title: &'a str,
    /// The newest notification of the terminal (OSC 9, 99, 777) since the last input; empty without one.
    pub notification: &'a str,
    /// The rows of the screen, from the top.
    pub rows: &'a [String],
    /// The row that the cursor is in, from 0; `None` where that is not known.
    pub cursor: Option<usize>,
}

/// A part of a [`Look`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Region {
    /// The window title.
    Title,
    /// The newest notification.
    Notification,
    /// The last rows that are not empty.
    Last(usize),
    /// The rows in the lowest box: between its two horizontal edges.
    Box,
    /// The last rows that are not empty above the lowest box.
    AboveBox(usize),
    /// The rows below the lowest horizontal rule.
    AfterRule,
    /// The row that the cursor is in: where a program waits for what is typed.
    Cursor,
    /// All rows.
    #[default]
    Screen,
}

impl Region {
    /// Reads a region's name: `title`, `notification`, `last N`, `box`, `above box N`, `after rule`, `cursor`, `screen`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let count = |digits: &str| digits.trim().parse().ok().filter(|count| (1..=200).contains(count));
        Some(match text {
            "title" => Self::Title,
            "notification" => Self::Notification,
            "box" => Self::Box,
            "after rule" => Self::AfterRule,
            "cursor" => Self::Cursor,
            "screen" => Self::Screen,
            other => match other.strip_prefix("above box ") {
                Some(digits) => Self::AboveBox(count(digits)?),
                None => Self::Last(count(other.strip_prefix("last ")?)?),
            },
        })
    }

    /// Its rows in a look, in their order.
    #[must_use]
    pub fn rows<'a>(self, look: &Look<'a>) -> Vec<&'a str> {
        let rows = look.rows;
        match self {
            Self::Title => vec![look.title],
            Self::Notification => vec![look.notification],
            Self::Screen => texts(rows).collect(),
            Self::Last(count) => last(rows, count),
            Self::Cursor => look.cursor.and_then(|at| rows.get(at)).map(|row| row.trim_end()).into_iter().collect(),
            Self::AfterRule => {
                let after = rows.iter().rposition(|row| is_edge(row)).map_or(rows.len(), |edge| edge + 1);
                texts(rows.get(after..).unwrap_or_default()).collect()
            }
            Self::Box => match lowest_box(rows) {
                Some((top, bottom)) => texts(rows.get(top + 1..bottom).unwrap_or_default()).collect(),
                None => Vec::new(),
            },
            Self::AboveBox(count) => match lowest_box(rows) {
                Some((top, _)) => last(rows.get(..top).unwrap_or_default(), count),
                None => Vec::new(),
            },
        }
    }
}

fn texts(rows: &[String]) -> impl DoubleEndedIterator<Item = &str> {
    rows.iter().map(|row| row.trim_end())
}

fn last(rows: &[String], count: usize) -> Vec<&str> {
    let mut found: Vec<&str> = texts(rows).rev().filter(|row| !row.trim().is_empty()).take(count).collect();
    found.reverse();
    found
}

/// Rows of the two edges of the lowest box.
fn lowest_box(rows: &[String]) -> Option<(usize, usize)> {
    let bottom = rows.iter().rposition(|row| is_edge(row))?;
    let top = rows.get(..bottom)?.iter().rposition(|row| is_edge(row))?;
    Some((top, bottom))
}

/// Characters of which horizontal edges are drawn, corners included.
const EDGE: &str = "─━═▀▄╭╮╰╯┌┐└┘╌";

/// Whether a row is a horizontal edge, which may carry a short label.
fn is_edge(row: &str) -> bool {
    let row = row.trim();
    let drawn = row.chars().filter(|c| EDGE.contains(*c)).count();
    let begins = row.chars().take(2).filter(|c| EDGE.contains(*c)).count() == 2;
    drawn >= 8 && begins && drawn * 2 >= row.chars().count()
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no region; regions are title, notification, last N, box, above box N, after rule, cursor, screen (N is 1 to 200)"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(region: &str, screen: &str) -> Vec<String> {
        let rows: Vec<String> = screen.lines().map(str::to_owned).collect();
        let look = Look { title: "t", notification: "n", rows: &rows, cursor: Some(2) };
        Region::parse(region).unwrap().rows(&look).into_iter().map(str::to_owned).collect()
    }

    const SCREEN: &str = "answer\n\n✻ Thinking…\n\n──────────\n❯ draft\n  two\n──────────  \n\n  hint\n\n";

    #[test]
    fn each_region_gives_its_rows() {
        for (region, wanted) in [
            ("title", vec!["t"]),
            ("notification", vec!["n"]),
            ("last 2", vec!["──────────", "  hint"]),
            ("box", vec!["❯ draft", "  two"]),
            ("above box 1", vec!["✻ Thinking…"]),
            ("above box 9", vec!["answer", "✻ Thinking…"]),
            ("after rule", vec!["", "  hint", ""]),
            ("cursor", vec!["✻ Thinking…"]),
        ] {
            assert_eq!(rows(region, SCREEN), wanted, "{region}");
        }
        assert_eq!(rows("screen", SCREEN).len(), 11);
    }

    #[test]
    fn without_a_box_there_is_nothing_in_it() {
        for region in ["box", "above box 3", "after rule"] {
            assert_eq!(rows(region, "a\nb"), Vec::<String>::new(), "{region}");
        }
        assert_eq!(rows("box", "╭─────────╮\n│ a       │\n╰─────────╯"), ["│ a       │"]);
    }

    #[test]
    fn other_names_are_no_regions() {
        for name in ["", "last", "last 0", "last 201", "last x", "above box", "bottom", "Title"] {
            assert_eq!(Region::parse(name), None, "{name}");
        }
    }
}
