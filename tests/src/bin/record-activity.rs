//! Records a real coding CLI through its states, for the corpus in `tests/data/activity`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use orx_tests::activity::{Script, Take, recipe, record};

/// Plays a script with a coding CLI in a session of a real daemon, a scripted model behind it, and keeps the recording
/// with what was true of it when.
#[derive(Parser)]
struct Arguments {
    /// The CLI.
    #[arg(long)]
    engine: String,
    /// Its program.
    #[arg(long)]
    program: PathBuf,
    /// What is played: tour, question, limits, account, helpers.
    #[arg(long, default_value = "tour")]
    script: String,
    /// Columns and rows.
    #[arg(long, default_value = "80x24")]
    size: String,
    /// Which of the words are used; those of 1 are held out from the writing of rules.
    #[arg(long, default_value_t = 0)]
    words: usize,
    /// Where the recording and its labels are written.
    #[arg(long)]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let recipe = recipe(&arguments.engine).with_context(|| format!("`{}` has no recipe", arguments.engine))?;
    let (_, script) = Script::ALL
        .into_iter()
        .find(|(name, _)| *name == arguments.script)
        .with_context(|| format!("there is no script `{}`", arguments.script))?;
    let (cols, rows) = arguments.size.split_once('x').context("a size is such as 80x24")?;
    let size = (cols.parse()?, rows.parse()?);
    let program = arguments.program.canonicalize().with_context(|| arguments.program.display().to_string())?;
    let (cast, labels) = record(recipe, &program, script, size, arguments.words).await?;
    let name = format!("{}-{}-{}-{}", labels.engine, labels.version, labels.script, arguments.size);
    let take = Take { name, cast, labels };
    take.keep(&arguments.out)?;
    println!("{}: {} states", take.name, take.labels.truth.len());
    Ok(())
}
