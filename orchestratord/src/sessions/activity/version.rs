//! Which version of a coding CLI a session runs, as far as the files beside its program say: nothing is started for it.

use orx_protocol::api::session::Session;
use semver::Version;
use std::path::{Path, PathBuf};

/// Directories above the program in which its package may describe itself.
const ABOVE: usize = 5;
/// Largest description that is read, in bytes.
const LIMIT: u64 = 1024 * 1024;
/// Most packages of a Python environment that are looked through.
const PACKAGES: usize = 2000;

/// The version of a session's program.
pub(super) fn of(session: &Session) -> Option<Version> {
    installed(session.argv.first()?.as_ref())
}

/// The version that the files of an installed program tell: the nearest `package.json` above it, the Python package that
/// has it as a script, or a directory or file that is named after its version; `None` for programs that came in another
/// way.
fn installed(program: &Path) -> Option<Version> {
    if !program.is_absolute() {
        return None;
    }
    let real = program.canonicalize().ok()?;
    named(real.file_name()?).or_else(|| node(&real)).or_else(|| python(program, &real)).or_else(|| {
        let above = real.ancestors().skip(1).take(ABOVE);
        above.filter_map(Path::file_name).find_map(named)
    })
}

/// A name that is a version, as installers give to what they keep side by side.
fn named(name: &std::ffi::OsStr) -> Option<Version> {
    Version::parse(name.to_str()?).ok()
}

fn node(program: &Path) -> Option<Version> {
    program.ancestors().skip(1).take(ABOVE).find_map(|directory| {
        let package: serde_json::Value = serde_json::from_str(&text(&directory.join("package.json"))?).ok()?;
        package.get("version")?.as_str()?.parse().ok()
    })
}

/// A script of a Python environment, which lies in its `bin`; the link to it may have another name.
fn python(program: &Path, real: &Path) -> Option<Version> {
    let lib = real.parent()?.parent()?.join("lib");
    let names = [real, program].map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
    let is_script = |package: &PathBuf| {
        let listed = text(&package.join("entry_points.txt")).unwrap_or_default();
        let listed: Vec<&str> = listed.lines().filter_map(|line| Some(line.split_once('=')?.0.trim())).collect();
        names.iter().flatten().any(|name| listed.contains(&name.as_str()))
    };
    let environments = entries(&lib, "").filter(|path| path.join("site-packages").is_dir());
    let mut packages = environments.flat_map(|python| entries(&python.join("site-packages"), ".dist-info"));
    let package = packages.find(is_script)?;
    let (_, version) = package.file_stem()?.to_str()?.rsplit_once('-')?;
    Version::parse(version).ok()
}

fn entries(directory: &Path, ending: &'static str) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    entries.filter(move |path| path.to_string_lossy().ends_with(ending)).take(PACKAGES)
}

fn text(path: &Path) -> Option<String> {
    let size = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
    (size <= LIMIT).then(|| std::fs::read_to_string(path).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn the_nearest_package_above_the_program_tells_the_version() {
        let scratch = tempfile::tempdir().unwrap();
        let package = scratch.path().join("node_modules/@x/cli");
        write(&package.join("bin/cli.js"), "");
        write(&package.join("package.json"), r#"{"name":"cli","version":"2.1.328"}"#);
        write(&scratch.path().join("package.json"), r#"{"version":"9.9.9"}"#);
        let link = scratch.path().join("cli");
        std::os::unix::fs::symlink(package.join("bin/cli.js"), &link).unwrap();
        assert_eq!(installed(&link), Some(Version::new(2, 1, 328)));
        assert_eq!(installed(Path::new("cli")), None);
        assert_eq!(installed(Path::new("/nowhere/cli")), None);
    }

    #[test]
    fn the_python_package_that_has_the_script_tells_the_version() {
        let scratch = tempfile::tempdir().unwrap();
        let site = scratch.path().join("lib/python3.11/site-packages");
        write(&scratch.path().join("bin/helper"), "#!python");
        write(&site.join("other-9.0.0.dist-info/entry_points.txt"), "[console_scripts]\nhelper-two = other:main\n");
        write(&site.join("helper_chat-0.86.2.dist-info/entry_points.txt"), "[console_scripts]\nhelper = a.main:main\n");
        assert_eq!(installed(&scratch.path().join("bin/helper")), Some(Version::new(0, 86, 2)));
        write(&scratch.path().join("bin/stranger"), "");
        assert_eq!(installed(&scratch.path().join("bin/stranger")), None);
    }

    #[test]
    fn a_path_that_is_named_after_the_version_tells_it() {
        let scratch = tempfile::tempdir().unwrap();
        write(&scratch.path().join("share/cli/versions/2.1.197"), "");
        let link = scratch.path().join("cli");
        std::os::unix::fs::symlink(scratch.path().join("share/cli/versions/2.1.197"), &link).unwrap();
        assert_eq!(installed(&link), Some(Version::new(2, 1, 197)));
        write(&scratch.path().join("Cellar/cli/0.169.0/bin/cli"), "");
        assert_eq!(installed(&scratch.path().join("Cellar/cli/0.169.0/bin/cli")), Some(Version::new(0, 169, 0)));
    }
}
