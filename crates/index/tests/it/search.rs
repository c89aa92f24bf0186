//! Search, updates, and databases that are not what they should be.

use std::path::Path;
use std::time::{Duration, SystemTime};

use orx_index::{Hit, Index, IndexError, Limits};

use crate::{project, write};

fn open(root: &Path) -> Index {
    Index::open(&root.join(".cache/deep/index.db")).unwrap()
}

fn updated(root: &Path) -> Index {
    let mut index = open(root);
    index.update(root, Limits::default()).unwrap();
    index
}

fn places(hits: &[Hit]) -> Vec<(&str, u32)> {
    hits.iter().map(|hit| (hit.path.as_str(), hit.line)).collect()
}

/// Makes a file look as if it had been written long ago, so that its time is trusted.
fn settle(root: &Path, path: &str) {
    let file = std::fs::File::options().write(true).open(root.join(path)).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)).unwrap();
}

#[test]
fn every_spelling_finds_every_spelling() {
    let directory = project(&[
        ("a.rs", "fn parse_frame() {}\n"),
        ("b.ts", "export function parseFrame() {}\n"),
        ("c.go", "package c\nfunc ParseFrame() {}\n"),
        ("d.py", "PARSE_FRAME = 1\n"),
        ("e.py", "def other(): pass\n"),
    ]);
    let mut index = updated(directory.path());
    for query in ["parse_frame", "parseFrame", "ParseFrame", "PARSE_FRAME", "parse frame", "parseframe"] {
        let hits = index.search(query, 10).unwrap();
        let mut paths: Vec<&str> = hits.iter().map(|hit| hit.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["a.rs", "b.ts", "c.go", "d.py"], "{query}");
    }
}

#[test]
fn a_hit_names_the_line_the_symbol_and_its_surroundings() {
    let text = "//! Head.\n\nstruct Decoder;\n\nimpl Decoder {\n    fn next(&self) {\n        let one = 1;\n        \
                self.advance_header(4);\n        let two = 2;\n    }\n}\n";
    let directory = project(&[("src/frame.rs", text)]);
    let hits = updated(directory.path()).search("advance header", 3).unwrap();
    assert_eq!(places(&hits), [("src/frame.rs", 8)]);
    assert_eq!(hits[0].symbol.as_deref(), Some("Decoder::next"));
    assert_eq!(hits[0].snippet, "        let one = 1;\n        self.advance_header(4);\n        let two = 2;");
    assert!(hits[0].score > 0.0);
}

#[test]
fn a_definition_comes_before_its_uses_and_all_words_before_some() {
    let uses = "fn caller() {\n    retry_policy();\n    retry_policy();\n    retry_policy();\n}\n".to_owned();
    let directory = project(&[
        ("a_use.rs", uses.as_str()),
        ("b_other.rs", "fn policy() {}\n"),
        ("z_definition.rs", "fn retry_policy() {}\n"),
    ]);
    let mut index = updated(directory.path());
    let hits = index.search("retry_policy", 10).unwrap();
    assert_eq!(hits[0].path, "z_definition.rs");
    assert_eq!(hits.last().unwrap().path, "a_use.rs");
    let hits = index.search("retry backoff", 10).unwrap();
    assert_eq!(hits.len(), 2, "some of the words are better than nothing");
    assert_eq!(index.search("retr", 10).unwrap().len(), 2, "the start of a word is enough where nothing else fits");
}

