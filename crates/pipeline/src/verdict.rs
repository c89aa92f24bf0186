//! The verdict in a review: a line of its own, not a word somewhere in the text.

/// What a review says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewVerdict {
    /// It may be handed over.
    Approved,
    /// Something has to change first.
    ChangesRequested,
}

/// The last verdict line of a review: `VERDICT: APPROVED` or `VERDICT: CHANGES_REQUESTED`, in any emphasis. `None` when
/// there is none.
#[must_use]
pub fn read(review: &str) -> Option<ReviewVerdict> {
    review.lines().rev().find_map(|line| {
        let plain: String = line.chars().filter(|c| !matches!(c, '*' | '`' | '#' | '>')).collect();
        let (word, verdict) = plain.trim().split_once(':')?;
        if !word.trim().eq_ignore_ascii_case("verdict") {
            return None;
        }
        match verdict.trim().trim_end_matches('.').to_ascii_uppercase().replace([' ', '-'], "_").as_str() {
            "APPROVED" => Some(ReviewVerdict::Approved),
            "CHANGES_REQUESTED" => Some(ReviewVerdict::ChangesRequested),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_of_its_own_is_a_verdict_and_the_last_one_wins() {
        use ReviewVerdict::{Approved, ChangesRequested};
        for (review, expected) in [
            ("fine\nVERDICT: APPROVED\n", Some(Approved)),
            ("VERDICT: CHANGES_REQUESTED", Some(ChangesRequested)),
            ("**VERDICT: CHANGES REQUESTED**\n", Some(ChangesRequested)),
            ("## Verdict: approved.\nthanks", Some(Approved)),
            ("VERDICT: APPROVED\nOn second thought:\n> VERDICT: CHANGES_REQUESTED\n", Some(ChangesRequested)),
            ("I would not say CHANGES_REQUESTED here", None),
            ("The line is `VERDICT: APPROVED` or `VERDICT: CHANGES_REQUESTED`.", None),
            ("VERDICT: APPROVED | CHANGES_REQUESTED", None),
            ("VERDICT: perhaps", None),
            ("", None),
        ] {
            assert_eq!(read(review), expected, "{review}");
        }
    }
}
