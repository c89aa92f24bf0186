//! Packages of PyPI in virtual environments, made by uv.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use super::LIMIT;
use crate::shell;

/// The version of uv that is installed where none is found.
const UV: &str = "0.13.8";

/// Whether a package is installed in a virtual environment at this version.
pub fn has_package(directory: &Path, package: &str, version: &str) -> bool {
    let record = format!("site-packages/{}-{version}.dist-info", package.replace('-', "_"));
    let libraries = std::fs::read_dir(directory.join("lib")).into_iter().flatten().filter_map(Result::ok);
    libraries.map(|library| library.path().join(&record)).any(|record| record.is_dir())
}

/// Installs packages into an empty directory; true when uv says that it did.
pub(super) fn install(packages: &[String], python: &str, into: &Path, log: File) -> Result<bool> {
    let uv = uv()?;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&uv);
        command.args(arguments).current_dir(into).env_remove("VIRTUAL_ENV");
        shell::run_into(&mut command, &log, LIMIT)
    };
    let interpreter = interpreter(python);
    // Relocatable: it is made beside its place, moved there, and linked from there into `target/`.
    if !run(&["venv", "--quiet", "--relocatable", "--allow-existing", "--python", &interpreter, "."])? {
        return Ok(false);
    }
    let mut arguments = vec!["pip", "install", "--quiet", "--python", "bin/python", "--compile-bytecode"];
    arguments.extend(packages.iter().map(String::as_str));
    run(&arguments)
}

/// An interpreter of this version that runs, as a path; the version itself where none is found, which uv then fetches.
fn interpreter(version: &str) -> String {
    let name = format!("python{version}");
    let of_pyenv = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv/versions")).and_then(|all| {
        let mut found: Vec<PathBuf> =
            std::fs::read_dir(all).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        found.sort();
        found.into_iter().rev().map(|one| one.join("bin").join(&name)).find(|program| program.is_file())
    });
    let runs = |program: &PathBuf| shell::output(Command::new(program).arg("--version")).is_ok();
    shell::find(&name)
        .filter(runs)
        .or(of_pyenv.filter(runs))
        .map_or_else(|| version.to_owned(), |program| program.display().to_string())
}

/// uv, installed into the cache when nobody has it. Of the installations that run side by side one installs it, and the
/// others wait for that one.
fn uv() -> Result<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if let Some(found) = shell::find("uv") {
        return Ok(found);
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let place = shell::cache()?.join("tools").join(format!("uv-{UV}"));
    if !has_uv(&place) {
        install_uv(&place)?;
    }
    Ok(place.join("bin/uv"))
}

fn has_uv(directory: &Path) -> bool {
    has_package(directory, "uv", UV) && directory.join("bin/uv").is_file()
}

/// Installs uv beside its place first: a program that is still being written there could be taken for one that can run.
fn install_uv(place: &Path) -> Result<()> {
    let python = shell::find("python3").context("python3 is not on PATH, so uv cannot be installed")?;
    super::beside(&format!("uv {UV}"), place, has_uv, |fresh, log| {
        let mut venv = Command::new(python);
        if !shell::run_into(venv.args(["-m", "venv"]).arg(fresh), &log, LIMIT)? {
            let hint =
                "python3 makes no virtual environment: on Debian and Ubuntu `apt-get install python3-venv` mends that";
            writeln!(&log, "{hint}")?;
            return Ok(false);
        }
        let mut pip = Command::new(fresh.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &format!("uv=={UV}")]);
        shell::run_into(&mut pip, &log, LIMIT)
    })
}
