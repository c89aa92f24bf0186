//! A provider that answers at once: a thread a connection, canned answers, small writes not held back.

use anyhow::Result;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

/// Pieces of a stream.
const PIECES: usize = 64;

struct Canned {
    chat: Vec<u8>,
    messages: Vec<u8>,
    chat_stream: Vec<Vec<u8>>,
    messages_stream: Vec<Vec<u8>>,
}

/// Serves until it is ended; the address is written to `file`.
pub fn serve(file: &Path) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    std::fs::write(file, listener.local_addr()?.to_string())?;
    let canned: &'static Canned = Box::leak(Box::new(canned()));
    for stream in listener.incoming() {
        let stream = stream?;
        // A caller that leaves is the end of its connection and no error of the provider.
        std::thread::Builder::new().stack_size(256 * 1024).spawn(move || drop(answer(stream, canned)))?;
    }
    Ok(())
}

fn whole(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn canned() -> Canned {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let piece = |number: usize| {
        chunk(&format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"piece {number} \"}}}}\n\n"
        ))
    };
    let mut messages_stream = vec![head.clone()];
    messages_stream.push(chunk("event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"think\",\"content\":[],\"usage\":{\"input_tokens\":12,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"));
    messages_stream.extend((0..PIECES).map(piece));
    messages_stream.push(chunk("event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":64}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
    messages_stream.push(b"0\r\n\r\n".to_vec());
    let said = |number: usize| {
        chunk(&format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"talk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"piece {number} \"}},\"finish_reason\":null}}]}}\n\n"
        ))
    };
    let mut chat_stream = vec![head];
    chat_stream.extend((0..PIECES).map(said));
    chat_stream.push(chunk("data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"talk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"talk\",\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":64,\"total_tokens\":76}}\n\ndata: [DONE]\n\n"));
    chat_stream.push(b"0\r\n\r\n".to_vec());
    Canned {
        chat: whole(
            r#"{"id":"c","object":"chat.completion","created":1,"model":"talk","choices":[{"index":0,"message":{"role":"assistant","content":"hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}"#,
        ),
        messages: whole(
            r#"{"id":"m","type":"message","role":"assistant","model":"think","content":[{"type":"text","text":"hello there"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":12,"output_tokens":3}}"#,
        ),
        chat_stream,
        messages_stream,
    }
}

fn answer(stream: TcpStream, canned: &Canned) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(256 * 1024, stream);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let is_chat = line.contains("/chat/completions");
        let mut length = 0;
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
        // What is said of the stream stands at the beginning of each body.
        let head = String::from_utf8_lossy(&body[..body.len().min(200)]);
        let holds = head.contains("\"hold\":true");
        let to = stream.get_mut();
        match (head.contains("\"stream\":true"), is_chat) {
            (false, true) => to.write_all(&canned.chat)?,
            (false, false) => to.write_all(&canned.messages)?,
            (true, is_chat) => {
                let pieces = if is_chat { &canned.chat_stream } else { &canned.messages_stream };
                let count = if holds { 2 } else { pieces.len() };
                for piece in &pieces[..count] {
                    to.write_all(piece)?;
                }
            }
        }
    }
}
