//! scratch
use std::time::{Duration, Instant};
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let dir = std::env::temp_dir().join(format!("scr{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("s");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        rt.block_on(async move {
            listener.set_nonblocking(true).unwrap();
            let l = tokio::net::UnixListener::from_std(listener).unwrap();
            let (mut s, _) = l.accept().await.unwrap();
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut d = orx_protocol::frame::FrameDecoder::new(1 << 20);
            let mut out = bytes::BytesMut::new();
            loop {
                while let Some(body) = d.next().unwrap() {
                    let orx_protocol::rpc::Incoming::Call { id: Some(id), params, .. } = orx_protocol::rpc::Incoming::parse(&body).unwrap() else { panic!() };
                    let b = orx_protocol::rpc::success(&id, &params).unwrap();
                    orx_protocol::frame::encode(&b, &mut out).unwrap();
                }
                if !out.is_empty() { s.write_all(&out).await.unwrap(); out.clear(); }
                d.buffer().reserve(16384);
                if s.read_buf(d.buffer()).await.unwrap() == 0 { return; }
            }
        });
    });
    let c = orx_client::Client::connect(&path).await.unwrap();
    let p = serde_json::json!({"text": "x".repeat(150)});
    for n in [1usize, 8, 64, 256] {
        let mut set = tokio::task::JoinSet::new();
        let start = Instant::now();
        for _ in 0..n {
            let (c, p) = (c.clone(), p.clone());
            set.spawn(async move { let mut k = 0u64; while start.elapsed() < Duration::from_secs(1) { c.call_raw("echo.x", &p).await.unwrap(); k += 1; } k });
        }
        let total: u64 = set.join_all().await.iter().sum();
        println!("{n} in flight: {total}/s");
    }
}
