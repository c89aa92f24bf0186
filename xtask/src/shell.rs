//! Running programs and saying so: steps with their time, colours where somebody sees them, and an end on Ctrl-C that
//! still lets the caller tidy up.

use std::ffi::OsStr;
use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const POLL: Duration = Duration::from_millis(20);

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The directory of build results.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |path| root().join(path))
}

/// The user's cache directory for orx: what is slow to fetch and the same for every checkout.
pub fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("orx"))
        .context("neither XDG_CACHE_HOME nor HOME is set, so there is no place for a cache: set one of them")
}

/// The cargo that runs this.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// The first program of this name on `PATH`.
pub fn find(name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(name))
        .find(|path| path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0))
}

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on SIGINT, SIGTERM and SIGHUP end what [`run`] waits for instead of this program.
pub fn catch_interrupts() -> Result<()> {
    let flag = INTERRUPTED.get_or_init(|| Arc::new(AtomicBool::new(false)));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // A second signal while the first is dealt with ends this program at once.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(flag))?;
        signal_hook::flag::register(signal, Arc::clone(flag))?;
    }
    Ok(())
}

/// Whether such a signal came.
pub fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Waits for a child; `limit` and an interrupt end it.
pub fn wait(child: &mut Child, limit: Duration, what: &str) -> Result<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            // The terminal sent Ctrl-C to the child too: that is not its own failure.
            if interrupted() {
                bail!("interrupted");
            }
            return Ok(status);
        }
        let late = started.elapsed() > limit;
        if interrupted() || late {
            let _ = child.kill();
            let _ = child.wait();
            if late {
                bail!("{what} did not end within {} s", limit.as_secs());
            }
            bail!("interrupted");
        }
        std::thread::sleep(POLL);
    }
}

/// Runs a program that shows its own output, and fails when it does.
pub fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let what = shown(command);
    let mut child = command.spawn().with_context(|| format!("{what} could not be started"))?;
    let status = wait(&mut child, limit, &what)?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    Ok(())
}

/// Runs a program that writes what it says into a log; gives whether it succeeded.
pub fn run_into(command: &mut Command, log: &File, limit: Duration) -> Result<bool> {
    let what = shown(command);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
    let mut child = command.spawn().with_context(|| format!("{what} could not be started"))?;
    Ok(wait(&mut child, limit, &what)?.success())
}

/// Runs a program and gives what it printed; what it wrote to standard error is in the failure.
pub fn output(command: &mut Command) -> Result<String> {
    let what = shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{what} could not be started"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{what} failed ({}): {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(OsStr::new("?"));
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend(arguments.map(|word| if word.len() > 60 { "…".to_owned() } else { word }).take(8));
    format!("`{}`", words.join(" "))
}

/// Whether standard output shows colours.
pub fn is_coloured() -> bool {
    static COLOURED: OnceLock<bool> = OnceLock::new();
    *COLOURED.get_or_init(|| std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
}

fn coloured(code: &str, text: &str) -> String {
    if is_coloured() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Text that says something good.
pub fn green(text: &str) -> String {
    coloured("32", text)
}

/// Text that says something bad.
pub fn red(text: &str) -> String {
    coloured("1;31", text)
}

/// Text that somebody should not overlook.
pub fn yellow(text: &str) -> String {
    coloured("33", text)
}

/// Text that matters most.
pub fn bold(text: &str) -> String {
    coloured("1", text)
}

/// Text that may be overlooked.
pub fn dim(text: &str) -> String {
    coloured("2", text)
}

/// A duration as people say it.
pub fn seconds(duration: Duration) -> String {
    if duration.as_secs() >= 100 {
        format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}
