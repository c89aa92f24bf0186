//! What is kept of an answer that comes in pieces: all of it once it came to its end, nothing of it otherwise.

use super::Slot;
use super::entry::Entry;

/// What is kept of an answer that comes in pieces.
#[derive(Debug)]
pub struct Keeping {
    slot: Slot,
    entry: Entry,
    body: Vec<u8>,
    is_whole: bool,
}

impl Keeping {
    /// Of an answer that begins.
    #[must_use]
    pub fn new(slot: Slot, content_type: &str) -> Self {
        let entry = Entry { content_type: content_type.to_owned(), ..Entry::default() };
        Self { slot, entry, body: Vec::new(), is_whole: false }
    }

    /// With a piece that passed; nothing once there is too much to be kept.
    #[must_use]
    pub fn with(mut self, piece: &[u8]) -> Option<Self> {
        self.body.extend_from_slice(piece);
        (self.body.len() <= self.slot.room()).then_some(self)
    }

    /// It came to its end.
    pub fn ends(&mut self, provider: &str, model: &str, cost_microusd: Option<u64>) {
        self.entry.provider = provider.to_owned();
        self.entry.model = model.to_owned();
        self.entry.cost_microusd = cost_microusd;
        self.is_whole = true;
    }

    /// Its last piece passed: it is kept if it came to its end.
    pub fn finish(self) {
        if self.is_whole {
            self.slot.keep(Entry { body: self.body.into(), ..self.entry });
        }
    }
}
