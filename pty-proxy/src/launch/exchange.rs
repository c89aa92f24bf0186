//! The record of what went between an agent and its client: whole lines, appended by one writer, read by anybody.

use std::fs::File;
use std::io::{Result, Write};
use std::path::Path;

use orx_protocol::clock::now_ms;
use orx_protocol::launch::{EXCHANGE_MAX, Record, Writer, file};
use orx_sandbox::file as files;
use serde_json::value::RawValue;

/// Longest noise that is kept, in bytes.
const NOISE: usize = 1024;
/// Most lines of noise that are kept: an agent that writes for people must not fill the disk.
const NOISE_LINES: u32 = 1000;

/// The open record.
#[derive(Debug)]
pub(super) struct Exchange {
    file: File,
    bytes: u64,
    noise_lines: u32,
}

impl Exchange {
    /// Opens it. What an earlier process of the session left in it belongs to another conversation and is dropped.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let file = files::private_append(&directory.join(file::EXCHANGE))?;
        file.set_len(0)?;
        Ok(Self { file, bytes: 0, noise_lines: 0 })
    }

    /// Bytes so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a message.
    pub(super) fn message(&mut self, by: Writer, message: Box<RawValue>) -> Result<()> {
        self.append(&Record { at_ms: now_ms(), by, message: Some(message), note: None, noise: None })
    }

    /// Adds a note of the client.
    pub(super) fn note(&mut self, note: Box<RawValue>) -> Result<()> {
        self.append(&Record { at_ms: now_ms(), by: Writer::Client, message: None, note: Some(note), noise: None })
    }

    /// Adds a line that is no message.
    pub(super) fn noise(&mut self, line: &[u8]) -> Result<()> {
        if self.noise_lines >= NOISE_LINES {
            return Ok(());
        }
        self.noise_lines += 1;
        let noise = String::from_utf8_lossy(line.get(..NOISE).unwrap_or(line)).into_owned();
        self.append(&Record { at_ms: now_ms(), by: Writer::Agent, message: None, note: None, noise: Some(noise) })
    }

    fn append(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let bytes = self.bytes + line.len() as u64;
        if bytes > EXCHANGE_MAX {
            return Err(std::io::Error::other(format!("the exchange with the agent exceeds {EXCHANGE_MAX} bytes")));
        }
        if let Err(error) = self.file.write_all(&line) {
            // Half a line would be taken for the beginning of the next.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes = bytes;
        Ok(())
    }
}
