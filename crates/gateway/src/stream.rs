//! An answer that passes in pieces: metered, and in another dialect where that is needed. One that is cut ends as an error, never as
//! if it were whole; one whose caller goes away ends its call at the provider.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use orx_router::failure::Failure;
use tokio::time::{Instant, Sleep};

use crate::attempt::{Attempt, Ended};
use crate::bill::Seen;
use crate::cache::keeping::Keeping;
use crate::dialect::hide_usage::UsageHider;
use crate::dialect::meter::{Ending, StreamMeter};
use crate::dialect::stream::{StreamTranslator, UpstreamEnd};
use crate::dialect::translate::Caller;
use crate::dialect::{Dialect, Usage};
use crate::provider::client::innermost;

/// Bytes that are passed on at once, where so many are there.
const TOGETHER: usize = 16 * 1024;
/// Turns that the connection to the provider gets to bring more of what it has read already.
const LOOKS: u8 = 4;
/// How long the last words before a broken end have to reach their caller.
const LAST_WORDS: Duration = Duration::from_millis(25);

/// The answer was cut: the connection to the caller ends without an end.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer was cut: {0}")]
pub struct Broken(String);

/// How pieces pass.
#[derive(Debug)]
enum Way {
    /// As they come; a chunk of usage that the caller did not ask for is taken out.
    Kept { meter: Box<StreamMeter>, hider: Option<UsageHider> },
    /// In another dialect.
    Translated(Box<StreamTranslator>),
}

/// What comes after the last piece of the provider.
#[derive(Debug)]
enum Rest {
    /// There is more.
    More,
    /// The connection ends as it should.
    End,
    /// It ends as it should not.
    Break(String),
}

/// An answer on its way.
#[derive(Debug)]
pub struct Passing {
    provider: Incoming,
    first: Option<Bytes>,
    way: Way,
    caller: Caller,
    attempt: Option<Attempt>,
    idle: Duration,
    alarm: Pin<Box<Sleep>>,
    bytes: u64,
    rest: Rest,
    keeping: Option<Keeping>,
    /// What is there to be passed on, and how often more of it was looked for since.
    gathered: Vec<u8>,
    looks: u8,
    beginning: Beginning,
}

/// How far the first piece is: it leaves alone, since nobody waits longer than needed for the first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// It is still to come.
    Awaited,
    /// It was handed over, and is written once nothing more is there for a moment.
    Leaving,
    /// It has left.
    Over,
}

/// What an answer passes by.
#[derive(Debug)]
pub struct Passage {
    /// The provider's dialect.
    pub from: Dialect,
    /// The caller, with its dialect.
    pub caller: Caller,
    /// Whether a chunk of usage was asked for that the caller did not want.
    pub hides_usage: bool,
    /// How long the next piece is waited for.
    pub idle: Duration,
    /// What keeps the answer for those who ask the same.
    pub keeping: Option<Keeping>,
}

impl Passing {
    /// An answer whose first piece has come.
    #[must_use]
    pub fn new(provider: Incoming, first: Bytes, passage: Passage, attempt: Attempt) -> Self {
        let way = if passage.from == passage.caller.dialect && !passage.caller.array {
            Way::Kept {
                meter: Box::new(StreamMeter::new(passage.from)),
                hider: passage.hides_usage.then(UsageHider::default),
            }
        } else {
            Way::Translated(Box::new(StreamTranslator::new(passage.from, &passage.caller)))
        };
        Self {
            provider,
            first: Some(first),
            way,
            caller: passage.caller,
            attempt: Some(attempt),
            idle: passage.idle,
            alarm: Box::pin(tokio::time::sleep(passage.idle)),
            bytes: 0,
            rest: Rest::More,
            keeping: passage.keeping,
            gathered: Vec::new(),
            looks: 0,
            beginning: Beginning::Awaited,
        }
    }

