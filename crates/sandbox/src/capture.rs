//! Running a program to its end and keeping what it wrote, within limits of time and size.

use orx_protocol::process::{Exit, ProcessIdentity};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::environment::Environment;
use crate::spawn::{self, SpawnError};
use crate::{identity, tree};

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Program {
    /// Program and arguments; never a shell line.
    pub argv: Vec<String>,
    /// Working directory.
    pub cwd: PathBuf,
    /// The exact environment.
    pub environment: Environment,
    /// Bytes for standard input; it is empty when `None`.
    pub input: Option<Vec<u8>>,
    /// The tree is ended when this has passed.
    pub deadline: Duration,
    /// Bytes kept of each output; what comes beyond is read and dropped.
    pub output_limit: usize,
}

/// How a program ended and what it wrote.
#[derive(Debug, Clone)]
pub struct Captured {
    /// Exit status or signal.
    pub exit: Exit,
    /// Whether the deadline ended it.
    pub timed_out: bool,
    /// Standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// Standard error, up to the limit.
    pub stderr: Vec<u8>,
    /// Whether either output was longer than the limit.
    pub truncated: bool,
}

impl Captured {
    /// Whether the program reported success in time.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.exit.is_success() && !self.timed_out
    }

    /// Standard output as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// How long outputs may stay open after the program ended, when a child of its holds them.
const DRAIN: Duration = Duration::from_millis(500);
/// How long a tree that missed its deadline may take to end politely.
const GRACE: Duration = Duration::from_millis(500);

/// Runs a program to its end. Whatever it leaves running is ended with it.
///
/// # Errors
/// [`SpawnError`] when it cannot be started or watched; a program that fails is not an error here.
pub async fn capture(program: Program) -> Result<Captured, SpawnError> {
    let name = program.argv.first().cloned().unwrap_or_default();
    let watch = |source| SpawnError::Watch { program: name.clone(), source };
    let input = if program.input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child =
        spawn::supervised(&program.argv, &program.cwd, &program.environment, [input, Stdio::piped(), Stdio::piped()])?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let process = pid.and_then(identity::of);
    let stdin = child.stdin.take();
    let bytes = program.input.unwrap_or_default();
    let feed = async move {
        if let Some(mut stdin) = stdin {
            // A program that does not read its input to the end says so by its exit status.
            let _ = stdin.write_all(&bytes).await;
            let _ = stdin.shutdown().await;
        }
    };
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let limit = program.output_limit;
    let mut out = Kept::new(limit);
    let mut err = Kept::new(limit);
    let (status, timed_out) = {
        let reading = async { tokio::join!(out.read(stdout), err.read(stderr), feed) };
        tokio::pin!(reading);
        let mut read_all = false;
        let deadline = tokio::time::sleep(program.deadline);
        tokio::pin!(deadline);
        let ended = loop {
            tokio::select! {
                status = child.wait() => break Some(status.map_err(watch)?),
                _ = &mut reading, if !read_all => read_all = true,
                () = &mut deadline => break None,
            }
        };
        let timed_out = ended.is_none();
        end_tree(pid, process).await;
        let status = match ended {
            Some(status) => status,
            None => child.wait().await.map_err(watch)?,
        };
        if !read_all {
            let _ = tokio::time::timeout(DRAIN, &mut reading).await;
        }
        (status, timed_out)
    };
    Ok(Captured {
        exit: spawn::exit(status),
        timed_out,
        truncated: out.dropped || err.dropped,
        stdout: out.bytes,
        stderr: err.bytes,
    })
}

/// Ends what is left of the program's tree: its descendants, and its process group for those whose parent is gone. A
/// program that was over before it could be looked at has no identity; its group still names what it left behind.
async fn end_tree(pid: Option<i32>, process: Option<ProcessIdentity>) {
    if let Some(process) = process.filter(|process| identity::is_alive(*process)) {
        let members = move || tree::with_descendants(process);
        let ending = tokio::task::spawn_blocking(move || tree::end(members, GRACE));
        // Its answer is only whether the tree is gone, and what is left of it is in the group.
        let _ = ending.await;
    }
    if let Some(pid) = pid {
        // No such group is what was wanted.
        let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
}

struct Kept {
    bytes: Vec<u8>,
    limit: usize,
    dropped: bool,
}

impl Kept {
    fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, dropped: false }
    }

    async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count) = stream.read(&mut buffer).await {
            if count == 0 {
                break;
            }
            let room = self.limit.saturating_sub(self.bytes.len());
            let (kept, rest) = buffer.get(..count).unwrap_or_default().split_at(count.min(room));
            self.bytes.extend_from_slice(kept);
            self.dropped |= !rest.is_empty();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn program(argv: &[&str]) -> Program {
        Program {
            argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
            cwd: std::env::temp_dir(),
            environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            input: None,
            deadline: Duration::from_secs(20),
            output_limit: 64 * 1024,
        }
    }

    #[tokio::test]
    async fn what_a_program_writes_and_how_it_ends_is_kept() {
        let captured = capture(program(&["/bin/sh", "-c", "echo out; echo err >&2; exit 3"])).await.unwrap();
        assert_eq!((captured.stdout_text().as_str(), captured.stderr_text().as_str()), ("out\n", "err\n"));
        assert_eq!(captured.exit, Exit::Code(3));
        assert!(!captured.is_success());
    }

    #[tokio::test]
    async fn the_environment_is_exactly_what_was_given() {
        let captured = capture(program(&["/usr/bin/env"])).await.unwrap();
        assert_eq!(captured.stdout_text(), "PATH=/usr/bin:/bin\n");
    }

    #[tokio::test]
    async fn input_is_fed_and_output_is_bounded() {
        let mut cat = program(&["/bin/cat"]);
        cat.input = Some(vec![b'x'; 300_000]);
        let captured = capture(cat).await.unwrap();
        assert_eq!(captured.stdout.len(), 64 * 1024);
        assert!(captured.truncated);
    }

    #[tokio::test]
    async fn a_deadline_ends_the_whole_tree_of_a_program_that_ignores_signals() {
        let mut stubborn = program(&["/bin/sh", "-c", "trap '' TERM HUP; sleep 600 & echo $!; wait; sleep 600"]);
        stubborn.deadline = Duration::from_millis(300);
        let started = Instant::now();
        let captured = capture(stubborn).await.unwrap();
        assert!(captured.timed_out && started.elapsed() < Duration::from_secs(15));
        let child: i32 = captured.stdout_text().trim().parse().unwrap();
        assert_eq!(identity::of(child), None, "the child of the program lives on");
    }

    #[tokio::test]
    async fn what_a_program_leaves_behind_is_ended_with_it() {
        let captured = capture(program(&["/bin/sh", "-c", "sleep 600 & echo $!"])).await.unwrap();
        let child: i32 = captured.stdout_text().trim().parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while identity::of(child).is_some() && Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        assert_eq!(identity::of(child), None);
    }

    #[tokio::test]
    async fn what_cannot_be_started_is_named() {
        assert!(matches!(capture(program(&[])).await, Err(SpawnError::Empty)));
        assert!(matches!(capture(program(&["/bin/echo", "a\0b"])).await, Err(SpawnError::ZeroByte { .. })));
        let error = capture(program(&["/nonexistent/tool"])).await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/tool"));
        let mut nowhere = program(&["/bin/echo"]);
        nowhere.cwd = PathBuf::from("/nonexistent");
        assert!(matches!(capture(nowhere).await, Err(SpawnError::Directory { .. })));
    }
}
