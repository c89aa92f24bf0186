//! The readers, fed with what the real CLIs printed (`tests/data`, recorded by the tests of the workspace with
//! `ORX_TEST_RECORD`), and with what becomes of it when a CLI is killed or the stream is damaged.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::*;

const CLIS: [EngineKind; 7] = [
    EngineKind::Claude,
    EngineKind::Codex,
    EngineKind::Gemini,
    EngineKind::Opencode,
    EngineKind::Qwen,
    EngineKind::Copilot,
    EngineKind::Pi,
];

fn path(kind: EngineKind, sample: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{kind}/{sample}.jsonl"))
}

fn sample(kind: EngineKind, sample: &str) -> Vec<u8> {
    std::fs::read(path(kind, sample)).unwrap()
}

fn ended(exit: Exit) -> Ended {
    Ended { exit: Some(exit), reason: EndReason::Exited, message: None, ended_at_ms: 0 }
}

/// The report and the lines that a follower sees.
fn told(kind: EngineKind, name: &str, exit: Exit) -> String {
    let stdout = sample(kind, name);
    let mut told = format!("{:#?}\n", report(kind, &stdout, b"", &ended(exit)));
    for line in String::from_utf8(stdout).unwrap().lines() {
        if let Some(progress) = progress(kind, line) {
            writeln!(told, "> {progress}").unwrap();
        }
    }
    told
}

#[test]
fn answers_are_read() {
    for kind in CLIS {
        insta::assert_snapshot!(format!("{kind}_answer"), told(kind, "answer", Exit::Code(0)));
    }
}

#[test]
fn work_is_read() {
    for kind in CLIS {
        insta::assert_snapshot!(format!("{kind}_apply"), told(kind, "apply", Exit::Code(0)));
        insta::assert_snapshot!(format!("{kind}_text_refused"), told(kind, "text_refused", Exit::Code(0)));
    }
}

#[test]
fn trouble_is_read() {
    for kind in CLIS {
        insta::assert_snapshot!(format!("{kind}_rate_limited"), told(kind, "rate_limited", Exit::Code(0)));
        insta::assert_snapshot!(format!("{kind}_refused_key"), told(kind, "refused_key", Exit::Code(1)));
        insta::assert_snapshot!(format!("{kind}_killed"), told(kind, "killed", Exit::Signal(9)));
    }
}

#[test]
fn a_refused_key_is_a_missing_login_for_every_cli() {
    for kind in CLIS {
        let failure = report(kind, &sample(kind, "refused_key"), b"", &ended(Exit::Code(1))).failure.unwrap();
        assert_eq!(failure.kind, FailureKind::NotLoggedIn, "{kind}");
    }
}

#[test]
fn a_stream_that_was_cut_is_never_a_success() {
    for kind in CLIS {
        let whole = sample(kind, "apply");
        for cut in 0..whole.len() - 1 {
            let stdout = &whole[..cut];
            let killed = report(kind, stdout, b"", &ended(Exit::Signal(9)));
            assert!(killed.failure.is_some(), "{kind} killed after {cut} bytes");
            // The last bytes may be a line break or a brace that the line does not need to be whole.
            if cut + 2 < whole.len() {
                let polite = report(kind, stdout, b"", &ended(Exit::Code(0)));
                assert_eq!(polite.failure.map(|failure| failure.kind), Some(FailureKind::BadOutput), "{kind} {cut}");
            }
        }
    }
}

#[test]
fn damage_and_novelties_around_the_events_change_nothing() {
    for kind in CLIS {
        let clean = report(kind, &sample(kind, "apply"), b"", &ended(Exit::Code(0)));
        let mut damaged = Vec::new();
        for line in sample(kind, "apply").split_inclusive(|byte| *byte == b'\n') {
            damaged.extend_from_slice(b"Warning: something\n{\"type\":\"from_the_future\",\"usage\":[1]}\n\xff\xfe{\n[]\nnull\n{\"type\":7}\n");
            damaged.extend_from_slice(line);
        }
        let mut noisy = report(kind, &damaged, b"", &ended(Exit::Code(0)));
        assert_eq!(noisy, clean, "{kind}");
        noisy = report(kind, &[b"{".repeat(200_000), b"\n".to_vec(), damaged].concat(), b"", &ended(Exit::Code(0)));
        assert_eq!(noisy, clean, "{kind}");
    }
}

#[test]
fn an_end_that_was_not_the_clis_own_is_told() {
    let with = |reason, exit| Ended { exit, reason, message: Some("why".to_owned()), ended_at_ms: 0 };
    for kind in CLIS {
        let stdout = sample(kind, "answer");
        let kind_of = |ended: &Ended| report(kind, &stdout, b"", ended).failure.unwrap().kind;
        assert_eq!(kind_of(&with(EndReason::Deadline, Some(Exit::Signal(9)))), FailureKind::TimedOut);
        assert_eq!(kind_of(&with(EndReason::Stopped, Some(Exit::Signal(15)))), FailureKind::Crashed);
        assert_eq!(kind_of(&with(EndReason::Lost, None)), FailureKind::Crashed);
        let message = report(kind, b"", b"", &with(EndReason::SpawnFailed, None)).failure.unwrap().message;
        assert_eq!(message, format!("{kind} could not be started: why"));
    }
    let limited = report(EngineKind::Claude, &first_lines("rate_limited", 2), b"", &with(EndReason::Deadline, None));
    assert_eq!(
        limited.failure.unwrap().message,
        "claude did not come to an end before its deadline; it last said: 429 rate_limit, retry 1 of 10"
    );
}

fn first_lines(name: &str, count: usize) -> Vec<u8> {
    sample(EngineKind::Claude, name).split_inclusive(|byte| *byte == b'\n').take(count).flatten().copied().collect()
}

#[test]
fn a_cli_that_died_without_a_word_is_told_by_its_standard_error() {
    let died =
        report(EngineKind::Codex, b"", b"\x1b[31mError: Not logged in\n\n", &ended(Exit::Code(1))).failure.unwrap();
    assert_eq!(died.kind, FailureKind::NotLoggedIn);
    assert_eq!(died.message, "codex ended with exit status 1: [31mError: Not logged in");
    let silent = report(EngineKind::Gemini, b"hello\n", b"", &ended(Exit::Code(0))).failure.unwrap();
    assert_eq!(silent.kind, FailureKind::BadOutput);
}

#[test]
fn a_commands_answer_is_what_it_prints() {
    let done = report(EngineKind::Command, b"line one\nbad \xff byte\n", b"noise", &ended(Exit::Code(0)));
    assert_eq!((done.text.as_str(), done.failure), ("line one\nbad \u{fffd} byte", None));
    assert_eq!((done.tokens, done.cost_microusd), (Tokens::default(), None));
    let failed = report(EngineKind::Command, b"half", b"no space left", &ended(Exit::Code(3)));
    assert_eq!(failed.failure.unwrap().message, "command ended with exit status 3: no space left");
}
