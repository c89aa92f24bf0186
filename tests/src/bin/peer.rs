//! A process that speaks to a Unix socket as whoever runs it: tests run it as another user.
//!
//! It prints `refused: <error>`, or what came back to a `health` request as `answered: <bytes> bytes`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

fn main() {
    let path = std::env::args().nth(1).unwrap_or_default();
    let mut stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error) => return println!("refused: {error}"),
    };
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"health","params":{}}"#;
    let length = u32::try_from(body.len()).unwrap_or_default();
    // The daemon may have closed already: then nothing comes back, and that is what is printed.
    let _ = stream.write_all(&length.to_be_bytes()).and_then(|()| stream.write_all(body));
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    println!("answered: {} bytes", answer.len());
}
