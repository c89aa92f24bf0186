//! One road to one engine, as data.

use std::path::Path;

use orx_engines::EngineKind;

use super::{Bed, Turn};
use crate::model::Step;

/// How an engine is started on one of its channels so that it asks before it writes, and what is then seen of it.
#[derive(Clone, Copy)]
pub struct Road {
    /// The engine.
    pub kind: EngineKind,
    /// What `session.create` is told of the channel.
    pub channel: &'static str,
    /// What `session.get` says of it; `None` where there is nothing but the terminal.
    pub shown: Option<&'static str>,
    /// Arguments of the engine.
    pub argv: &'static [&'static str],
    /// Variables of the session.
    pub env: &'static [(&'static str, &'static str)],
    /// Programs that speak the channel for the engine.
    pub adapters: &'static [&'static str],
    /// Writes into the working directory what the engine reads there.
    pub prepare: fn(&Path),
    /// What the model says in a turn so that the engine makes its file.
    pub steps: fn(Turn) -> Vec<Step>,
    /// Whether the engine can take a conversation up again of which all is [`super::written()`].
    pub ready: fn(&Bed) -> bool,
    /// By which road its question comes to the inbox: `protocol`, `hook` or `screen`; `None` for one that never asks.
    pub asked_by: Option<&'static str>,
}

impl Road {
    /// An engine on its terminal that needs nothing but its channel's name, writes with its own tool and never asks; a file
    /// of an engine says what is different.
    #[must_use]
    pub const fn of(kind: EngineKind, channel: &'static str) -> Self {
        Self {
            kind,
            channel,
            shown: None,
            argv: &[],
            env: &[],
            adapters: &[],
            prepare: |_| {},
            steps: |turn| super::called(turn.prompt, vec![super::write(turn.file)]),
            ready: |_| true,
            asked_by: None,
        }
    }
}
