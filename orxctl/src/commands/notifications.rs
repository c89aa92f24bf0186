//! `orxctl notifications`.

use clap::Args;
use orx_protocol::api::Empty;
use orx_protocol::api::notification::{
    Attempt, ListParams, Notification, Notifications as Told, Road, Status as Arrived,
};
use orx_protocol::clock;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::figures;
use crate::table::{Cell, Table};
use crate::text;

/// Arguments of `notifications`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl notifications
  orxctl notifications --test

You are told on the desktop (D-Bus), on attached terminals (OSC 9), and by a command of your own, when an agent needs you
or has finished, unless you look at it. `notifications` in orchestratord.yaml sets the roads and the topics.")]
pub struct Notifications {
    /// Tell yourself now, by every road that is on, and see what becomes of it
    #[arg(long)]
    pub test: bool,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

pub(crate) async fn run(context: &Context, arguments: &Notifications) -> Result<Status, Failure> {
    if arguments.test {
        let told: Notification = context.call("notification.test", &Empty {}).await?;
        if context.output.json {
            context.output.json(&told)?;
        } else {
            for attempt in &told.attempts {
                context.output.text(&format!("{}: {}", road(attempt.road), arrived(&attempt.status)))?;
            }
            if told.attempts.is_empty() {
                context.output.text("every road is off; see `notifications` in orchestratord.yaml")?;
            }
        }
        let reached = told.attempts.iter().any(|attempt| matches!(attempt.status, Arrived::Delivered(_)));
        return Ok(if reached { Status::Done } else { Status::Failed });
    }
    let told: Told = context.call("notification.list", &ListParams { limit: Some(arguments.limit) }).await?;
    if context.output.json {
        context.output.json(&told)?;
    } else if told.notifications.is_empty() {
        context.output.text("no notifications")?;
    } else {
        context.output.text(table(&told.notifications, clock::now_ms(), context).trim_end())?;
    }
    Ok(Status::Done)
}

fn table(notifications: &[Notification], now_ms: u64, context: &Context) -> String {
    let mut table = Table::new(&["AGE", "TOPIC", "ABOUT", "WHAT", "TOLD"]).wrapping();
    for notification in notifications {
        let told = match &notification.held_back {
            Some(why) => format!("nobody: {why}"),
            None => notification.attempts.iter().map(short).collect::<Vec<_>>().join(", "),
        };
        table.row(vec![
            Cell::new(figures::age(notification.at_ms, now_ms)),
            Cell::word(notification.topic.as_str()),
            Cell::new(text::clean_line(&notification.title)),
            Cell::new(text::clean_line(&notification.body)),
            Cell::new(text::clean_line(&told)),
        ]);
    }
    table.render(context.output)
}

const fn road(road: Road) -> &'static str {
    match road {
        Road::Desktop => "desktop",
        Road::Terminal => "terminal",
        Road::Command => "command",
    }
}

fn short(attempt: &Attempt) -> String {
    let how = match attempt.status {
        Arrived::Delivered(_) => "yes",
        Arrived::Failed(_) => "failed",
        Arrived::Nobody => "nobody there",
    };
    format!("{} {how}", road(attempt.road))
}

fn arrived(status: &Arrived) -> String {
    match status {
        Arrived::Delivered(how) => format!("delivered, {}", text::clean_line(how)),
        Arrived::Failed(why) => format!("failed, {}", text::clean_line(why)),
        Arrived::Nobody => "nobody to tell there".to_owned(),
    }
}