#[test]
fn only_what_changed_is_read_again() {
    let directory = project(&[("a.rs", "fn alpha() {}\n"), ("b.rs", "fn beta() {}\n"), ("c.bin", "\0")]);
    let root = directory.path();
    for path in ["a.rs", "b.rs", "c.bin"] {
        settle(root, path);
    }
    let mut index = open(root);
    let first = index.update(root, Limits::default()).unwrap();
    assert_eq!((first.files, first.changed, first.removed), (2, 2, 0));
    let second = index.update(root, Limits::default()).unwrap();
    assert_eq!((second.files, second.changed, second.removed), (2, 0, 0));
    assert_eq!(second.omitted, first.omitted, "what was left out is still said");

    write(root, "a.rs", b"fn gamma() {}\n");
    std::fs::remove_file(root.join("b.rs")).unwrap();
    let third = index.update(root, Limits::default()).unwrap();
    assert_eq!((third.files, third.changed, third.removed), (1, 1, 1));
    assert!(index.search("alpha", 5).unwrap().is_empty());
    assert!(index.search("beta", 5).unwrap().is_empty());
    assert_eq!(index.search("gamma", 5).unwrap().len(), 1);

    // A new time alone is not a change.
    settle(root, "a.rs");
    assert_eq!(index.update(root, Limits::default()).unwrap().changed, 0);
    // The same size within the same moment is found by its text.
    write(root, "a.rs", b"fn delta() {}\n");
    assert_eq!(index.update(root, Limits::default()).unwrap().changed, 1);
    write(root, "a.rs", b"fn theta() {}\n");
    assert_eq!(index.update(root, Limits::default()).unwrap().changed, 1);
    assert_eq!(index.search("theta", 5).unwrap().len(), 1);
    // A text that became binary is forgotten.
    write(root, "a.rs", b"fn theta() {}\0");
    assert_eq!(index.update(root, Limits::default()).unwrap().changed, 1);
    assert!(index.search("theta", 5).unwrap().is_empty());
}

#[test]
fn another_root_empties_the_index() {
    let (one, two) = (project(&[("a.rs", "fn alpha() {}\n")]), project(&[("b.rs", "fn beta() {}\n")]));
    let mut index = updated(one.path());
    index.update(two.path(), Limits::default()).unwrap();
    assert!(index.search("alpha", 5).unwrap().is_empty());
    assert_eq!(index.search("beta", 5).unwrap().len(), 1);
}

#[test]
fn an_index_outlives_its_process_and_is_shared() {
    let directory = project(&[("a.rs", "fn alpha() {}\n")]);
    settle(directory.path(), "a.rs");
    let first = updated(directory.path());
    let mut second = open(directory.path());
    assert_eq!(second.search("alpha", 5).unwrap().len(), 1);
    assert_eq!(second.update(directory.path(), Limits::default()).unwrap().changed, 0);
    drop(first);
}

#[test]
fn a_damaged_or_foreign_version_is_made_again() {
    let directory = project(&[("a.rs", "fn alpha() {}\n")]);
    let root = directory.path();
    let file = root.join(".cache/deep/index.db");
    let check = |what: &str| {
        let mut index = Index::open(&file).unwrap_or_else(|error| panic!("{what}: {error}"));
        index.update(root, Limits::default()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(index.search("alpha", 5).unwrap().len(), 1, "{what}");
    };
    check("new");
    std::fs::write(&file, b"this is no database at all, and longer than a header of one hundred bytes would be......")
        .unwrap();
    check("garbage");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    check("cut in half");
    let mut wiped = std::fs::read(&file).unwrap();
    let length = wiped.len();
    wiped[4096..length].fill(0xa5);
    std::fs::write(&file, &wiped).unwrap();
    check("pages overwritten");
    let newer = rusqlite::Connection::open(&file).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    check("newer version");
    let partial = rusqlite::Connection::open(&file).unwrap();
    partial.execute_batch("DROP TABLE chunk").unwrap();
    drop(partial);
    check("a table is gone");
    std::fs::write(&file, b"").unwrap();
    check("emptied");
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let directory = project(&[]);
    let file = directory.path().join("theirs.db");
    let theirs = rusqlite::Connection::open(&file).unwrap();
    theirs.execute_batch("CREATE TABLE precious(x); INSERT INTO precious VALUES (1);").unwrap();
    drop(theirs);
    let before = std::fs::read(&file).unwrap();
    assert!(matches!(Index::open(&file), Err(IndexError::Foreign { path }) if path == file));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn several_instances_update_at_once() {
    let files: Vec<(String, String)> =
        (0..200).map(|n| (format!("f{n}.rs"), format!("fn item_{n}() {{}}\n"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let directory = project(&files);
    let root = directory.path();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let mut index = open(root);
                    index.update(root, Limits::default()).unwrap();
                    assert_eq!(index.search("item_77", 5).unwrap()[0].path, "f77.rs");
                }
            });
        }
    });
    let mut index = open(root);
    let hits = index.search("item", 1000).unwrap();
    assert_eq!(hits.len(), 200, "nothing is kept twice");
}
