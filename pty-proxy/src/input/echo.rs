//! Whether a program has shown a text that was typed: its end is on the screen, or the mark that stands for a paste.
//!
//! That it wrote something is not enough: one that still starts writes before it reads.

/// Letters and digits at the end of a text that are looked for: enough to be rare, few enough to fit a narrow composer.
const TAIL: usize = 12;
/// What CLIs show in place of a long paste.
const MARK: &str = "[Pasted";

/// What is looked for, and how often the screen had it before the text was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    tail: String,
    before: usize,
}

impl Echo {
    /// What shows that `text` was taken, given the screen as it is before.
    #[must_use]
    pub fn of(text: &str, screen: &[String]) -> Self {
        let mut tail: Vec<char> = text.chars().rev().filter(|c| c.is_alphanumeric()).take(TAIL).collect();
        tail.reverse();
        let mut echo = Self { tail: tail.into_iter().collect(), before: 0 };
        echo.before = echo.count(screen);
        echo
    }

    /// Whether the screen shows it.
    #[must_use]
    pub fn is_on(&self, screen: &[String]) -> bool {
        self.count(screen) > self.before
    }

    fn count(&self, screen: &[String]) -> usize {
        let marks: usize = screen.iter().map(|row| row.matches(MARK).count()).sum();
        if self.tail.is_empty() {
            return marks;
        }
        // Edges and the ends of rows stand between the parts of a text that is wrapped.
        let shown: String = screen.iter().flat_map(|row| row.chars()).filter(|c| c.is_alphanumeric()).collect();
        marks + shown.matches(&self.tail).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(rows: &[&str]) -> Vec<String> {
        rows.iter().map(|row| (*row).to_owned()).collect()
    }

    #[test]
    fn a_text_is_shown_when_its_end_is_wrapped_or_not() {
        let before = screen(&["│ > Type your message │"]);
        let echo = Echo::of("Explain \"this\"\n\nand the last line.", &before);
        assert!(!echo.is_on(&before));
        assert!(!echo.is_on(&screen(&["│ > Explain \"this\" │"])));
        assert!(echo.is_on(&screen(&["│ > and the last line. │"])));
        assert!(echo.is_on(&screen(&["│ > and the la │", "│   st line.   │"])));
        assert!(echo.is_on(&screen(&["❯ [Pasted text #1 +2 lines]"])));
    }

    #[test]
    fn what_was_there_before_does_not_count() {
        let before = screen(&["> run the tests", "[Pasted ~3 lines]"]);
        let echo = Echo::of("run the tests", &before);
        assert!(!echo.is_on(&before));
        assert!(echo.is_on(&screen(&["> run the tests", "[Pasted ~3 lines]", "> run the tests"])));
        assert!(!Echo::of("?!", &before).is_on(&before));
    }
}
