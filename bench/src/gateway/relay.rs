//! nginx as a relay that only passes bytes: the floor of what a process in between costs.

use anyhow::Result;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::daemon::Process;

/// A running relay.
pub struct Relay {
    pub address: SocketAddr,
    _process: Process,
}

/// Starts it, where it is installed.
pub fn start(directory: &Path, provider: SocketAddr) -> Result<Option<Relay>> {
    let Some(program) = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).is_file()) else {
        return Ok(None);
    };
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let settings = directory.join("nginx.conf");
    let at = directory.display();
    let text = format!(
        "daemon off; master_process off; worker_processes 1; pid {at}/nginx.pid; error_log {at}/nginx.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; client_body_temp_path {at}; proxy_temp_path {at}; fastcgi_temp_path {at}; uwsgi_temp_path {at}; scgi_temp_path {at};\n\
         upstream provider {{ server {provider}; keepalive 128; }}\n\
         server {{ listen {address}; keepalive_requests 10000000; client_body_buffer_size 1m;\n\
         location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; }} }} }}\n"
    );
    std::fs::write(&settings, text)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&settings).stdin(Stdio::null()).stderr(Stdio::null());
    let process = Process(command.spawn()?);
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(10), "nginx does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(Some(Relay { address, _process: process }))
}
