//! The real program against a scripted daemon: what it prints, and how it ends.

#[cfg(test)]
#[path = "cli/attach.rs"]
mod attach;
#[cfg(test)]
#[path = "cli/calls.rs"]
mod calls;
#[cfg(test)]
#[path = "cli/fake.rs"]
mod fake;
#[cfg(test)]
#[path = "cli/help.rs"]
mod help;
#[cfg(test)]
#[path = "cli/inbox.rs"]
mod inbox;
#[cfg(test)]
#[path = "cli/lifecycle.rs"]
mod lifecycle;
#[cfg(test)]
#[path = "cli/runs.rs"]
mod runs;
