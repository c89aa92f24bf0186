//! Runs.
pub mod backlog;
pub mod gates;
pub mod machine;
pub mod settings;
pub mod verdict;
