//! Limits of the wire and of queues, in one place so that every surface refuses alike.

/// Largest frame accepted before the peer is known (64 KiB), in bytes.
pub const FRAME_BEFORE_KNOWN: usize = 64 * 1024;
/// Largest frame accepted from a known peer (1 MiB), in bytes; the daemon's configuration may raise it.
pub const FRAME_KNOWN: usize = 1024 * 1024;
/// Largest binary frame on the terminal link (4 MiB), in bytes: a full redraw of the largest screen fits.
pub const FRAME_TERMINAL: usize = 4 * 1024 * 1024;
/// Bytes that may wait for one slow client before it is cut (8 MiB).
pub const CLIENT_BACKLOG: usize = 8 * 1024 * 1024;
/// Requests that one connection may have in flight; no further ones are read until some are answered.
pub const IN_FLIGHT_PER_CONNECTION: usize = 1024;
/// How long a dispatched request may take when its caller names no deadline, in milliseconds.
pub const DISPATCH_DEADLINE_MS: u64 = 60_000;
/// Longest Unix socket path that every supported kernel binds, in bytes (`sun_path` less its final zero).
pub const SOCKET_PATH: usize = 107;
/// Largest terminal size accepted; larger requests are clamped.
pub const TERMINAL_MAX: u16 = 1000;
/// Longest task text accepted by `run.start`, in bytes.
pub const TASK_TEXT: usize = 512 * 1024;