    /// The next piece. What has come meanwhile goes with it: a write a piece costs more than all else.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if self.beginning == Beginning::Leaving {
            self.beginning = Beginning::Over;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            match self.next(cx) {
                Poll::Ready(Some(Ok(piece))) if self.beginning == Beginning::Awaited => {
                    self.beginning = Beginning::Leaving;
                    return Poll::Ready(Some(Ok(piece)));
                }
                Poll::Ready(Some(Ok(piece))) => {
                    self.looks = 0;
                    if self.gathered.is_empty() && piece.len() >= TOGETHER {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                    self.gathered.extend_from_slice(&piece);
                    if self.gathered.len() >= TOGETHER {
                        return Poll::Ready(Some(Ok(self.take_gathered())));
                    }
                }
                Poll::Pending if self.gathered.is_empty() => return Poll::Pending,
                // The provider's connection is another task, which may have more once it had its turn.
                Poll::Pending if self.looks < LOOKS => {
                    self.looks += 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Pending => {
                    self.looks = 0;
                    return Poll::Ready(Some(Ok(self.take_gathered())));
                }
                end if self.gathered.is_empty() => return end,
                // The end is still there when it is looked for again.
                Poll::Ready(end) => {
                    if let Some(Err(Broken(why))) = end {
                        self.rest = Rest::Break(why);
                    }
                    return Poll::Ready(Some(Ok(self.take_gathered())));
                }
            }
        }
    }

