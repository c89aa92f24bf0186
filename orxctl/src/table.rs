//! Tables that align by display width and fit the terminal.

use crate::output::{Colour, Output};
use crate::text;

/// Blanks between columns.
const GAP: usize = 2;

/// One cell.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    colour: Colour,
}

impl Cell {
    /// A text from anywhere; it is made safe to show.
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self { text: text::clean_line(text.as_ref()), colour: Colour::Plain }
    }

    /// A state, verdict or level in its colour.
    pub(crate) fn word(word: impl AsRef<str>) -> Self {
        let text = text::clean_line(word.as_ref());
        Self { colour: Colour::of_word(&text), text }
    }
}

/// Narrowest column whose text goes on in the next line: a narrower one would be a column of syllables.
const WRAPPED: usize = 16;

/// How a column gives way where not all columns have their width.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// The width below which it is cut last.
    pub(crate) readable: usize,
    /// Which is left out first where not all can be read; one without a number stays.
    pub(crate) leaves: Option<u8>,
    /// Which gets what room is left first.
    pub(crate) grows: u8,
    /// Whether its end tells, and not its beginning.
    pub(crate) by_its_end: bool,
}

/// A table; its last column takes what room is left and is cut first.
#[derive(Debug)]
pub(crate) struct Table {
    headings: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
    wraps: bool,
    ways: &'static [Way],
}

impl Table {
    /// An empty table.
    pub(crate) const fn new(headings: &'static [&'static str]) -> Self {
        Self { headings, rows: Vec::new(), wraps: false, ways: &[] }
    }

    /// The same table, whose last column goes on in further lines where it has no room.
    pub(crate) const fn wrapping(mut self) -> Self {
        self.wraps = true;
        self
    }

    /// The same table, whose columns give way as they are told to, one way a column.
    pub(crate) const fn giving_way(mut self, ways: &'static [Way]) -> Self {
        self.ways = ways;
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Whether there is no row.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn widths(&self, room: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headings.iter().map(|heading| text::width(heading)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(text::width(&cell.text));
            }
        }
        let Some(room) = room else { return widths };
        if !self.ways.is_empty() {
            give_way(&mut widths, self.ways, room);
        }
        let gaps = gaps(&widths);
        // Columns give way from the last to the first, each down to its heading; where the last one wraps, each keeps what can
        // be read first.
        let readable = if self.wraps { [WRAPPED, 0].as_slice() } else { [0].as_slice() };
        for kept in readable {
            for position in (0..widths.len()).rev() {
                let total: usize = widths.iter().sum::<usize>() + gaps;
                let Some(excess) = total.checked_sub(room).filter(|excess| *excess > 0) else { break };
                let least = self.headings.get(position).map_or(1, |heading| text::width(heading)).max(4).max(*kept);
                if let Some(width) = widths.get_mut(position).filter(|width| **width > 0) {
                    *width = width.saturating_sub(excess).max(least.min(*width));
                }
            }
        }
        widths
    }

    /// The table as text, each line ended.
    pub(crate) fn render(&self, output: Output) -> String {
        let widths = self.widths(output.columns);
        let mut out = String::new();
        let headings: Vec<Cell> =
            self.headings.iter().map(|heading| Cell { text: (*heading).to_owned(), colour: Colour::Bold }).collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            let mut further = Vec::new();
            for (position, (cell, width)) in row.iter().zip(&widths).enumerate().filter(|(_, (_, width))| **width > 0) {
                let by_its_end = self.ways.get(position).is_some_and(|way| way.by_its_end);
                let shown = if self.wraps && position + 1 == row.len() && *width >= WRAPPED {
                    let mut lines = text::wrap(&cell.text, *width).into_iter();
                    let first = lines.next().unwrap_or_default();
                    further.extend(lines);
                    first
                } else if by_its_end {
                    text::shorten_start(&cell.text, *width)
                } else {
                    text::shorten(&cell.text, *width)
                };
                let blanks = width.saturating_sub(text::width(&shown));
                line.push_str(&cell.colour.paint(&shown, output.colour));
                if position + 1 < row.len() {
                    line.push_str(&" ".repeat(blanks + GAP));
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
            let indent = widths.iter().rev().skip(1).map(|width| width + GAP).sum::<usize>();
            for text in further {
                out.push_str(&format!("{}{text}\n", " ".repeat(indent)));
            }
        }
        out
    }
}

