//! `orxctl rule`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use orx_protocol::api::Empty;
use orx_protocol::api::approval::{AddRuleParams, ApprovalKind, Effect, Rule as Made, RuleParams, Rules};
use orx_protocol::clock::now_ms;
use serde::de::DeserializeOwned;

use crate::context::{self, Context};
use crate::failure::{Failure, Status};
use crate::{figures, names, render};

/// Arguments of `rule`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl rule ls
  orxctl rule add allow --command 'cargo test*' --cwd .
  orxctl rule add deny --command 'git push *'
  orxctl rule add ask --path '/home/ann/src/service/migrations/**'
  orxctl rule rm 5FAV

Denials win over asking, asking wins over allowing, and what no rule covers is asked. An allowed command covers each
command of a line by itself; substitutions, redirections and the like are always asked.")]
pub struct Rule {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// The actions.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List the rules
    Ls,
    /// Add a rule; every option that is given must match
    Add(Box<Add>),
    /// Remove rules
    Rm {
        /// The rules: identifiers, or unique beginnings or ends of them
        #[arg(value_name = "RULE", required = true)]
        rules: Vec<String>,
    },
}

/// Arguments of `rule add`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl rule add allow --command 'cargo test*' --cwd .            in this directory and below it
  orxctl rule add allow --engine pi --tool '*' --expires 8h        all that one engine asks, for a day's work
  orxctl rule add deny --command 'git push *' --reason 'a person pushes'
  orxctl rule add ask --path '/home/ann/src/service/migrations/**'
  orxctl rule add allow --kind file_change --session 5FAV          what one session writes")]
pub struct Add {
    /// allow, deny or ask
    #[arg(value_parser = word::<Effect>)]
    pub effect: Effect,
    /// A pattern over the command, such as `cargo test*`
    #[arg(long, value_name = "PATTERN")]
    pub command: Option<String>,
    /// A pattern over absolute paths, such as `/home/ann/src/**`
    #[arg(long, value_name = "PATTERN")]
    pub path: Option<String>,
    /// A pattern over the engine's tool, such as `mcp__github__*`
    #[arg(long, value_name = "PATTERN")]
    pub tool: Option<String>,
    /// command, file_change, tool, access, plan or question
    #[arg(long, value_parser = word::<ApprovalKind>)]
    pub kind: Option<ApprovalKind>,
    /// An engine
    #[arg(long)]
    pub engine: Option<String>,
    /// A directory at or below which it holds
    #[arg(long, value_name = "PATH")]
    pub cwd: Option<PathBuf>,
    /// One session
    #[arg(long)]
    pub session: Option<String>,
    /// How long it holds, such as 8h [default: until it is removed]
    #[arg(long, value_name = "DURATION", value_parser = figures::parse_duration)]
    pub expires: Option<Duration>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// A word of the protocol.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|error| error.to_string())
}

pub(crate) async fn run(context: &Context, arguments: Rule) -> Result<Status, Failure> {
    match arguments.action {
        Action::Ls => list(context).await,
        Action::Add(arguments) => add(context, *arguments).await,
        Action::Rm { rules } => remove(context, &rules).await,
    }
}

async fn list(context: &Context) -> Result<Status, Failure> {
    let list: Rules = context.call("rule.list", &Empty {}).await?;
    if context.output.json {
        context.output.json(&list)?;
    } else if list.rules.is_empty() {
        context.output.note("no rules; everything is asked. `orxctl rule add` and `orxctl allow --always` make some");
    } else {
        context.output.text(&render::approvals::rules(&list.rules, now_ms(), context.output))?;
    }
    Ok(Status::Done)
}

async fn add(context: &Context, arguments: Add) -> Result<Status, Failure> {
    let session = match &arguments.session {
        Some(given) => Some(names::session(context, given).await?),
        None => None,
    };
    let params = AddRuleParams {
        effect: arguments.effect,
        engine: arguments.engine,
        kind: arguments.kind,
        tool: arguments.tool,
        command: arguments.command,
        path: arguments.path,
        cwd: arguments.cwd.as_deref().map(context::directory).transpose()?,
        session,
        expires_at_ms: arguments.expires.map(|expires| now_ms().saturating_add(figures::milliseconds(expires))),
        reason: arguments.reason,
    };
    let made: Made = context.call("rule.add", &params).await?;
    if context.output.json {
        context.output.json(&made)?;
    } else {
        let covers = render::approvals::rule(&made);
        context.output.text(&format!("{}: {} {covers}", made.rule, made.effect.as_str()))?;
    }
    Ok(Status::Done)
}

async fn remove(context: &Context, given: &[String]) -> Result<Status, Failure> {
    let mut removed = Rules::default();
    for rule in names::rules(context, given).await? {
        removed.rules.push(context.call("rule.remove", &RuleParams { rule }).await?);
    }
    if context.output.json {
        context.output.json(&removed)?;
    } else {
        for rule in &removed.rules {
            context.output.text(&format!("{}: removed", rule.rule))?;
        }
    }
    Ok(Status::Done)
}
