//! Gateways of others beside which orx's is measured: LiteLLM and Portkey's, where `cargo xtask bench --setup-peers` has put them.

use anyhow::{Context, Result};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::daemon::Process;
use crate::pty::peers;

/// How long one may take to start: LiteLLM imports for ten seconds.
const START: Duration = Duration::from_secs(90);

/// A gateway that runs.
pub struct Peer {
    pub name: &'static str,
    pub address: SocketAddr,
    /// Lines of the head by which it knows its caller and the provider.
    pub headers: String,
    pub process: Process,
}

/// The gateways that are installed, by name; a name alone where one is not.
pub fn start(directory: &Path, provider: SocketAddr) -> Vec<(&'static str, Option<Result<Peer>>)> {
    let root = peers::built().and_then(|bin| Some(bin.parent()?.to_owned())).unwrap_or_default();
    let litellm = root.join("litellm/bin/litellm");
    let portkey = root.join("portkey/node_modules/@portkey-ai/gateway/build/start-server.js");
    let installed = |file: &Path| file.is_file().then(|| file.to_owned());
    vec![
        ("litellm", installed(&litellm).map(|program| start_litellm(&program, directory, provider))),
        ("portkey", installed(&portkey).map(|script| start_portkey(&script, provider))),
    ]
}

fn start_litellm(program: &Path, directory: &Path, provider: SocketAddr) -> Result<Peer> {
    let settings = directory.join("litellm.yaml");
    let text = format!(
        "model_list:\n  - model_name: talk\n    litellm_params: {{model: openai/talk, api_base: 'http://{provider}/v1', api_key: none}}\n\
         general_settings: {{master_key: sk-bench}}\n"
    );
    std::fs::write(&settings, text)?;
    let address = free()?;
    let mut command = Command::new(program);
    command.arg("--config").arg(settings).args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
    command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True").env("LITELLM_LOG", "ERROR");
    listens("litellm", command, address, "authorization: Bearer sk-bench\r\n".to_owned())
}

fn start_portkey(script: &Path, provider: SocketAddr) -> Result<Peer> {
    let address = free()?;
    let mut command = Command::new("node");
    command.arg(script).args([&format!("--port={}", address.port()), "--headless"]);
    command.env("TRUSTED_CUSTOM_HOSTS", "127.0.0.1").env("NODE_ENV", "production");
    let headers = format!(
        "authorization: Bearer none\r\nx-portkey-provider: openai\r\nx-portkey-custom-host: http://{provider}/v1\r\n"
    );
    listens("portkey", command, address, headers)
}

fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn listens(name: &'static str, mut command: Command, address: SocketAddr, headers: String) -> Result<Peer> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Process(command.spawn().with_context(|| format!("{name} does not start"))?);
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        anyhow::ensure!(began.elapsed() < START, "{name} does not listen after {} s", START.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(Peer { name, address, headers, process })
}
