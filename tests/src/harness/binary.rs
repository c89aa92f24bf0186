//! Finding orx's programs: they lie in the directory from which the tests run, two levels up.

use std::path::PathBuf;

/// The program `name` of this build.
///
/// # Panics
/// When it was not built; the message says how to.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let directory = directory();
    let path = directory.join(name);
    assert!(
        path.is_file(),
        "{} is not there: build the programs first with `cargo build --workspace --bins` (`cargo xtask test` does)",
        path.display()
    );
    path
}

/// The directory of this build's programs, `target/debug` as a rule.
#[must_use]
pub fn directory() -> PathBuf {
    let own = std::env::current_exe().expect("the test knows its own path");
    let directory = own.parent().expect("a program lies in a directory");
    if directory.ends_with("deps") || directory.ends_with("examples") {
        directory.parent().expect("deps lies in the build's directory").to_owned()
    } else {
        directory.to_owned()
    }
}

/// `PATH` for daemons under test: this build's programs before the machine's, so that `orx.yaml` can name the scripted CLI.
///
/// # Panics
/// When the machine's `PATH` is not UTF-8.
#[must_use]
pub fn search_path() -> String {
    let machine = std::env::var("PATH").expect("PATH is text");
    format!("{}:{machine}", directory().display())
}
