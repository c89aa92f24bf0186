//! Listens to a program's output for what a terminal hears beside the screen: bells, notifications, progress, and the
//! marks of shells. It changes nothing and keeps at most one unfinished sequence.

use memchr::memchr2;
use orx_protocol::watch::{NOTICE_LIMIT, NoticeKind, Progress, PromptMark};

/// Longest sequence that is kept until its end comes, in bytes; of a longer one the rest is not heard.
const SEQUENCE_LIMIT: usize = 4096;
const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A notification.
    Notice(NoticeKind, String),
    /// Progress.
    Progress(Progress),
    /// A shell's mark.
    Mark(PromptMark),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// In an OSC sequence.
    Command,
    /// After ESC in an OSC sequence.
    CommandEscape,
    /// In another string sequence, whose end is ST; a bell in it is none.
    Other,
    /// After ESC in such a sequence.
    OtherEscape,
}

/// The listener.
#[derive(Debug, Default)]
pub struct Tap {
    state: State,
    command: Vec<u8>,
}

impl Tap {
    /// Listens to some output.
    pub fn listen(&mut self, output: &[u8], mut heard: impl FnMut(Heard)) {
        let mut rest = output;
        while let Some((&byte, after)) = rest.split_first() {
            if self.state == State::Text {
                let Some(at) = memchr2(ESCAPE, BELL, rest) else { return };
                self.state = if rest.get(at) == Some(&ESCAPE) {
                    State::Escape
                } else {
                    heard(Heard::Notice(NoticeKind::Bell, String::new()));
                    State::Text
                };
                rest = rest.get(at + 1..).unwrap_or_default();
                continue;
            }
            rest = after;
            self.state = self.step(byte, &mut heard);
        }
    }

    fn step(&mut self, byte: u8, heard: &mut impl FnMut(Heard)) -> State {
        match (self.state, byte) {
            (State::Escape, b']') => {
                self.command.clear();
                State::Command
            }
            (State::Escape, b'P' | b'X' | b'^' | b'_') => State::Other,
            (State::Escape, ESCAPE) => State::Escape,
            (State::Text | State::Escape, _) => State::Text,
            (State::Command, BELL) | (State::CommandEscape, b'\\') => {
                if let Some(said) = understood(&self.command) {
                    heard(said);
                }
                State::Text
            }
            (State::Command, ESCAPE) => State::CommandEscape,
            (State::Command, byte) => {
                if self.command.len() < SEQUENCE_LIMIT {
                    self.command.push(byte);
                }
                State::Command
            }
            // ESC within a string ends it, and begins what follows.
            (State::CommandEscape | State::OtherEscape, byte) => {
                self.state = State::Escape;
                if byte == b'\\' { State::Text } else { self.step(byte, heard) }
            }
            (State::Other, ESCAPE) => State::OtherEscape,
            (State::Other, _) => State::Other,
        }
    }
}

/// What an OSC sequence says, without its introducer and end.
fn understood(command: &[u8]) -> Option<Heard> {
    let text = String::from_utf8_lossy(command);
    let (number, rest) = text.split_once(';').unwrap_or((&text, ""));
    match number {
        "9" => match rest.strip_prefix("4;").or_else(|| (rest == "4").then_some("")) {
            Some(progress) => Some(Heard::Progress(progress_of(progress))),
            None => notice(NoticeKind::Osc9, rest),
        },
        // OSC 99 ; metadata ; payload, in parts; only what is shown is of interest.
        "99" => {
            let (metadata, payload) = rest.split_once(';')?;
            let hidden = metadata.split(':').any(|item| matches!(item, "p=?" | "p=close" | "p=alive" | "p=icon"));
            if hidden { None } else { notice(NoticeKind::Osc99, payload) }
        }
        "777" => notice(NoticeKind::Osc777, rest.strip_prefix("notify;")?),
        "133" => match rest.as_bytes().first()? {
            b'A' | b'B' | b'D' => Some(Heard::Mark(PromptMark::Prompt)),
            b'C' => Some(Heard::Mark(PromptMark::Running)),
            _ => None,
        },
        _ => None,
    }
}

fn notice(kind: NoticeKind, text: &str) -> Option<Heard> {
    let mut text: String = text.chars().filter(|c| !c.is_control()).collect();
    let mut end = text.len().min(NOTICE_LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    (!text.is_empty()).then_some(Heard::Notice(kind, text))
}

fn progress_of(text: &str) -> Progress {
    let mut numbers = text.split(';').map(|number| number.trim().parse::<u8>().unwrap_or(0));
    match (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) {
        (1, percent) => Progress::Percent(percent.min(100)),
        (2, _) => Progress::Failed,
        (3, _) => Progress::Busy,
        (4, _) => Progress::Paused,
        _ => Progress::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(parts: &[&[u8]]) -> Vec<Heard> {
        let mut tap = Tap::default();
        let mut all = Vec::new();
        for part in parts {
            tap.listen(part, |said| all.push(said));
        }
        all
    }

    fn notice_of(kind: NoticeKind, text: &str) -> Heard {
        Heard::Notice(kind, text.to_owned())
    }

    #[test]
    fn what_a_terminal_hears_is_heard() {
        for (bytes, wanted) in [
            ("a\x07b", vec![notice_of(NoticeKind::Bell, "")]),
            ("\x1b]9;done\x07", vec![notice_of(NoticeKind::Osc9, "done")]),
            (
                "\x1b]9;4;3\x07\x1b]9;4;1;40\x1b\\",
                vec![Heard::Progress(Progress::Busy), Heard::Progress(Progress::Percent(40))],
            ),
            ("\x1b]9;4;0;\x07", vec![Heard::Progress(Progress::None)]),
            ("\x1b]99;i=1:d=0;Hello\x1b\\", vec![notice_of(NoticeKind::Osc99, "Hello")]),
            ("\x1b]99;i=1:p=?;x\x1b\\", vec![]),
            ("\x1b]777;notify;Title;Body\x07", vec![notice_of(NoticeKind::Osc777, "Title;Body")]),
            ("\x1b]133;A\x07$ \x1b]133;C\x07", vec![Heard::Mark(PromptMark::Prompt), Heard::Mark(PromptMark::Running)]),
            ("\x1b]0;a title\x07", vec![]),
            ("\x1bP+q\x07\x1b\\x", vec![]),
            ("\x1b]9;broken\x1b[31m\x07", vec![notice_of(NoticeKind::Bell, "")]),
        ] {
            assert_eq!(heard(&[bytes.as_bytes()]), wanted, "{bytes:?}");
        }
    }

    #[test]
    fn an_endless_sequence_takes_no_more_room_than_the_limit() {
        let mut tap = Tap::default();
        tap.listen(b"\x1b]9;", |_| ());
        for _ in 0..1000 {
            tap.listen(&[b'x'; 1024], |_| ());
        }
        assert!(tap.command.len() <= SEQUENCE_LIMIT);
        let mut said = Vec::new();
        tap.listen(b"\x07", |heard| said.push(heard));
        assert!(matches!(said.as_slice(), [Heard::Notice(NoticeKind::Osc9, text)] if text.len() == NOTICE_LIMIT));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_output_is_cut(
            bytes in proptest::collection::vec(proptest::sample::select(b"\x1b]]9;4133AC\x07\\Pab".to_vec()), 0..80),
            cut in 0_usize..80,
        ) {
            let (left, right) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(heard(&[left, right]), heard(&[&bytes]));
        }
    }
}
