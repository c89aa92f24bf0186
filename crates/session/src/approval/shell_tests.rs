//! What command lines are understood, and what is found in those that are not.

use super::*;
use proptest::prelude::*;

#[test]
fn plain_commands_and_the_operators_between_them_are_understood() {
    let table: [(&str, &[&str]); 14] = [
        ("cargo test", &["cargo test"]),
        ("  git status  ", &["git status"]),
        ("a && b || c; d | e & f", &["a", "b", "c", "d", "e", "f"]),
        ("a |& b", &["a", "b"]),
        ("a\nb\n\n c", &["a", "b", "c"]),
        ("a;", &["a"]),
        ("sleep 5 &", &["sleep 5"]),
        ("git commit -m 'a; b && $(c) `d` > e'", &["git commit -m 'a; b && $(c) `d` > e'"]),
        ("echo \"a; b | c\"", &["echo \"a; b | c\""]),
        ("echo a\\;b", &["echo a\\;b"]),
        ("echo 'it'\\''s'", &["echo 'it'\\''s'"]),
        ("ls ../x *.rs ~/y", &["ls ../x *.rs ~/y"]),
        ("echo a#b", &["echo a#b"]),
        ("größe 漢字", &["größe 漢字"]),
    ];
    for (line, wanted) in table {
        assert_eq!(parts(line), Line::Parts(wanted.to_vec()), "{line:?}");
    }
}

/// What somebody may try so that a rule like `git *` covers more than git.
#[test]
fn nothing_hides_behind_an_allowed_command() {
    for line in [
        "git log $(rm -rf x)",
        "git log `rm -rf x`",
        "git log \"$(rm -rf x)\"",
        "git log \"`rm -rf x`\"",
        "git log $HOME",
        "git log ${x:=y}",
        "git log $'a\\nb'",
        "git log $((1+1))",
        "git log > /etc/passwd",
        "git log >> x",
        "git log < x",
        "git log << E\nrm\nE",
        "git log <(rm)",
        "git log >(rm)",
        "git log 2>&1",
        "git log &> x",
        "(git log)",
        "git() { rm; }",
        "git log # '\nrm -rf x\n#'",
        "# git",
        "git log 'x",
        "git log \"x",
        "git log \\",
        "git \\\nlog",
        "git log\rrm",
        "git log\u{0}rm",
        "git log \u{1b}[2K",
        "git\u{a0}log",
        "git log \u{202e}x",
        "git log \u{200b}x",
        "git log \\\u{200b}",
        "git log;; rm",
        "; git log",
        "git log &&",
        "git log |",
        "git log || ",
        "git log && && rm",
        "GIT_SSH_COMMAND=evil git fetch",
        "\"git\" log",
        "g'i't log",
        "g\\it log",
        "if git log; then rm; fi",
        "{ git log; }",
        "! git log",
        "time git log",
        "for x in a; do git log; done",
        "[[ a ]]",
        "cd /elsewhere && git push",
        "export PATH=/evil; git log",
        "alias git=rm; git log",
        "eval x; git log",
        ". ./evil; git log",
        "source evil; git log",
        "set -a; git log",
        "git add src/../../../etc",
        "git add src/..",
        "git add 'src/..'",
        "",
        " \n ",
    ] {
        assert!(matches!(parts(line), Line::Opaque(_)), "{line:?} is {:?}", parts(line));
    }
}

#[test]
fn a_denied_command_is_found_wherever_it_hides() {
    for line in [
        "rm -rf x",
        "ls && rm -rf x",
        "ls; rm -rf x",
        "echo $(rm -rf x)",
        "echo `rm -rf x`",
        "echo \"$(rm -rf x)\"",
        "/bin/rm -rf x",
        "r\"\"m -rf x",
        "'rm' -rf x",
        "r\\m -rf x",
        "A=1 rm -rf x",
        "sudo rm -rf x",
        "sudo -u root -- rm -rf x",
        "env A=1 nice -n 5 rm -rf x",
        "timeout 5 rm -rf x",
        "ls | xargs -n1 rm -rf x",
        "bash -c 'rm -rf x'",
        "sh -c \"ls; rm -rf x\"",
        "bash -c \"sh -c 'rm -rf x'\"",
        "if true; then rm -rf x; fi",
        "{ rm -rf x; }",
        "(rm -rf x)",
        "ls\nrm -rf x",
        "r\\\nm -rf x",
        "ls &rm -rf x",
        "<(rm -rf x)",
        "f() { rm -rf x; }; f",
    ] {
        let found = spellings(line).unwrap();
        assert!(found.iter().any(|spelling| spelling == "rm -rf x"), "{line:?}: {found:?}");
    }
    assert_eq!(spellings(&format!("xargs {} rm -rf x", "a ".repeat(100_000))), None);
}

proptest! {
    #[test]
    fn no_line_is_misread_into_less_than_it_says(line in "[a-c '\"\\\\;&|<>()$`#\n]{0,30}") {
        if let Line::Parts(parts) = parts(&line) {
            prop_assert!(!parts.is_empty());
            // Each part reads as itself alone, and nothing but operators and blanks lies between them.
            let mut rest = line.as_str();
            for part in &parts {
                prop_assert_eq!(split(part), Ok(vec![*part]));
                let (before, after) = rest.split_once(part).unwrap();
                prop_assert!(before.chars().all(|character| matches!(character, ' ' | '\n' | ';' | '&' | '|')), "{}", before);
                rest = after;
            }
            prop_assert!(rest.chars().all(|character| matches!(character, ' ' | '\n' | ';' | '&')), "{}", rest);
        }
    }

    #[test]
    fn reading_any_text_ends(line in "\\PC{0,200}") {
        let _ = parts(&line);
        prop_assert!(spellings(&line).is_some());
    }
}
