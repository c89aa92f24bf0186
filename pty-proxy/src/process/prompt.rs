//! Asks the kernel to let this thread run soon after it wakes, also while many programs compute. It gets no more of a processor
//! by that: what it is given comes in shorter pieces, and the next piece is due sooner.

/// How long a piece is, in nanoseconds; the shortest that Linux gives.
#[cfg(target_os = "linux")]
const PIECE_NS: u64 = 100_000;

/// The kernel's `struct sched_attr` in its first version (`sched(7)`, `sched_setattr(2)`).
#[cfg(target_os = "linux")]
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Makes this thread, and those that it starts from now on, prompt. Kernels before Linux 6.12 do not know what that is; the thread is
/// as it was then.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // No library here has these calls.
pub fn become_prompt() {
    use nix::libc::{SYS_sched_getattr, SYS_sched_setattr, syscall};
    let mut attributes = Attributes::default();
    let size = size_of::<Attributes>();
    // SAFETY: the kernel writes at most `size` bytes to `attributes`, which has as many and no invalid values.
    let known = unsafe { syscall(SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    // Whoever runs it with another policy has decided that already.
    if known != 0 || attributes.policy != 0 {
        return;
    }
    attributes.runtime = PIECE_NS;
    // SAFETY: the kernel reads `size` bytes, which `attributes` has and says.
    unsafe { syscall(SYS_sched_setattr, 0, &raw const attributes, 0) };
}

/// As on Linux. Written for macOS, which has no such call for processes of its users, and not tested there.
#[cfg(not(target_os = "linux"))]
pub fn become_prompt() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code)] // As above.
    fn a_prompt_thread_keeps_its_nice_value_and_policy() {
        use nix::libc::{SYS_sched_getattr, syscall};
        let told = || {
            let mut attributes = Attributes::default();
            // SAFETY: as above.
            let known = unsafe { syscall(SYS_sched_getattr, 0, &raw mut attributes, size_of::<Attributes>(), 0) };
            assert_eq!(known, 0);
            attributes
        };
        let before = told();
        become_prompt();
        let after = told();
        assert_eq!((after.policy, after.nice, after.flags), (before.policy, before.nice, before.flags));
        // Older kernels tell nothing of pieces.
        assert!([0, before.runtime, PIECE_NS].contains(&after.runtime), "{}", after.runtime);
    }
}
