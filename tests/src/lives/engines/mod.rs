//! The roads, one file an engine.

pub mod aider;
pub mod claude;
pub mod cline;
pub mod codex;
pub mod continue_cli;
pub mod copilot;
pub mod gemini;
pub mod mini;
pub mod opencode;
pub mod openhands;
pub mod pi;
pub mod qwen;
