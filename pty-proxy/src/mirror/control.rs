//! tmux's control mode (tmux(1), CONTROL MODE): lines from it to what they say. Pure.

/// What a line, or a block of lines, says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A pane wrote this.
    Output {
        /// The pane, such as `%3`.
        pane: String,
        /// What, unescaped.
        bytes: Vec<u8>,
    },
    /// The answer to the oldest command that is not answered yet.
    Answer {
        /// Its lines, or why it failed.
        lines: Result<Vec<Vec<u8>>, String>,
    },
    /// Something about windows or their layout changed: the pane may be gone or have another size.
    Changed,
    /// tmux ends the connection.
    Exit,
}

/// A block that is being read.
#[derive(Debug)]
struct Block {
    /// Whether it answers a command of this client; tmux's own commands are told too.
    is_ours: bool,
    lines: Vec<Vec<u8>>,
}

/// Reads lines, without their ends.
#[derive(Debug, Default)]
pub(super) struct Reader {
    block: Option<Block>,
}

impl Reader {
    /// Takes a line; gives what it completes.
    pub(super) fn line(&mut self, line: &[u8]) -> Option<Said> {
        if let Some(block) = &mut self.block {
            let failed = line.starts_with(b"%error ");
            if !failed && !line.starts_with(b"%end ") {
                block.lines.push(line.to_vec());
                return None;
            }
            let Block { is_ours, lines } = self.block.take()?;
            if !is_ours && !failed {
                return None;
            }
            let why =
                || lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>().join(" ");
            return Some(Said::Answer { lines: if failed { Err(why()) } else { Ok(lines) } });
        }
        // The connection begins with a device control string.
        let line = line.strip_prefix(b"\x1bP1000p").unwrap_or(line);
        let mut words = line.splitn(3, |byte| *byte == b' ');
        match words.next().unwrap_or_default() {
            b"%begin" => {
                let is_ours = words.nth(1).is_some_and(|numbers| numbers.ends_with(b" 1"));
                self.block = Some(Block { is_ours, lines: Vec::new() });
                None
            }
            b"%output" => {
                let pane = String::from_utf8_lossy(words.next()?).into_owned();
                Some(Said::Output { pane, bytes: unescaped(words.next().unwrap_or_default()) })
            }
            b"%layout-change" | b"%window-close" | b"%unlinked-window-close" | b"%session-window-changed" => {
                Some(Said::Changed)
            }
            b"%exit" => Some(Said::Exit),
            _ => None,
        }
    }
}

/// Undoes tmux's escapes: a backslash and three octal digits stand for a byte.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match digits {
            Some(digits) if *first == b'\\' => {
                bytes.push(digits.iter().fold(0_u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')));
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<Said> {
        let mut reader = Reader::default();
        text.split(|byte| *byte == b'\n').filter_map(|line| reader.line(line)).collect()
    }

    #[test]
    fn output_answers_and_ends_are_read() {
        let said = all(b"\x1bP1000p%begin 1 2 0\n%end 1 2 0\n%output %3 a\\033[1mb\\134\\\n%begin 1 3 1\nfirst\n%output %3 no\n%end 1 3 1\n%begin 1 4 1\nno pane\n%error 1 4 1\n%layout-change @1 x\n%sessions-changed\n%exit bye");
        assert_eq!(
            said,
            [
                Said::Output { pane: "%3".to_owned(), bytes: b"a\x1b[1mb\\\\".to_vec() },
                Said::Answer { lines: Ok(vec![b"first".to_vec(), b"%output %3 no".to_vec()]) },
                Said::Answer { lines: Err("no pane".to_owned()) },
                Said::Changed,
                Said::Exit,
            ]
        );
    }
}