/// The blanks between the columns that are shown.
fn gaps(widths: &[usize]) -> usize {
    GAP * widths.iter().filter(|width| **width > 0).count().saturating_sub(1)
}

/// Fits widths into the room: columns leave until the others can be read, and those grow as far as there is room. A column
/// that left has no width.
fn give_way(widths: &mut [usize], ways: &[Way], room: usize) {
    let wanted: Vec<usize> = widths.to_vec();
    let taken = |widths: &[usize]| widths.iter().sum::<usize>() + gaps(widths);
    if taken(widths) <= room {
        return;
    }
    for (width, way) in widths.iter_mut().zip(ways) {
        *width = (*width).min(way.readable);
    }
    let in_order = |number: &dyn Fn(&Way) -> Option<u8>| {
        let mut order: Vec<(u8, usize)> =
            ways.iter().enumerate().filter_map(|(position, way)| Some((number(way)?, position))).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, position)| position)
    };
    for position in in_order(&|way| way.leaves) {
        if taken(widths) <= room {
            break;
        }
        if let Some(width) = widths.get_mut(position) {
            *width = 0;
        }
    }
    for position in in_order(&|way| Some(way.grows)) {
        let left = room.saturating_sub(taken(widths));
        if let (Some(width), Some(wanted)) =
            (widths.get_mut(position).filter(|width| **width > 0), wanted.get(position))
        {
            *width = (*width + left).min(*wanted);
        }
    }
}

/// Names and values, one pair a line, the values aligned.
pub(crate) fn pairs(pairs: &[(&str, String)], output: Output) -> String {
    let widest = pairs.iter().map(|(name, _)| text::width(name)).max().unwrap_or(0);
    let mut out = String::new();
    for (name, value) in pairs {
        let name = Colour::Dim.paint(&text::pad(name, widest), output.colour);
        out.push_str(&format!("  {name}  {value}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["NAME", "STATE", "TITLE"]);
        table.row(vec![Cell::new("漢字"), Cell::word("running"), Cell::new("a long title that says what is going on")]);
        table.row(vec![Cell::new("abc"), Cell::word("done"), Cell::new("\u{1b}[31mred\u{1b}[0m")]);
        table
    }

    #[test]
    fn a_last_column_without_room_goes_on_below_itself() {
        let mut table = Table::new(&["NAME", "BY"]).wrapping();
        table.row(vec![Cell::new("abc"), Cell::new("it shows a place for a prompt, and nothing turns")]);
        table.row(vec![Cell::new("de"), Cell::new("short")]);
        let wanted = "NAME  BY\nabc   it shows a place for a\n      prompt, and nothing turns\nde    short\n";
        assert_eq!(table.render(Output::plain(Some(32))), wanted);
        assert!(!table.render(Output::plain(None)).contains("\n   "));
    }

    #[test]
    fn a_column_that_wraps_is_not_squeezed_by_the_one_before_it() {
        let mut table = Table::new(&["AGE", "WHAT", "TOLD"]).wrapping();
        table.row(vec![
            Cell::new("1m"),
            Cell::new("change /home/ann/service/a.txt (+2 -0)"),
            Cell::new("nobody: it is old, alas"),
        ]);
        let shown = table.render(Output::plain(Some(40)));
        assert_eq!(
            shown,
            "AGE  WHAT               TOLD\n1m   change /home/ann…  nobody: it is\n                        old, alas\n"
        );
        assert!(table.render(Output::plain(Some(16))).lines().all(|line| text::width(line) <= 16));
    }

    #[test]
    fn columns_align_by_display_width() {
        let shown = sample().render(Output::plain(None));
        assert_eq!(
            shown,
            "NAME  STATE    TITLE\n漢字  running  a long title that says what is going on\nabc   done     red\n"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in [20, 24, 30, 80] {
            let shown = sample().render(Output::plain(Some(columns)));
            assert!(shown.lines().all(|line| text::width(line) <= columns), "{columns}: {shown}");
        }
    }
}
