//! Puts what a provider streams into order for the caller: one block after the other, none inside another, nothing lost.
//!
//! Providers interleave the arguments of parallel calls, name a tool after its first piece, or go on with text while a call is
//! open. Callers' clients stumble over each of these. Here the first call flows through as it comes, and what belongs to a later
//! block waits for the end of the one before. What an event looks like is the encoder's.

use super::error::{ApiError, ErrorKind};
use super::event::{Event, Open};
use super::loss::Loss;
use super::reply::Stop;
use super::signature::Signature;
use super::stream::Encoder;
use super::write::Writer;
use super::{Dialect, Usage};

/// The most bytes of one answer: some callers' dialects repeat all of it at the end, so it is held. No model says as much.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// Follows the text of a JSON object as it comes in pieces, to know its end.
#[derive(Debug, Default)]
struct ObjectEnd {
    depth: u32,
    in_string: bool,
    escaped: bool,
    began: bool,
}

impl ObjectEnd {
    /// Whether the object ended in this piece.
    fn feed(&mut self, piece: &str) -> bool {
        for byte in piece.bytes() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.began = true;
                    self.depth += 1;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.began && self.depth == 0 && !self.in_string
    }
}

#[derive(Debug, Default)]
struct Tool {
    /// The provider's number of the call.
    key: u64,
    id: String,
    name: String,
    signature: Option<String>,
    /// Arguments that wait for the block to be opened.
    held: String,
    object: ObjectEnd,
    opened: bool,
    ended: bool,
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Current {
    Nothing,
    Prose(Kind),
    Tool(usize),
}

/// What a decoder tells, put into order and written by the caller's encoder.
#[derive(Debug)]
pub(crate) struct Linear {
    origin: Dialect,
    encoder: Encoder,
    pub(crate) writer: Writer,
    /// Unique to the answer: identifiers are made from it where the provider gives none.
    seed: String,
    started: bool,
    current: Current,
    signature: String,
    tools: Vec<Tool>,
    /// Prose that came while a call was open.
    held: Vec<(Kind, String)>,
    stop: Stop,
    stop_sequence: Option<String>,
    usage: Usage,
    /// Bytes of the answer so far.
    taken: usize,
    finished: bool,
    failure: Option<ApiError>,
}

impl Linear {
    pub(crate) fn new(origin: Dialect, encoder: Encoder, seed: &str) -> Self {
        Self {
            origin,
            encoder,
            writer: Writer::default(),
            seed: seed.to_owned(),
            started: false,
            current: Current::Nothing,
            signature: String::new(),
            tools: Vec::new(),
            held: Vec::new(),
            stop: Stop::EndTurn,
            stop_sequence: None,
            usage: Usage::default(),
            taken: 0,
            finished: false,
            failure: None,
        }
    }

    pub(crate) const fn usage(&self) -> Usage {
        self.usage
    }

    pub(crate) const fn is_over(&self) -> bool {
        self.finished || self.failure.is_some()
    }

    pub(crate) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Goes on with an answer of which so many events passed elsewhere.
    pub(crate) fn after(&mut self, name: Option<&str>, events: u64) {
        self.encoder.after(name, events);
    }

    pub(crate) fn losses(&self) -> &[Loss] {
        self.encoder.losses()
    }

    pub(crate) const fn failure(&self) -> Option<&ApiError> {
        self.failure.as_ref()
    }

    fn emit(&mut self, event: &Event<'_>) {
        self.encoder.write(event, &mut self.writer);
    }

    /// The answer begins. Later calls change nothing.
    pub(crate) fn start(&mut self, id: Option<&str>, model: Option<&str>) {
        if !std::mem::replace(&mut self.started, true) {
            let usage = self.usage;
            self.emit(&Event::Start { id, model, usage });
        }
    }

    pub(crate) const fn is_started(&self) -> bool {
        self.started
    }

    pub(crate) const fn add_usage(&mut self, usage: Usage) {
        self.usage.merge(usage);
    }

    pub(crate) fn stop(&mut self, stop: Stop, sequence: Option<&str>) {
        self.stop = stop;
        self.stop_sequence = sequence.map(str::to_owned);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.prose(Kind::Text, text);
    }

    pub(crate) fn thinking(&mut self, text: &str) {
        self.prose(Kind::Thinking, text);
    }

    /// Whether a piece still fits the answer; where not, it fails.
    fn takes(&mut self, piece: &str) -> bool {
        self.taken = self.taken.saturating_add(piece.len());
        if self.taken > ANSWER_LIMIT {
            let message = format!("the provider's answer is larger than {ANSWER_LIMIT} bytes");
            self.fail(ApiError::new(ErrorKind::BadGateway, &message));
        }
        !self.is_over()
    }

    fn prose(&mut self, kind: Kind, text: &str) {
        if !text.is_empty() && self.takes(text) {
            self.taken_prose(kind, text);
        }
    }

    fn taken_prose(&mut self, kind: Kind, text: &str) {
        if self.tools.iter().any(|tool| !tool.closed) {
            match self.held.last_mut() {
                Some((last, held)) if *last == kind => held.push_str(text),
                _ => self.held.push((kind, text.to_owned())),
            }
            return;
        }
        self.open_prose(kind);
        self.emit(&Event::Delta(text));
    }

    fn open_prose(&mut self, kind: Kind) {
        if self.current == Current::Prose(kind) {
            return;
        }
        self.close();
        self.start(None, None);
        self.current = Current::Prose(kind);
        self.emit(&Event::Open(match kind {
            Kind::Text => Open::Text,
            Kind::Thinking => Open::Thinking,
        }));
    }

    /// Reasoning begins that may have a signature alone.
    pub(crate) fn open_thinking(&mut self) {
        if self.tools.iter().all(|tool| tool.closed) {
            self.open_prose(Kind::Thinking);
        }
    }

