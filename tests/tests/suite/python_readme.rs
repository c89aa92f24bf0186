//! The ten lines of Python in the README do what the README says.

use std::process::Command;

use orx_tests::harness::Daemon;

/// The first block of Python in the README.
fn script() -> &'static str {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once("```python\n").expect("the README has a block of Python");
    rest.split_once("```").expect("the block ends").0
}

#[test]
fn the_script_of_the_readme_speaks_to_the_daemon() {
    let script = script();
    assert!(script.lines().filter(|line| !line.trim().is_empty()).count() <= 10, "it is not ten lines any more");
    let daemon = Daemon::start(|_| {});
    daemon.wait_for_workers(4);
    let output = Command::new("python3")
        .args(["-c", script])
        .env("ORX_SOCKET", daemon.socket())
        .output()
        .expect("python3 is installed");
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 2, "{printed}");
    assert!(lines[0].contains("healthy"), "{printed}");
    assert!(lines[1].contains("CAP-DEMO-1"), "{printed}");
}
