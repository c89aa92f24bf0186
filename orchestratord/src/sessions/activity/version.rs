//! Which version of a coding CLI a session runs, as far as the files beside its program say: nothing is started for it.

use semver::Version;
use std::path::Path;

/// Directories above the program in which its package may describe itself.
const ABOVE: usize = 5;
/// Largest description that is read, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// The version that the nearest `package.json` above a program tells; `None` for programs that came in another way.
pub(super) fn installed(program: &Path) -> Option<Version> {
    if !program.is_absolute() {
        return None;
    }
    let program = program.canonicalize().ok()?;
    program.ancestors().skip(1).take(ABOVE).find_map(|directory| {
        let path = directory.join("package.json");
        let size = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?.len();
        let text = (size <= LIMIT).then(|| std::fs::read(path).ok()).flatten()?;
        let package: serde_json::Value = serde_json::from_slice(&text).ok()?;
        package.get("version")?.as_str()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_package_above_the_program_tells_the_version() {
        let scratch = tempfile::tempdir().unwrap();
        let package = scratch.path().join("node_modules/@x/cli");
        std::fs::create_dir_all(package.join("bin")).unwrap();
        std::fs::write(package.join("bin/cli.js"), "").unwrap();
        std::fs::write(package.join("package.json"), r#"{"name":"cli","version":"2.1.328"}"#).unwrap();
        std::fs::write(scratch.path().join("package.json"), r#"{"version":"9.9.9"}"#).unwrap();
        let link = scratch.path().join("cli");
        std::os::unix::fs::symlink(package.join("bin/cli.js"), &link).unwrap();
        assert_eq!(installed(&link), Some(Version::new(2, 1, 328)));
        assert_eq!(installed(Path::new("cli")), None);
        assert_eq!(installed(Path::new("/nowhere/cli")), None);
    }
}
