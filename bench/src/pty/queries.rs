//! The questions that programs ask their terminals at their start, asked while nobody is attached.

use anyhow::Result;
use std::time::{Duration, Instant};

use super::program::{read_answer, show};

/// What coding CLIs ask, each with a piece of any answer to it.
pub const QUERIES: [(&str, &str, &str); 15] = [
    ("DA1", "\x1b[c", "\x1b[?"),
    ("DA2", "\x1b[>c", "\x1b[>"),
    ("DSR 5", "\x1b[5n", "\x1b[0n"),
    ("CPR", "\x1b[6n", "R"),
    ("XTVERSION", "\x1b[>0q", "\x1bP>|"),
    ("size 18t", "\x1b[18t", "\x1b[8;"),
    ("DECRQM 2004", "\x1b[?2004$p", "\x1b[?2004;"),
    ("DECRQM 2026", "\x1b[?2026$p", "\x1b[?2026;"),
    ("kitty keyboard ?u", "\x1b[?u", "u"),
    // As that protocol has it asked: a terminal without graphics says so by answering the attributes alone.
    ("kitty graphics with DA1", "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c", "\x1b[?"),
    ("XTGETTCAP", "\x1bP+q4d73\x1b\\", "+r"),
    ("DECRQSS", "\x1bP$qm\x1b\\", "$r"),
    ("OSC 4", "\x1b]4;1;?\x1b\\", "\x1b]4;1;"),
    ("OSC 10", "\x1b]10;?\x1b\\", "\x1b]10;"),
    ("OSC 11", "\x1b]11;?\x1b\\", "\x1b]11;"),
];

/// How long an answer may take.
const LIMIT: Duration = Duration::from_millis(150);

/// Asks all; gives microseconds a question, `-` where no answer came, in order.
pub fn ask() -> Result<String> {
    let mut told = Vec::new();
    for (_, query, piece) in QUERIES {
        let began = Instant::now();
        show(query.as_bytes())?;
        let ends = |answer: &[u8]| String::from_utf8_lossy(answer).contains(piece);
        let answer = read_answer(LIMIT, ends)?;
        told.push(if ends(&answer) { began.elapsed().as_micros().to_string() } else { "-".to_owned() });
        // The rest of an answer must not be taken for the next one's.
        read_answer(Duration::from_millis(5), |_| false)?;
    }
    Ok(told.join(" "))
}
