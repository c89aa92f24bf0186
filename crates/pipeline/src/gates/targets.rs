//! Which test files of pytest belong to a change.

use std::path::Path;

/// The test files that changed and those that are named after a changed module, at most `most`.
#[must_use]
pub fn targets(changed: &[String], exists: impl Fn(&str) -> bool, most: usize) -> Vec<String> {
    let mut targets: Vec<String> = Vec::new();
    let mut add = |path: String| {
        if exists(&path) && !targets.contains(&path) {
            targets.push(path);
        }
    };
    // What was changed itself comes before what only has a fitting name.
    for path in changed.iter().filter(|path| is_test(path)) {
        add(path.clone());
    }
    for path in changed.iter().filter(|path| path.ends_with(".py") && !is_test(path)) {
        for candidate in named_after(path) {
            add(candidate);
        }
    }
    targets.truncate(most);
    targets
}

fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".py") && (name.starts_with("test_") || name.ends_with("_test.py"))
}

/// Where a module's tests usually are.
fn named_after(path: &str) -> Vec<String> {
    let path = Path::new(path);
    let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { return Vec::new() };
    let directory = path.parent().and_then(Path::to_str).unwrap_or("");
    // `src/package/a.py` has its tests in `tests/package/` as well as in `tests/`.
    let inner = directory.strip_prefix("src/").unwrap_or(if directory == "src" { "" } else { directory });
    let below = inner.split_once('/').map_or("", |(_, below)| below);
    let mut directories: Vec<String> = vec![directory.to_owned(), join(directory, "tests")];
    for root in ["tests", "test", "tests/unit"] {
        directories.extend([root.to_owned(), join(root, inner), join(root, below)]);
    }
    directories
        .iter()
        .flat_map(|directory| {
            [join(directory, &format!("test_{stem}.py")), join(directory, &format!("{stem}_test.py"))]
        })
        .collect()
}

fn join(directory: &str, name: &str) -> String {
    match (directory, name) {
        ("", name) => name.to_owned(),
        (directory, "") => directory.to_owned(),
        (directory, name) => format!("{directory}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_change_and_by_name() {
        let there =
            ["tests/test_a.py", "src/pkg/tests/test_b.py", "tests/pkg/test_c.py", "tests/test_new.py", "d_test.py"];
        let find = |changed: &[&str], most| {
            let changed: Vec<String> = changed.iter().map(|path| (*path).to_owned()).collect();
            targets(&changed, |path| there.contains(&path), most)
        };
        assert_eq!(find(&["src/a.py", "tests/test_new.py"], 6), ["tests/test_new.py", "tests/test_a.py"]);
        assert_eq!(find(&["src/pkg/b.py", "src/pkg/c.py"], 6), ["src/pkg/tests/test_b.py", "tests/pkg/test_c.py"]);
        assert_eq!(find(&["d.py", "a.py"], 1), ["d_test.py"]);
        assert_eq!(find(&["tests/test_gone.py", "README.md", "a.pyc"], 6), Vec::<String>::new());
    }
}
