//! The connection to a relay: its socket says how long the record is, the record itself is read from its file. A client
//! that is slow or was away misses nothing, and nobody keeps anything for it in memory.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use orx_protocol::launch::{LINE_MAX, Record, Recorded, ToRelay};
use serde_json::value::{RawValue, to_raw_value};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

use super::translate::{Input, Line, PEER};
use crate::channel;
use crate::error::ChannelError;

/// Bytes of the record that are read at once.
const CHUNK: usize = 256 * 1024;
/// Longest line that a relay tells.
const TOLD_MAX: usize = 4096;
/// How long a line may take to be handed over: the agent may be slow to read.
const SEND: Duration = Duration::from_secs(30);

/// A connection to a relay.
#[derive(Debug)]
pub(crate) struct Connection {
    told: FramedRead<OwnedReadHalf, LinesCodec>,
    writer: OwnedWriteHalf,
    exchange: Arc<File>,
    /// How much of the record there is, as the relay says.
    there: Option<u64>,
    /// How much was read.
    at: u64,
    /// How much there was at first, until that is read.
    begins_at: Option<u64>,
    rest: Vec<u8>,
    records: VecDeque<Record>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(socket: &Path, exchange: &Path) -> Result<Self, ChannelError> {
        let unreachable = |source| ChannelError::Unreachable { peer: PEER, source };
        let stream = UnixStream::connect(socket).await.map_err(unreachable)?;
        let exchange = Arc::new(File::open(exchange).map_err(unreachable)?);
        let (reader, writer) = stream.into_split();
        Ok(Self {
            told: FramedRead::new(reader, LinesCodec::new_with_max_length(TOLD_MAX)),
            writer,
            exchange,
            there: None,
            at: 0,
            begins_at: None,
            rest: Vec::new(),
            records: VecDeque::new(),
        })
    }

    async fn hear(&mut self) -> Result<(), ChannelError> {
        let garbage = |why: String| ChannelError::Protocol { peer: PEER, why };
        let line = match self.told.next().await {
            Some(Ok(line)) => line,
            Some(Err(LinesCodecError::MaxLineLengthExceeded)) => return Err(garbage("a line without end".to_owned())),
            Some(Err(LinesCodecError::Io(error))) => return Err(broken(&error)),
            None => return Err(ChannelError::Broken { peer: PEER, why: "its relay closed the connection".to_owned() }),
        };
        let told: Recorded = serde_json::from_str(&line).map_err(|error| garbage(error.to_string()))?;
        if self.there.is_none() {
            self.begins_at = Some(told.bytes);
        }
        self.there = Some(told.bytes);
        Ok(())
    }

    /// Reads on in the record.
    async fn read(&mut self, there: u64) -> Result<(), ChannelError> {
        let (exchange, at) = (Arc::clone(&self.exchange), self.at);
        let wanted = usize::try_from(there - at).unwrap_or(CHUNK).min(CHUNK);
        let reading = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; wanted];
            let count = exchange.read_at(&mut chunk, at)?;
            chunk.truncate(count);
            Ok::<_, std::io::Error>(chunk)
        });
        let chunk = reading.await.map_err(|error| ChannelError::Broken { peer: PEER, why: error.to_string() })?;
        let chunk = chunk.map_err(|error| broken(&error))?;
        if chunk.is_empty() {
            return Err(ChannelError::Broken {
                peer: PEER,
                why: "its record is shorter than its relay says".to_owned(),
            });
        }
        self.at += chunk.len() as u64;
        self.rest.extend_from_slice(&chunk);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let record = serde_json::from_slice(&line).map_err(|error| ChannelError::Protocol {
                peer: PEER,
                why: format!("a record that is none: {error}"),
            })?;
            self.records.push_back(record);
        }
        if self.rest.len() > 2 * LINE_MAX {
            return Err(ChannelError::Flood { peer: PEER, what: "a record without end", limit: 2 * LINE_MAX });
        }
        Ok(())
    }
}

fn broken(error: &std::io::Error) -> ChannelError {
    ChannelError::Broken { peer: PEER, why: error.to_string() }
}

fn raw(value: &serde_json::Value) -> Result<Box<RawValue>, ChannelError> {
    to_raw_value(value).map_err(|error| ChannelError::Protocol { peer: PEER, why: error.to_string() })
}

impl channel::Connection for Connection {
    type In = Input;
    type Out = Line;

    async fn next(&mut self) -> Result<Input, ChannelError> {
        loop {
            if let Some(record) = self.records.pop_front() {
                return Ok(Input::Record(record));
            }
            if self.begins_at.is_some_and(|begins_at| self.at >= begins_at) {
                self.begins_at = None;
                return Ok(Input::Read);
            }
            match self.there {
                Some(there) if there > self.at => self.read(there).await?,
                _ => self.hear().await?,
            }
        }
    }

    async fn send(&mut self, line: Line) -> Result<(), ChannelError> {
        let line = match &line {
            Line::Message(message) => ToRelay { message: Some(raw(message)?), note: None },
            Line::Note(note) => ToRelay { message: None, note: Some(raw(note)?) },
        };
        let mut text =
            serde_json::to_vec(&line).map_err(|error| ChannelError::Protocol { peer: PEER, why: error.to_string() })?;
        text.push(b'\n');
        match tokio::time::timeout(SEND, self.writer.write_all(&text)).await {
            Ok(written) => written.map_err(|error| broken(&error)),
            Err(_) => Err(ChannelError::Late { peer: PEER, what: "take a message", limit: SEND }),
        }
    }
}
