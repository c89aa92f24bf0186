//! The floors: an echo of framed JSON, a relay that only moves bytes, and a worker that answers at once.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::wire::framed;

/// Serves a floor until it is ended.
pub fn serve(kind: &str, socket: &Path, next: Option<&Path>) -> Result<()> {
    if kind == "provider" {
        return crate::gateway::provider::serve(socket);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match (kind, next) {
            ("echo", _) => listen(socket, |stream| async { answer_each(stream, echo).await }).await,
            ("splice", Some(next)) => {
                let next = next.to_owned();
                listen(socket, move |stream| {
                    let next = next.clone();
                    async move {
                        let mut stream = stream;
                        let mut onward = UnixStream::connect(next).await?;
                        tokio::io::copy_bidirectional(&mut stream, &mut onward).await?;
                        Ok(())
                    }
                })
                .await
            }
            ("worker", _) => {
                let mut stream = UnixStream::connect(socket).await?;
                let register = br#"{"jsonrpc":"2.0","id":1,"method":"worker.register","params":{"role":"bench","capabilities":[{"action":"echo","idempotent":true}],"capacity":1024,"version":"0"}}"#;
                stream.write_all(&framed(register)).await?;
                answer_each(stream, work).await
            }
            _ => bail!("there is no floor `{kind}`"),
        }
    })
}

async fn listen<F, W>(socket: &Path, serve: F) -> Result<()>
where
    F: Fn(UnixStream) -> W + Clone + Send + 'static,
    W: Future<Output = Result<()>> + Send + 'static,
{
    let listener = UnixListener::bind(socket)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let serve = serve.clone();
        // A client that leaves is the end of its connection and no error of the floor.
        tokio::spawn(async move { drop(serve(stream).await) });
    }
}

/// Answers every whole frame that arrived, with one write for all of them.
async fn answer_each(mut stream: UnixStream, answer: fn(&[u8]) -> Option<Vec<u8>>) -> Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut have = 0;
    let mut out = Vec::new();
    loop {
        let count = stream.read(&mut buffer[have..]).await?;
        if count == 0 {
            return Ok(());
        }
        have += count;
        let mut used = 0;
        while have - used >= 4 {
            let length =
                u32::from_be_bytes([buffer[used], buffer[used + 1], buffer[used + 2], buffer[used + 3]]) as usize;
            if have - used < 4 + length {
                break;
            }
            if let Some(body) = answer(&buffer[used + 4..used + 4 + length]) {
                out.extend_from_slice(&framed(&body));
            }
            used += 4 + length;
        }
        buffer.copy_within(used..have, 0);
        have -= used;
        if !out.is_empty() {
            stream.write_all(&out).await?;
            out.clear();
        }
    }
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(default)]
    method: Option<&'a str>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Answer<'a> {
    jsonrpc: &'a str,
    id: &'a RawValue,
    result: Option<&'a RawValue>,
}

/// A typed JSON echo.
fn echo(body: &[u8]) -> Option<Vec<u8>> {
    let request: Request<'_> = serde_json::from_slice(body).ok()?;
    serde_json::to_vec(&Answer { jsonrpc: "2.0", id: request.id, result: request.params }).ok()
}

/// The same for what the daemon sends; its answer to the registration is not answered.
fn work(body: &[u8]) -> Option<Vec<u8>> {
    let request: Request<'_> = serde_json::from_slice(body).ok()?;
    request.method?;
    echo(body)
}
