//! `orxctl key`.

use clap::{Args, Subcommand};
use orx_protocol::api::Empty;
use orx_protocol::api::key::{AddParams, Added, Key as Record, KeyCap, Keys, Per, RevokeParams};
use orx_protocol::clock::now_ms;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::render;

/// Arguments of `key`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl key add ci
  orxctl key add notebook --cap 5/day
  orxctl key ls
  orxctl key revoke ci
  orxctl cost --by key

A program calls models with its key as with the local user's token, and may do nothing else with
it. Caps `of: key` in orchestratord.yaml bound each key. A key is shown once: what is kept of it
opens nothing.")]
pub struct Key {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// The actions.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make a key and print it; it is not shown again
    #[command(after_help = "Examples:
  orxctl key add ci
  orxctl key add notebook --cap 5/day
  orxctl key add trial --cap 0.50/ever")]
    Add {
        /// Its name: letters, digits, `.`, `_` and `-`
        name: String,
        /// What it may spend, in dollars: 5, 5/day, 20/month or 100/ever
        #[arg(long, value_name = "DOLLARS[/PERIOD]", value_parser = cap)]
        cap: Option<KeyCap>,
    },
    /// List the keys, revoked ones too
    Ls,
    /// Make keys void, at once and for good
    Revoke {
        /// Their names
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
}

/// An amount of dollars with at most six places, and a period.
fn cap(text: &str) -> Result<KeyCap, String> {
    let (amount, per) = text.split_once('/').unwrap_or((text, "day"));
    let per = match per {
        "day" => Per::Day,
        "month" => Per::Month,
        "ever" => Per::Ever,
        other => return Err(format!("`{other}` is no period: write day, month or ever")),
    };
    let wrong = || format!("`{amount}` is no amount of dollars: write it as 5 or 0.50");
    let (dollars, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
    if fraction.is_empty() || fraction.len() > 6 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let dollars: u64 = dollars.parse().map_err(|_| wrong())?;
    let fraction: u64 = format!("{fraction:0<6}").parse().map_err(|_| wrong())?;
    let micro_dollars =
        dollars.checked_mul(1_000_000).and_then(|whole| whole.checked_add(fraction)).ok_or_else(wrong)?;
    Ok(KeyCap { micro_dollars, per })
}

pub(crate) async fn run(context: &Context, arguments: Key) -> Result<Status, Failure> {
    match arguments.action {
        Action::Add { name, cap } => add(context, name, cap).await,
        Action::Ls => list(context).await,
        Action::Revoke { names } => revoke(context, names).await,
    }
}

async fn add(context: &Context, name: String, cap: Option<KeyCap>) -> Result<Status, Failure> {
    let added: Added = context.call("key.add", &AddParams { name, cap }).await?;
    if context.output.json {
        context.output.json(&added)?;
    } else {
        context.output.note("keep it well: it is not shown again");
        context.output.text(&added.secret)?;
    }
    Ok(Status::Done)
}

async fn list(context: &Context) -> Result<Status, Failure> {
    let list: Keys = context.call("key.list", &Empty {}).await?;
    if context.output.json {
        context.output.json(&list)?;
    } else if list.keys.is_empty() {
        context.output.note("no keys; `orxctl key add NAME` makes one");
    } else {
        context.output.text(&render::money::keys(&list.keys, now_ms(), context.output))?;
    }
    Ok(Status::Done)
}

async fn revoke(context: &Context, names: Vec<String>) -> Result<Status, Failure> {
    let mut revoked = Keys::default();
    for name in names {
        let key: Record = context.call("key.revoke", &RevokeParams { name }).await?;
        revoked.keys.push(key);
    }
    if context.output.json {
        context.output.json(&revoked)?;
    } else {
        for key in &revoked.keys {
            context.output.text(&format!("{}: revoked", key.name))?;
        }
    }
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_is_dollars_and_a_period() {
        for (text, micro_dollars, per) in
            [("5", 5_000_000, Per::Day), ("0.5/month", 500_000, Per::Month), ("12.345678/ever", 12_345_678, Per::Ever)]
        {
            assert_eq!(cap(text), Ok(KeyCap { micro_dollars, per }), "{text}");
        }
        for text in ["", "-1", "5/week", "1.2345678", "1.", "x", "1e3", "99999999999999", "/day"] {
            assert!(cap(text).is_err(), "{text}");
        }
    }
}
