//! `pty-proxy`: one small process per session. It owns the session's terminal (or pipes), the model of its screen, its
//! recording and its process tree, and lives on when the daemon that started it does not.
//!
//! What a session is for, and which are there, belongs to `orchestratord`; the link between the two is
//! `orx_protocol::hold`, that to viewers `orx_protocol::terminal`.

pub mod hold;
pub mod input;
pub mod journal;
pub mod launch;
pub mod link;
pub mod look;
pub mod mirror;
pub mod output;
pub mod process;
pub mod replay;
pub mod terminal;
pub mod watch;