    /// A piece of the signature of the reasoning at hand.
    pub(crate) fn sign(&mut self, piece: &str) {
        if self.current == Current::Prose(Kind::Thinking) {
            self.signature.push_str(piece);
        }
    }

    pub(crate) fn is_thinking(&self) -> bool {
        self.current == Current::Prose(Kind::Thinking)
    }

    pub(crate) fn redacted(&mut self, data: &str) {
        self.close();
        self.start(None, None);
        let signature = Signature { origin: self.origin, value: data.into() };
        self.emit(&Event::Open(Open::Redacted(signature)));
        self.emit(&Event::Close(None));
    }

    /// The text or reasoning at hand ends; a call does by [`Linear::tool_end`].
    pub(crate) fn end_prose(&mut self) {
        if matches!(self.current, Current::Prose(_)) {
            self.close();
        }
    }

    fn close(&mut self) {
        match self.current {
            Current::Nothing => return,
            Current::Prose(Kind::Thinking) => {
                let value = std::mem::take(&mut self.signature);
                // These give none; the mark of their origin lets the text come back to them.
                let unsigned = matches!(self.origin, Dialect::Chat | Dialect::Ollama);
                let signature =
                    (unsigned || !value.is_empty()).then(|| Signature { origin: self.origin, value: value.into() });
                self.emit(&Event::Close(signature));
            }
            Current::Prose(Kind::Text) => self.emit(&Event::Close(None)),
            Current::Tool(index) => {
                if let Some(tool) = self.tools.get_mut(index) {
                    tool.closed = true;
                }
                self.emit(&Event::Close(None));
            }
        }
        self.current = Current::Nothing;
    }

    fn tool_mut(&mut self, key: u64) -> Option<&mut Tool> {
        if !self.tools.iter().any(|tool| tool.key == key) {
            self.tools.push(Tool { key, ..Tool::default() });
        }
        self.tools.iter_mut().rev().find(|tool| tool.key == key)
    }

    /// A call begins or is told more of: parts that are empty are not known yet.
    pub(crate) fn tool(&mut self, key: u64, id: &str, name: &str, signature: Option<&str>) {
        let Some(tool) = self.tool_mut(key) else { return };
        if !id.is_empty() && tool.id.is_empty() {
            id.clone_into(&mut tool.id);
        }
        if !name.is_empty() && tool.name.is_empty() {
            name.clone_into(&mut tool.name);
        }
        if signature.is_some() {
            tool.signature = signature.map(str::to_owned);
        }
        self.pump(false);
    }

    /// A piece of a call's arguments. `self_ending` where the provider does not say when they end.
    pub(crate) fn arguments(&mut self, key: u64, piece: &str, self_ending: bool) {
        if piece.is_empty() || !self.takes(piece) {
            return;
        }
        let current = self.current;
        let Some(tool) = self.tool_mut(key) else { return };
        if self_ending {
            tool.ended = tool.object.feed(piece);
        }
        let (opened, ended) = (tool.opened && !tool.closed, tool.ended);
        if opened && matches!(current, Current::Tool(_)) {
            self.emit(&Event::Delta(piece));
        } else {
            tool.held.push_str(piece);
        }
        if ended {
            self.pump(false);
        }
    }

    /// A call's arguments are whole.
    pub(crate) fn tool_end(&mut self, key: u64) {
        if let Some(tool) = self.tool_mut(key) {
            tool.ended = true;
        }
        self.pump(false);
    }

    /// Opens and closes calls as far as their order allows; at the end of the answer, all of them.
    fn pump(&mut self, at_end: bool) {
        loop {
            if let Current::Tool(index) = self.current {
                let ended = at_end || self.tools.get(index).is_none_or(|tool| tool.ended);
                if !ended {
                    return;
                }
                self.close();
            }
            let Some(index) = self.tools.iter().position(|tool| !tool.closed) else { break };
            let Some(tool) = self.tools.get_mut(index) else { break };
            if tool.name.is_empty() {
                return;
            }
            if tool.id.is_empty() {
                if !at_end && !tool.ended && tool.held.is_empty() && self.origin == Dialect::Chat {
                    // The identifier may come with the next piece.
                    return;
                }
                tool.id = super::tool_id::made(&self.seed, index);
            }
            tool.opened = true;
            let (id, name) = (tool.id.clone(), tool.name.clone());
            let (signature, held) = (tool.signature.clone(), std::mem::take(&mut tool.held));
            self.close();
            self.start(None, None);
            self.current = Current::Tool(index);
            self.emit(&Event::Open(Open::Tool { id: &id, name: &name, signature: signature.as_deref() }));
            if !held.is_empty() {
                self.emit(&Event::Delta(&held));
            }
        }
        for (kind, text) in std::mem::take(&mut self.held) {
            self.taken_prose(kind, &text);
        }
    }

    /// The provider's last word came.
    pub(crate) fn end(&mut self) {
        if self.is_over() {
            return;
        }
        if self.tools.iter().any(|tool| tool.name.is_empty()) {
            self.fail(ApiError::new(ErrorKind::BadGateway, "the provider called a tool without naming it"));
            return;
        }
        self.pump(true);
        self.close();
        self.start(None, None);
        let stop = self.stop.beside(!self.tools.is_empty());
        let sequence = self.stop_sequence.take();
        let usage = self.usage;
        self.emit(&Event::Finish { stop, stop_sequence: sequence.as_deref(), usage });
        self.finished = true;
    }

    /// The answer ends as it should not.
    pub(crate) fn fail(&mut self, error: ApiError) {
        if self.is_over() {
            return;
        }
        self.emit(&Event::Error(&error));
        self.failure = Some(error);
    }
}
