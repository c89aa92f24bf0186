//! What a map holds, in which order, and what it says it left out.

use orx_index::{Language, Limits, MapOptions, Omission, Parse, project_map};

use crate::{project, write};

fn paths(map: &orx_index::ProjectMap) -> Vec<&str> {
    map.files.iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn ignored_and_hidden_files_are_no_part_of_it_and_the_order_is_fixed() {
    let directory = project(&[
        (".gitignore", "target/\n*.log\n"),
        (".env", "KEY=1"),
        ("b/z.py", "x = 1\n"),
        ("a.rs", "fn a() {}\n"),
        ("b/.gitignore", "secret.py\n"),
        ("b/secret.py", "y = 1\n"),
        ("target/out.rs", "fn t() {}\n"),
        ("run.log", "text"),
        ("README.md", "# hi\nthere\n"),
        ("notes", "free text"),
    ]);
    let map = project_map(directory.path(), &MapOptions::default()).unwrap();
    assert_eq!(paths(&map), ["README.md", "a.rs", "b/z.py", "notes"]);
    assert_eq!(map, project_map(directory.path(), &MapOptions::default()).unwrap());
    let readme = &map.files[0];
    assert_eq!((readme.language, readme.bytes, readme.lines), (Some(Language::Markdown), 11, 2));
    assert_eq!((readme.parse, map.files[3].language), (Parse::Unsupported, None));
    assert!(map.omitted.is_empty());
}

#[test]
fn a_worktree_is_mapped_although_its_repository_ignores_it() {
    let directory = project(&[
        (".git/info/exclude", "/.worktrees/\n"),
        (".gitignore", "*.py\n"),
        (".worktrees/one/.git", "gitdir: ../../.git/worktrees/one\n"),
        (".worktrees/one/a.py", "def a(): pass\n"),
    ]);
    let map = project_map(&directory.path().join(".worktrees/one"), &MapOptions::default()).unwrap();
    assert_eq!(paths(&map), ["a.py"]);
}

#[test]
fn a_part_of_a_repository_follows_the_rules_of_the_whole() {
    let directory = project(&[(".git/HEAD", ""), (".gitignore", "*.py\n"), ("part/a.py", ""), ("part/b.rs", "")]);
    let map = project_map(&directory.path().join("part"), &MapOptions::default()).unwrap();
    assert_eq!(paths(&map), ["b.rs"]);
}

#[test]
fn what_is_beyond_the_limits_is_counted_with_examples() {
    let directory = project(&[("a.rs", "fn a() {}\n"), ("b.rs", "fn b() {}\n"), ("c.rs", "fn c() {}\n")]);
    write(directory.path(), "big.rs", &[b'x'; 101]);
    let limits = Limits { file_bytes: 100, files: 2 };
    let map = project_map(directory.path(), &MapOptions { limits, answer_bytes: None }).unwrap();
    assert_eq!(paths(&map), ["a.rs", "b.rs"]);
    let omitted: Vec<_> = map.omitted.iter().map(|one| (one.reason, one.count, one.examples.as_slice())).collect();
    assert_eq!(
        omitted,
        [(Omission::TooLarge, 1, &["big.rs".to_owned()][..]), (Omission::TooMany, 1, &["c.rs".to_owned()][..])]
    );
}

#[test]
fn a_map_fits_the_answer_and_says_what_it_gave_up() {
    let files: Vec<(String, String)> = (0..50)
        .map(|n| (format!("f{n:02}.py"), "class A:\n    def method(self): pass\ndef outer(): pass\n".repeat(20)))
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let directory = project(&files);
    let whole = project_map(directory.path(), &MapOptions::default()).unwrap();
    for answer_bytes in [200_000, 100_000, 20_000, 4_000, 0] {
        let options = MapOptions { answer_bytes: Some(answer_bytes), ..MapOptions::default() };
        let map = project_map(directory.path(), &options).unwrap();
        assert!(serde_json::to_vec(&map.files).unwrap().len() <= answer_bytes + 2, "{answer_bytes}");
        let left_out: u64 = map.omitted.iter().map(|omitted| omitted.count).sum();
        assert_eq!(map.files.len() as u64 + left_out, 50);
        for (file, full) in map.files.iter().zip(&whole.files) {
            assert_eq!(file.symbols.len() as u64 + file.symbols_omitted, full.symbols.len() as u64);
        }
        assert_eq!(map.languages, whole.languages, "totals stay those of the whole project");
    }
}

#[test]
fn the_text_names_files_symbols_and_what_is_missing() {
    let directory = project(&[("src/a.rs", "pub struct A;\nimpl A {\n    fn go() {}\n}\n"), ("bad.py", "def (:\n")]);
    write(directory.path(), "logo.png", b"\x89PNG\0\0");
    let text = project_map(directory.path(), &MapOptions::default()).unwrap().render();
    assert_eq!(
        text,
        "# Project map\n\n2 files, 5 lines\n- rust: 1 files, 4 lines\n- python: 1 files, 1 lines\n\n\
         Left out:\n- 1 files, binary: logo.png\n\n\
         bad.py (1 lines, syntax errors)\nsrc/a.rs (4 lines)\n  1-1 struct A\n  3-3 method A > go\n"
    );
}

#[test]
fn a_root_that_is_no_directory_is_named() {
    let directory = project(&[("file", "x")]);
    for root in ["file", "gone"] {
        let error = project_map(&directory.path().join(root), &MapOptions::default()).unwrap_err();
        assert!(error.to_string().contains(root), "{error}");
    }
}
