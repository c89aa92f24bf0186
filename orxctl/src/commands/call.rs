//! `orxctl call`.

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::progress::Progress;
use crate::{figures, text, words};

/// Arguments of `call`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl call health
  orxctl call session.get '{\"session\": \"ses_01ARZ3NDEKTSV4RRFFQ69G5FAV\"}'
  orxctl call run.start @params.json
  echo '{}' | orxctl call worker.list -

The result is printed as JSON. An error is printed as JSON on standard error, with exit code 1 (77 when not allowed).")]
pub struct Call {
    /// The method.
    #[arg(help = "The method, <noun>.<verb>")]
    pub method: String,
    /// Its parameters as JSON, @file, or - for standard input [default: {}]
    #[arg(value_name = "JSON|@FILE|-")]
    pub params: Option<String>,
    /// How long the answer may take [default: 75s]
    #[arg(long, value_name = "DURATION", value_parser = figures::parse_duration)]
    pub timeout: Option<Duration>,
}

pub(crate) async fn run(context: &Context, arguments: &Call) -> Result<Status, Failure> {
    let text = match &arguments.params {
        Some(given) => words::read(given, "JSON")?,
        None => "{}".to_owned(),
    };
    let params = parameters(&text)?;
    let client = context.connect().await?;
    let deadline = arguments.timeout.unwrap_or(client.options().deadline);
    let progress = Progress::new(context.output, format!("calling {}", arguments.method));
    match progress.during(client.call_raw_with_deadline(&arguments.method, &params, deadline)).await {
        Ok(result) => {
            show(context, &result)?;
            Ok(Status::Done)
        }
        Err(error) => {
            let failure = Failure::from(error);
            let Some(rpc) = &failure.rpc else { return Err(failure) };
            let shown = serde_json::to_string(rpc).unwrap_or_else(|_| failure.message.clone());
            context.output.note(&text::clean_json(&shown));
            Ok(failure.status)
        }
    }
}

/// The parameters untouched, once they are known to be an object or a list.
fn parameters(text: &str) -> Result<Box<RawValue>, Failure> {
    let wrong = |why: String| {
        Failure::usage(format!("the parameters are not JSON: {why}"))
            .with_hint("write an object such as '{\"all\": true}'")
    };
    match serde_json::from_str::<Value>(text).map_err(|error| wrong(error.to_string()))? {
        Value::Object(_) | Value::Array(_) => {}
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(wrong("they must be an object".to_owned()));
        }
    }
    RawValue::from_string(text.trim().to_owned()).map_err(|error| wrong(error.to_string()))
}

/// On a terminal over several lines, elsewhere in the words of the daemon.
fn show(context: &Context, result: &RawValue) -> Result<(), Failure> {
    match serde_json::from_str::<Value>(result.get()) {
        Ok(value) if context.output.columns.is_some() => context.output.json(&value),
        Ok(_) | Err(_) => context.output.text(&text::clean_json(result.get())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_an_object_or_a_list_and_stay_untouched() {
        assert_eq!(parameters(" {\"n\": 1.50}\n").unwrap().get(), "{\"n\": 1.50}");
        assert!(parameters("[1]").is_ok());
        for bad in ["", "{", "7", "\"x\"", "null", "{} {}"] {
            assert_eq!(parameters(bad).unwrap_err().status, Status::Usage, "{bad}");
        }
    }
}
