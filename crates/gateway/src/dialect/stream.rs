//! Turns a streamed answer into another dialect as its bytes come. Whoever reads and writes the sockets calls [`StreamTranslator`].

use super::error::{ApiError, ErrorKind};
use super::event::Event;
use super::linear::Linear;
use super::loss::Loss;
use super::sse::{EVENT_LIMIT, Frame, Framing, Parser};
use super::translate::Caller;
use super::write::Writer;
use super::{Dialect, DialectError, Usage};
use super::{anthropic, chat, gemini, ollama, responses};

/// How the provider's connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamEnd<'e> {
    /// The body ended as HTTP says it should.
    Eof,
    /// It did not; why.
    Failed(&'e str),
}

/// A streamed answer on its way into the caller's dialect.
#[derive(Debug)]
pub struct StreamTranslator {
    parser: Parser,
    decoder: Decoder,
    linear: Linear,
}

impl StreamTranslator {
    /// From a provider of the dialect `from` to the caller.
    #[must_use]
    pub fn new(from: Dialect, caller: &Caller) -> Self {
        let framing = if from == Dialect::Ollama { Framing::Lines } else { Framing::Sse };
        Self {
            parser: Parser::new(framing, EVENT_LIMIT),
            decoder: Decoder::new(from),
            linear: Linear::new(from, Encoder::new(caller), &caller.request_id),
        }
    }

    /// Goes on with an answer whose events passed elsewhere: under its own name and with the next number, where a dialect says them.
    #[must_use]
    pub fn after(mut self, (name, events): (Option<&str>, u64)) -> Self {
        self.linear.after(name, events);
        self
    }

    /// Takes bytes of the provider and appends what the caller gets to `out`. What is wrong with them becomes an error in the
    /// caller's dialect, after which nothing more is written: [`StreamTranslator::failure`].
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Self { parser, decoder, linear } = self;
        linear.writer = Writer::onto(std::mem::take(out));
        if !linear.is_over() {
            let outcome = parser.feed(bytes, |frame| decode(decoder, linear, frame));
            refuse(linear, outcome);
        }
        *out = std::mem::take(&mut linear.writer).into_bytes();
    }

    /// The provider's connection ended. A stream that lacks its last word ends as an error, never as if it were whole.
    pub fn finish(&mut self, end: UpstreamEnd<'_>, out: &mut Vec<u8>) {
        let Self { parser, decoder, linear } = self;
        linear.writer = Writer::onto(std::mem::take(out));
        if !linear.is_over() {
            // A last event that cannot be read was cut: that the answer has no end says so.
            let _cut = parser.finish(|frame| decode(decoder, linear, frame));
            match end {
                UpstreamEnd::Eof if decoder.is_complete() => linear.end(),
                UpstreamEnd::Eof => linear.fail(ApiError::new(
                    ErrorKind::BadGateway,
                    "the provider's stream was cut before the answer's end",
                )),
                UpstreamEnd::Failed(reason) => {
                    let message = format!("the provider's stream was cut before the answer's end: {reason}");
                    linear.fail(ApiError::new(ErrorKind::BadGateway, &message));
                }
            }
        }
        *out = std::mem::take(&mut linear.writer).into_bytes();
    }

    /// Tokens reported so far.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.linear.usage()
    }

    /// What the caller's dialect could not say so far.
    #[must_use]
    pub fn losses(&self) -> &[Loss] {
        self.linear.losses()
    }

    /// Whether the answer's end was written.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.linear.is_finished()
    }

    /// The error that was written in place of an end.
    #[must_use]
    pub const fn failure(&self) -> Option<&ApiError> {
        self.linear.failure()
    }
}

fn decode(decoder: &mut Decoder, linear: &mut Linear, frame: Frame<'_>) -> Result<(), DialectError> {
    if linear.is_over() { Ok(()) } else { decoder.read(frame, linear) }
}

fn refuse(linear: &mut Linear, outcome: Result<(), DialectError>) {
    if let Err(error) = outcome {
        let message = format!("the provider sent an event that cannot be read: {error}");
        linear.fail(ApiError::new(ErrorKind::BadGateway, &message));
    }
}

#[derive(Debug)]
enum Decoder {
    Anthropic(anthropic::stream::Decoder),
    Chat(chat::stream::Decoder),
    Responses(responses::decode::Decoder),
    Gemini(gemini::stream::Decoder),
    Ollama(ollama::stream::Decoder),
}

impl Decoder {
    fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Anthropic => Self::Anthropic(anthropic::stream::Decoder::default()),
            Dialect::Chat => Self::Chat(chat::stream::Decoder::default()),
            Dialect::Responses => Self::Responses(responses::decode::Decoder::default()),
            Dialect::Gemini => Self::Gemini(gemini::stream::Decoder::default()),
            Dialect::Ollama => Self::Ollama(ollama::stream::Decoder::default()),
        }
    }

    fn read(&mut self, frame: Frame<'_>, linear: &mut Linear) -> Result<(), DialectError> {
        match self {
            Self::Anthropic(decoder) => decoder.read(frame, linear),
            Self::Chat(decoder) => decoder.read(frame, linear),
            Self::Responses(decoder) => decoder.read(frame, linear),
            Self::Gemini(decoder) => decoder.read(frame, linear),
            Self::Ollama(decoder) => decoder.read(frame, linear),
        }
    }

    /// Whether the provider may end the body here without a further word.
    const fn is_complete(&self) -> bool {
        match self {
            // These say a last word of their own, with which the end was written.
            Self::Anthropic(_) | Self::Responses(_) | Self::Ollama(_) => false,
            Self::Chat(decoder) => decoder.is_complete(),
            Self::Gemini(decoder) => decoder.is_complete(),
        }
    }
}

/// Writes events in the caller's dialect.
#[derive(Debug)]
pub(crate) enum Encoder {
    Anthropic(anthropic::stream::Encoder),
    Chat(chat::stream::Encoder),
    Responses(Box<responses::encode::Encoder>),
    Gemini(gemini::stream::Encoder),
    Ollama(ollama::stream::Encoder),
}

impl Encoder {
    fn new(caller: &Caller) -> Self {
        match caller.dialect {
            Dialect::Anthropic => Self::Anthropic(anthropic::stream::Encoder::new(caller)),
            Dialect::Chat => Self::Chat(chat::stream::Encoder::new(caller)),
            Dialect::Responses => Self::Responses(Box::new(responses::encode::Encoder::new(caller))),
            Dialect::Gemini => Self::Gemini(gemini::stream::Encoder::new(caller)),
            Dialect::Ollama => Self::Ollama(ollama::stream::Encoder::new(caller)),
        }
    }

    pub(crate) fn after(&mut self, name: Option<&str>, events: u64) {
        if let Self::Responses(encoder) = self {
            encoder.after(name, events);
        }
    }

    pub(crate) fn losses(&self) -> &[Loss] {
        match self {
            Self::Gemini(encoder) => encoder.losses.as_slice(),
            Self::Ollama(encoder) => encoder.losses.as_slice(),
            // These have a place for whatever another streams.
            Self::Anthropic(_) | Self::Chat(_) | Self::Responses(_) => &[],
        }
    }

    pub(crate) fn write(&mut self, event: &Event<'_>, writer: &mut Writer) {
        match self {
            Self::Anthropic(encoder) => encoder.write(event, writer),
            Self::Chat(encoder) => encoder.write(event, writer),
            Self::Responses(encoder) => encoder.write(event, writer),
            Self::Gemini(encoder) => encoder.write(event, writer),
            Self::Ollama(encoder) => encoder.write(event, writer),
        }
    }
}
