//! Event streams (`text/event-stream`, and lines of JSON), read as bytes come and cut anywhere, and written.
//!
//! An event that lies whole in what came is handed on where it lies; only one that is cut is kept, up to a limit. Nothing of the
//! stream's contents is looked at here.

use super::DialectError;

/// The most bytes of one event that are held while its end has not come: an image in an event fits, a runaway does not.
pub const EVENT_LIMIT: usize = 16 * 1024 * 1024;

/// An event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'b> {
    /// Its name; empty where it has none.
    pub event: &'b str,
    /// Its data; lines joined by `\n`.
    pub data: &'b [u8],
    /// The last identifier of the stream; empty where there was none.
    pub id: &'b str,
}

/// How a stream is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON value a line.
    Lines,
}

/// Reads a stream.
#[derive(Debug)]
pub struct Parser {
    framing: Framing,
    limit: usize,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    /// Data of the event, where it does not lie in one piece in what came.
    data: Vec<u8>,
    has_data: bool,
    event: String,
    id: String,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    at_start: bool,
}

impl Parser {
    /// One that holds no event larger than `limit` bytes.
    #[must_use]
    pub const fn new(framing: Framing, limit: usize) -> Self {
        Self {
            framing,
            limit,
            partial: Vec::new(),
            data: Vec::new(),
            has_data: false,
            event: String::new(),
            id: String::new(),
            after_cr: false,
            at_start: true,
        }
    }

    /// Takes bytes and hands on every event that is whole.
    ///
    /// # Errors
    /// [`DialectError::EventTooLarge`]; the stream is of no use after it. Errors of `sink` pass through.
    pub fn feed<E: From<DialectError>>(
        &mut self,
        bytes: &[u8],
        mut sink: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut bytes = bytes;
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        // Data of the event that lies in `bytes`, as long as it is one line.
        let mut lying: Option<&[u8]> = None;
        while let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) {
            let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
            let next = match rest {
                [b'\r', b'\n', next @ ..] => next,
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [_, next @ ..] => next,
                [] => &[],
            };
            if self.partial.is_empty() {
                self.line(line, &mut lying, &mut sink)?;
            } else {
                self.bound(line.len())?;
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                let mut kept = None;
                self.line(&whole, &mut kept, &mut sink)?;
                self.keep(kept)?;
                whole.clear();
                self.partial = whole;
            }
            bytes = next;
        }
        self.keep(lying)?;
        self.bound(bytes.len())?;
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    fn bound(&self, more: usize) -> Result<(), DialectError> {
        if self.partial.len() + self.data.len() + more > self.limit {
            return Err(DialectError::EventTooLarge { limit: self.limit });
        }
        Ok(())
    }

    /// Copies data that would be lost with the bytes in which it lies.
    fn keep(&mut self, lying: Option<&[u8]>) -> Result<(), DialectError> {
        if let Some(data) = lying {
            self.bound(data.len())?;
            if self.has_data {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(data);
            self.has_data = true;
        }
        Ok(())
    }

    fn line<'b, E: From<DialectError>>(
        &mut self,
        line: &'b [u8],
        lying: &mut Option<&'b [u8]>,
        sink: &mut impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = if std::mem::replace(&mut self.at_start, false) {
            line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line)
        } else {
            line
        };
        if self.framing == Framing::Lines {
            let line = line.trim_ascii();
            return if line.is_empty() { Ok(()) } else { sink(Frame { event: "", data: line, id: "" }) };
        }
        if line.is_empty() {
            return self.dispatch(lying, sink);
        }
        let (field, value) = match memchr::memchr(b':', line) {
            // A comment.
            Some(0) => return Ok(()),
            Some(colon) => {
                let value = line.get(colon + 1..).unwrap_or_default();
                (line.get(..colon).unwrap_or_default(), value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[] as &[u8]),
        };
        match field {
            b"data" => {
                self.keep(lying.take())?;
                self.bound(value.len())?;
                *lying = Some(value);
            }
            b"event" => {
                self.event.clear();
                self.event.push_str(&String::from_utf8_lossy(value));
            }
            b"id" if !value.contains(&0) => {
                self.id.clear();
                self.id.push_str(&String::from_utf8_lossy(value));
            }
            // `retry` is for browsers, others are not defined.
            _ => {}
        }
        Ok(())
    }

    fn dispatch<E: From<DialectError>>(
        &mut self,
        lying: &mut Option<&[u8]>,
        sink: &mut impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.has_data {
            self.keep(lying.take())?;
        }
        let data = if self.has_data { Some(self.data.as_slice()) } else { lying.take() };
        let outcome = match data {
            Some(data) => sink(Frame { event: &self.event, data, id: &self.id }),
            None => Ok(()),
        };
        self.event.clear();
        self.data.clear();
        // A large event does not keep its memory for the rest of the stream.
        self.data.shrink_to(64 * 1024);
        self.has_data = false;
        outcome
    }

    /// The stream has ended: hands on what a last line without its end holds. Events of the server-sent kind that lack the blank line
    /// after them are handed on too, for some servers leave it out; whether the stream was cut is told by its contents.
    ///
    /// # Errors
    /// Errors of `sink`.
    pub fn finish<E: From<DialectError>>(&mut self, mut sink: impl FnMut(Frame<'_>) -> Result<(), E>) -> Result<(), E> {
        let last = std::mem::take(&mut self.partial);
        let mut lying = None;
        if !last.is_empty() {
            self.line(&last, &mut lying, &mut sink)?;
        }
        if self.framing == Framing::Sse && (self.has_data || lying.is_some()) {
            self.dispatch(&mut lying, &mut sink)?;
        }
        Ok(())
    }
}

/// Writes an event whose data is one line, as JSON is.
pub fn write(out: &mut Vec<u8>, event: &str, data: &[u8]) {
    if !event.is_empty() {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(event.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests;
