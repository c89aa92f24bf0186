//! Whether a dialog on a screen is about what a hook told before it came. A terminal frames and breaks what it shows, so
//! only what is written counts, and all of it.

use orx_protocol::api::approval::Subject;
use std::path::Path;

/// Whether what is asked stands in a dialog: its whole command, or the name of each file that it concerns.
///
/// What is neither a command nor files is in no dialog word for word, and then nothing is claimed.
#[must_use]
pub fn is_about(dialog: &str, subject: &Subject) -> bool {
    let shown = written(dialog);
    let has = |text: &str| {
        let text = written(text);
        !text.is_empty() && shown.contains(&text)
    };
    match &subject.command {
        Some(command) => has(command),
        None => {
            let name = |path: &String| Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
            let names: Vec<String> = subject.paths.iter().filter_map(name).collect();
            !names.is_empty() && names.len() == subject.paths.len() && names.iter().all(|name| has(name))
        }
    }
}

/// Whether two looks at a dialog show the same one: frames and bars beside it come and go.
#[must_use]
pub fn is_same_dialog(before: &str, now: &str) -> bool {
    written(before) == written(now)
}

/// A text without what a terminal adds: spaces, breaks, and lines that frame.
fn written(text: &str) -> String {
    let is_frame = |letter: char| ('\u{2500}'..='\u{259f}').contains(&letter);
    text.chars().filter(|letter| !letter.is_whitespace() && !is_frame(*letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Subject {
        Subject { command: Some(line.to_owned()), ..Subject::default() }
    }

    fn files(paths: &[&str]) -> Subject {
        Subject { paths: paths.iter().map(|path| (*path).to_owned()).collect(), ..Subject::default() }
    }

    #[test]
    fn a_command_must_stand_there_whole_however_it_is_framed_and_broken() {
        let dialog = "╭────────╮\n│ Run     │\n│ touch a │\n│ .txt && │\n│ ls      │\n│ ❯ 1. Yes │\n╰────────╯";
        assert!(is_about(dialog, &command("touch a.txt && ls")));
        assert!(is_about(dialog, &command("touch a.txt\n&& ls")));
        assert!(!is_about(dialog, &command("touch a.txt && ls -l")));
        assert!(!is_about(dialog, &command("touch b.txt")));
        assert!(!is_about(dialog, &command("")));
        assert!(!is_about(dialog, &command("  ─ ")));
    }

    #[test]
    fn a_bar_that_goes_makes_no_other_dialog() {
        let before = "  ? Shell touch one.txt ←      █\n       █\n   › 1. Yes, allow once    █";
        assert!(is_same_dialog(before, "  ? Shell touch one.txt ←\n\n   › 1. Yes, allow once"));
        assert!(!is_same_dialog(before, "  ? Shell touch two.txt ←\n\n   › 1. Yes, allow once"));
        assert!(!is_same_dialog(before, "  ? Shell touch one.txt ←\n\n     1. Yes, allow once"));
    }

    #[test]
    fn every_file_must_stand_there_by_its_name() {
        let dialog = "? WriteFile Writing to src/first.txt ←\n\n 1 hello\n\n Apply this change?";
        assert!(is_about(dialog, &files(&["/w/src/first.txt"])));
        assert!(!is_about(dialog, &files(&["/w/second.txt"])));
        assert!(!is_about(dialog, &files(&["/w/src/first.txt", "/w/second.txt"])));
        assert!(!is_about(dialog, &files(&["/"])));
        assert!(!is_about(dialog, &files(&[])));
        assert!(!is_about(dialog, &Subject { question: Some("hello".to_owned()), ..Subject::default() }));
    }
}
