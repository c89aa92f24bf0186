//! Both clocks at one instant. What has to last, or has to do with days, is counted by the wall; what only has to pass is
//! counted by the one that does not jump.

/// Both clocks at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// Monotonic milliseconds.
    pub monotonic_ms: u64,
    /// Milliseconds since the epoch.
    pub wall_ms: u64,
}
