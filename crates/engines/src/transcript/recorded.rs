//! The readers, fed with what the real CLIs wrote while they answered, asked, were allowed, denied and interrupted
//! (`tests/data/<engine>/transcript*.jsonl`: when it was read, whether a line or a whole file, and its members that tell).

use std::fmt::Write as _;
use std::path::Path;

use super::*;

fn entries(kind: EngineKind, sample: &str) -> Vec<(u64, String, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{kind}/{sample}.jsonl"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every change of what the files say, with the time since the first entry.
fn told(kind: EngineKind, sample: &str) -> String {
    let mut reader = Reader::of(kind).unwrap();
    let (mut told, mut last, mut start) = (String::new(), None, None);
    for (at_ms, how, value) in entries(kind, sample) {
        let start = *start.get_or_insert(at_ms);
        if how == "whole" {
            reader.document(value.to_string().as_bytes(), at_ms);
        } else {
            reader.line(value.to_string().as_bytes(), at_ms);
        }
        let said = reader.says().map(|said| (said.state, said.reason, said.confidence));
        if said != last {
            let words = match &said {
                None => "nothing".to_owned(),
                Some((state, reason, sure)) => format!("{} {sure} %: {reason}", state.as_str()),
            };
            writeln!(told, "{:>6.2} s  {words}", (at_ms - start) as f64 / 1000.0).unwrap();
            last = said;
        }
    }
    told
}

macro_rules! recorded {
    ($($name:ident: $kind:ident, $sample:literal;)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(told(EngineKind::$kind, $sample));
        }
    )*};
}

recorded! {
    claude: Claude, "transcript";
    claude_with_helpers_and_a_question: Claude, "transcript-helpers";
    codex: Codex, "transcript";
    gemini: Gemini, "transcript";
    qwen: Qwen, "transcript";
    pi: Pi, "transcript";
    copilot: Copilot, "transcript";
    continue_cli: Continue, "transcript";
}

#[test]
fn no_damage_makes_a_reader_fail_and_a_cut_line_takes_the_word_of_the_lines_away() {
    for kind in EngineKind::ALL.into_iter().filter(|kind| Reader::of(*kind).is_some()) {
        for (at_ms, how, value) in entries(kind, "transcript") {
            let text = value.to_string();
            for cut in [1, text.len() / 2, text.len() - 1] {
                let mut reader = Reader::of(kind).unwrap();
                if how == "whole" {
                    reader.document(&text.as_bytes()[..cut], at_ms);
                } else {
                    reader.line(&text.as_bytes()[..cut], at_ms);
                }
                assert_eq!(reader.says(), None, "{kind}");
            }
            // Members of another kind than the expected one say nothing, and are no end of the world.
            let mut reader = Reader::of(kind).unwrap();
            for odd in ["null", "[]", "3", "{\"type\":[1]}", "{\"message\":4,\"type\":\"user\"}", "{\"history\":{}}"] {
                reader.line(odd.as_bytes(), at_ms);
                reader.document(odd.as_bytes(), at_ms);
            }
        }
    }
}
