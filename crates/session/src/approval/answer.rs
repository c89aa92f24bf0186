//! Whether an answer fits a question: one of its choices, or any words where it has none; a line for each part where it
//! has several.

use orx_protocol::api::approval::Subject;

/// An answer that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It says nothing.
    #[error("the answer is empty")]
    Empty,
    /// It is none of the choices.
    #[error("the answer is none of its choices: {}", listed(.0))]
    NoChoice(Vec<String>),
    /// It has too few or too many lines.
    #[error("it has {wanted} parts, and the answer has {given} lines: give one for each, in their order")]
    Lines {
        /// Parts of the question.
        wanted: usize,
        /// Lines of the answer.
        given: usize,
    },
    /// A line does not fit its part.
    #[error("the answer to part {number} is `{given}`, {}", expected(choices, *several))]
    Part {
        /// Which, from 1.
        number: usize,
        /// The line.
        given: String,
        /// What it may be; none where any words would do.
        choices: Vec<String>,
        /// Whether several of them may be named.
        several: bool,
    },
}

fn listed(choices: &[String]) -> String {
    choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ")
}

fn expected(choices: &[String], several: bool) -> String {
    match (choices, several) {
        ([], _) => "which says nothing".to_owned(),
        (choices, false) => format!("it must be one of {}", listed(choices)),
        (choices, true) => format!("it must be of {}, separated by commas", listed(choices)),
    }
}

/// Checks an answer.
///
/// # Errors
/// [`BadAnswer`] with what would fit.
pub fn check_answer(subject: &Subject, answer: &str) -> Result<(), BadAnswer> {
    if answer.trim().is_empty() {
        return Err(BadAnswer::Empty);
    }
    if subject.parts.is_empty() || !subject.choices.is_empty() {
        let fits = subject.choices.is_empty() || subject.choices.iter().any(|choice| choice == answer);
        return if fits { Ok(()) } else { Err(BadAnswer::NoChoice(subject.choices.clone())) };
    }
    let lines: Vec<&str> = answer.lines().collect();
    if lines.len() != subject.parts.len() {
        return Err(BadAnswer::Lines { wanted: subject.parts.len(), given: lines.len() });
    }
    for (number, (part, line)) in (1..).zip(subject.parts.iter().zip(lines)) {
        if part.chosen(line).is_none() {
            return Err(BadAnswer::Part {
                number,
                given: line.trim().to_owned(),
                choices: part.choices.iter().map(|choice| choice.label.clone()).collect(),
                several: part.several,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::api::approval::{Choice, Part};

    fn part(question: &str, choices: &[&str], several: bool) -> Part {
        let choices = choices.iter().map(|label| Choice { label: (*label).to_owned(), description: None }).collect();
        Part { question: question.to_owned(), choices, several }
    }

    #[test]
    fn a_line_names_choices_or_is_any_words() {
        let several = part("Which?", &["A", "B", "C, with a comma"], true);
        for (line, expected) in [
            ("A", Some(vec!["A"])),
            (" B , A", Some(vec!["B", "A"])),
            ("A,A", Some(vec!["A"])),
            ("C, with a comma, B", Some(vec!["C, with a comma", "B"])),
            ("C", None),
            ("A, ", None),
            ("", None),
        ] {
            let expected = expected.map(|labels| labels.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(several.chosen(line), expected, "{line:?}");
        }
        assert_eq!(part("Which?", &["A", "B"], false).chosen("A, B"), None);
        assert_eq!(part("Why?", &[], false).chosen(" because, "), Some(vec!["because,".to_owned()]));
    }

    #[test]
    fn an_answer_that_does_not_fit_is_refused_with_what_would() {
        let parts = vec![part("One?", &["A", "B"], false), part("Two?", &["C", "D"], true), part("Why?", &[], false)];
        let subject = Subject { parts, ..Subject::default() };
        assert_eq!(check_answer(&subject, "A\nC, D\nbecause"), Ok(()));
        let told = |answer: &str| check_answer(&subject, answer).unwrap_err().to_string();
        assert_eq!(told(" "), "the answer is empty");
        assert_eq!(told("A"), "it has 3 parts, and the answer has 1 lines: give one for each, in their order");
        assert_eq!(told("X\nC\ny"), "the answer to part 1 is `X`, it must be one of `A`, `B`");
        assert_eq!(told("A\nC, A\ny"), "the answer to part 2 is `C, A`, it must be of `C`, `D`, separated by commas");
        assert_eq!(told("A\nC\n "), "the answer to part 3 is ``, which says nothing");
        let choices = Subject { choices: vec!["Red".to_owned()], ..Subject::default() };
        assert_eq!(check_answer(&choices, "Red"), Ok(()));
        assert_eq!(
            check_answer(&choices, "Green").unwrap_err().to_string(),
            "the answer is none of its choices: `Red`"
        );
        assert_eq!(check_answer(&Subject::default(), "any words\nat all"), Ok(()));
    }
}
