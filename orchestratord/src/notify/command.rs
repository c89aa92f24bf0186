//! Telling by a command of the operator's: it gets the notification as JSON on standard input.

use orx_protocol::api::notification::{Notification, Status};
use orx_sandbox::environment::{self, Environment};
use orx_sandbox::{Program, capture};
use std::path::PathBuf;
use std::time::Duration;

/// How long the command may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Bytes of its outputs that are kept for a failure.
const OUTPUT: usize = 4096;

pub(super) async fn tell(notification: &Notification, argv: &[String], operator: &Environment) -> Status {
    let Ok(input) = serde_json::to_vec(notification) else {
        return Status::Failed("the notification cannot be written as JSON".to_owned());
    };
    let program = Program {
        argv: argv.to_vec(),
        cwd: PathBuf::from("/"),
        environment: environment::base(operator),
        input: Some(input),
        deadline: LIMIT,
        output_limit: OUTPUT,
    };
    match capture(program).await {
        Ok(captured) if captured.is_success() => Status::Delivered("the command ended well".to_owned()),
        Ok(captured) if captured.timed_out => {
            Status::Failed(format!("the command did not end within {} s", LIMIT.as_secs()))
        }
        Ok(captured) => {
            let said = captured.stderr_text();
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            Status::Failed(
                format!("the command ended with {}: {last}", captured.exit).trim_end_matches([':', ' ']).to_owned(),
            )
        }
        Err(error) => Status::Failed(error.to_string()),
    }
}
