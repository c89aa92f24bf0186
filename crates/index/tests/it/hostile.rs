//! Files that no parser or database likes.

use std::os::unix::fs::{PermissionsExt, symlink};

use orx_index::{Index, Limits, MapOptions, Omission, Parse, project_map};

use crate::{project, write};

#[test]
fn hostile_files_are_named_or_read_and_never_stop_the_rest() {
    let directory = project(&[("fine.rs", "fn fine() {}\n")]);
    let root = directory.path();
    write(root, "binary.rs", b"fn a() {}\0\xff\xfe");
    write(root, "latin.py", b"# caf\xe9\ndef cafe(): pass\n");
    write(root, "line.js", "x".repeat(2 << 20).as_bytes());
    write(root, "long_line.js", format!("var s = \"{}\"; function tail() {{}}", "y".repeat(900_000)).as_bytes());
    write(root, "deep.py", format!("x = {}1{}\n", "(".repeat(50_000), ")".repeat(50_000)).as_bytes());
    write(root, "open.ts", "{[(<".repeat(50_000).as_bytes());
    write(root, "locked.rs", b"fn locked() {}\n");
    std::fs::set_permissions(root.join("locked.rs"), std::fs::Permissions::from_mode(0o000)).unwrap();
    symlink(root, root.join("loop")).unwrap();
    symlink("/etc/passwd", root.join("outside.rs")).unwrap();
    symlink("dangling", root.join("dangling.rs")).unwrap();
    // The superuser reads what nobody may read.
    let locked_is_readable = std::fs::read(root.join("locked.rs")).is_ok();

    let map = project_map(root, &MapOptions::default()).unwrap();
    let file = |path: &str| map.files.iter().find(|file| file.path == path);
    assert_eq!(file("fine.rs").unwrap().symbols.len(), 1);
    assert_eq!(file("latin.py").unwrap().symbols[0].name, "cafe");
    assert_eq!(file("long_line.js").unwrap().symbols.last().unwrap().name, "tail");
    assert!(file("deep.py").is_some() && file("open.ts").unwrap().parse != Parse::Full);
    assert_eq!(file("locked.rs").is_some(), locked_is_readable);
    for skipped in ["loop/fine.rs", "outside.rs", "dangling.rs"] {
        assert!(file(skipped).is_none(), "{skipped}");
    }
    let reasons: Vec<Omission> = map.omitted.iter().map(|omitted| omitted.reason).collect();
    assert!(reasons.contains(&Omission::Binary) && reasons.contains(&Omission::TooLarge), "{reasons:?}");
    assert_eq!(reasons.contains(&Omission::Unreadable), !locked_is_readable);

    let mut index = Index::open(&root.join(".cache/index.db")).unwrap();
    let report = index.update(root, Limits::default()).unwrap();
    assert_eq!(report.files as usize, map.files.len());
    assert_eq!(report.omitted, map.omitted);
    assert_eq!(index.search("fine", 5).unwrap()[0].path, "fine.rs");
    assert_eq!(index.search("tail", 5).unwrap()[0].path, "long_line.js");
}

#[test]
fn no_query_is_an_error() {
    let directory = project(&[("a.rs", "fn parse_frame() {}\n// größe 解析 AND\n")]);
    let mut index = Index::open(&directory.path().join(".i.db")).unwrap();
    index.update(directory.path(), Limits::default()).unwrap();
    for query in [
        "",
        " ",
        "\"",
        "\"\"",
        "'",
        "*",
        "^",
        "a*b",
        "NEAR(a b, 2)",
        "AND",
        "a AND",
        "OR NOT",
        "body:x",
        "-x",
        "(((",
        ")",
        "{",
        "a\0b",
        "\0",
        "🚀",
        "🚀 frame",
        "' OR 1=1 --",
        "; DROP TABLE file;",
        "\u{301}",
        "ก็",
        "\u{1e900}\u{1e901}",
        "٣",
        "½",
        "x\u{200d}y",
        "%_",
        "\\",
        "parse_frame\"",
        "größe",
        "解析",
    ] {
        index.search(query, 10).unwrap_or_else(|error| panic!("{query:?}: {error}"));
    }
    index.search(&"word ".repeat(100_000), 10).unwrap();
    index.search(&"(\"".repeat(100_000), 10).unwrap();
    assert!(index.search("parse", 0).unwrap().is_empty());
    assert_eq!(index.search("PARSE🚀FRAME \0\"", usize::MAX).unwrap().len(), 1);
}
