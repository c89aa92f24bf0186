//! The scripted model as a program.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use orx_tests::model::{Options, Scenario, ScriptedModel};

/// Answers coding CLIs from a scenario file, in the place of a model.
#[derive(Parser)]
struct Arguments {
    /// The scenario file.
    #[arg(long)]
    scenario: PathBuf,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The base URL is written to this file once the server listens; it is printed in any case.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// Each request is appended to this file as a line of JSON.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Each request body is written to a file in this directory.
    #[arg(long)]
    bodies: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let scenario = Scenario::load(&arguments.scenario)?;
    let options = Options { listen: Some(arguments.listen), log: arguments.log, bodies: arguments.bodies };
    let model = ScriptedModel::start_with(scenario, options).await?;
    println!("{}", model.url);
    if let Some(path) = &arguments.ready_file {
        let temporary = path.with_extension("new");
        std::fs::write(&temporary, format!("{}\n", model.url))
            .and_then(|()| std::fs::rename(&temporary, path))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    model.serve().await;
    Ok(())
}