    fn take_gathered(&mut self) -> Bytes {
        std::mem::take(&mut self.gathered).into()
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            match std::mem::replace(&mut self.rest, Rest::End) {
                Rest::More => self.rest = Rest::More,
                Rest::End => {
                    if let Some(keeping) = self.keeping.take() {
                        keeping.finish();
                    }
                    return Poll::Ready(None);
                }
                Rest::Break(why) => {
                    // What was said last is on its way to the caller, and would be lost with the connection.
                    if self.alarm.as_mut().poll(cx).is_pending() {
                        self.rest = Rest::Break(why);
                        return Poll::Pending;
                    }
                    return Poll::Ready(Some(Err(Broken(why))));
                }
            }
            let piece = match self.first.take() {
                Some(first) => Some(Ok(first)),
                None => match Pin::new(&mut self.provider).poll_frame(cx) {
                    Poll::Ready(next) => match next {
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(data) => Some(Ok(data)),
                            // Trailers say nothing here.
                            Err(_) => continue,
                        },
                        Some(Err(error)) => Some(Err((Failure::Cut, innermost(&error)))),
                        None => None,
                    },
                    Poll::Pending => {
                        ready!(self.alarm.as_mut().poll(cx));
                        let why = format!("nothing came for {} ms", self.idle.as_millis());
                        Some(Err((Failure::TimeoutInStream, why)))
                    }
                },
            };
            let out = match piece {
                Some(Ok(data)) => {
                    self.alarm.as_mut().reset(Instant::now() + self.idle);
                    self.bytes += data.len() as u64;
                    self.pass(data)
                }
                Some(Err((failure, why))) => self.broken(failure, &why),
                None => self.ended(),
            };
            if !out.is_empty() {
                self.keeping = self.keeping.take().and_then(|keeping| keeping.with(&out));
                return Poll::Ready(Some(Ok(out)));
            }
        }
    }

    fn pass(&mut self, data: Bytes) -> Bytes {
        match &mut self.way {
            Way::Kept { meter, hider } => {
                meter.feed(&data);
                match hider {
                    Some(hider) => {
                        let mut out = Vec::with_capacity(data.len());
                        hider.feed(&data, &mut out);
                        out.into()
                    }
                    None => data,
                }
            }
            Way::Translated(translator) => {
                let mut out = Vec::with_capacity(data.len() * 2);
                translator.feed(&data, &mut out);
                if translator.failure().is_some() {
                    // It ended with an error that the caller was told of; nothing after it says anything.
                    self.rest = Rest::End;
                    self.end(Some(Failure::Malformed), false);
                }
                out.into()
            }
        }
    }

    /// The provider's body ended as HTTP says it should.
    fn ended(&mut self) -> Bytes {
        let mut out = Vec::new();
        let ending = match &mut self.way {
            Way::Kept { meter, hider } => {
                if let Some(hider) = hider {
                    hider.finish(&mut out);
                }
                meter.ending(true)
            }
            Way::Translated(translator) => {
                translator.finish(UpstreamEnd::Eof, &mut out);
                if translator.failure().is_some() { Ending::Open } else { Ending::Complete }
            }
        };
        match ending {
            Ending::Complete => {
                self.rest = Rest::End;
                self.end(None, true);
            }
            // The provider's own error event has passed already.
            Ending::Failed(error) => {
                self.rest = Rest::End;
                self.end(Some(Failure::Server { status: error.status, retry_after_ms: None }), false);
            }
            Ending::Open => {
                if matches!(self.way, Way::Kept { .. }) {
                    self.last_words("it ended before the answer's end", &mut out);
                }
                self.breaks("it ended before the answer's end");
                self.end(Some(Failure::Cut), false);
            }
        }
        out.into()
    }

    /// The connection to the provider broke, or nothing comes any more.
    fn broken(&mut self, failure: Failure, why: &str) -> Bytes {
        if self.has_last_word() {
            return self.ended();
        }
        let mut out = Vec::new();
        match &mut self.way {
            Way::Kept { .. } => self.last_words(why, &mut out),
            Way::Translated(translator) => translator.finish(UpstreamEnd::Failed(why), &mut out),
        }
        self.breaks(why);
        self.end(Some(failure), false);
        out.into()
    }

    fn breaks(&mut self, why: &str) {
        self.rest = Rest::Break(why.to_owned());
        self.alarm.as_mut().reset(Instant::now() + LAST_WORDS);
    }

    /// An error event in the caller's dialect, of the answer that was cut: a client holds it against what came before. It begins on
    /// a line of its own: what was cut may have no end.
    fn last_words(&self, why: &str, out: &mut Vec<u8>) {
        if self.caller.dialect != Dialect::Ollama {
            out.extend_from_slice(b"\n\n");
        }
        let so_far = match &self.way {
            Way::Kept { meter, .. } => meter.so_far(),
            Way::Translated(_) => (None, 0),
        };
        StreamTranslator::new(self.caller.dialect, &self.caller).after(so_far).finish(UpstreamEnd::Failed(why), out);
    }

    /// Whether the answer's last word passed: what follows it is not missed.
    fn has_last_word(&self) -> bool {
        match &self.way {
            Way::Kept { meter, .. } => meter.is_complete() && meter.failure().is_none(),
            Way::Translated(translator) => translator.is_finished(),
        }
    }

    fn usage(&self) -> Usage {
        match &self.way {
            Way::Kept { meter, .. } => meter.usage(),
            Way::Translated(translator) => translator.usage(),
        }
    }

    fn end(&mut self, failure: Option<Failure>, is_whole: bool) {
        let seen = Seen { usage: self.usage(), is_whole, is_stream: true, bytes: self.bytes };
        if let Some(mut attempt) = self.attempt.take() {
            match (&mut self.keeping, failure) {
                (Some(keeping), None) => {
                    let cost = attempt.bill(&seen).cost.map(|cost| cost.0);
                    keeping.ends(&attempt.row.provider, &attempt.row.model, cost);
                }
                (keeping, _) => *keeping = None,
            }
            attempt.end(match failure {
                None => Ended::Answered(seen),
                Some(failure) => Ended::Cut(failure, seen),
            });
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // A caller may go as soon as it has the last word. One that goes before is billed for what came so far.
        let is_whole = self.has_last_word();
        self.end((!is_whole).then_some(Failure::Gone), is_whole);
    }
}
