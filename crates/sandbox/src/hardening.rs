//! Keeping this process from other processes of the same user: their agents must not read its memory or its secrets.

use std::io;

use nix::sys::resource::{Resource, setrlimit};

/// No core is written, and only root may look into this process: `/proc/<pid>/environ`, its descriptors and its memory are
/// closed to its user's other processes. A program that it becomes or starts is open again.
///
/// # Errors
/// When the kernel refuses.
#[cfg(target_os = "linux")]
pub fn close_to_others() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    nix::sys::prctl::set_dumpable(false)?;
    Ok(())
}

/// macOS guards a process's memory by its own means; here no core is written.
///
/// # Errors
/// When the kernel refuses.
#[cfg(not(target_os = "linux"))]
pub fn close_to_others() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(())
}
