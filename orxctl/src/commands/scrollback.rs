//! `orxctl scrollback`.

use clap::Args;
use orx_client::Client;
use orx_protocol::api::session::{ScrollbackPage, ScrollbackParams};

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::{names, text};

/// Lines asked for at once.
const PAGE: u32 = 1000;

/// Arguments of `scrollback`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl scrollback 5FAV
  orxctl scrollback 5FAV --tail 200
  orxctl scrollback 5FAV --styled | less -R

Lines are whole, however wide the terminal was; what is still on the screen is shown by `orxctl screen`.
With --json each page is an object of its own, with the numbers of its lines.")]
pub struct Scrollback {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
    /// Only the last lines
    #[arg(short = 'n', long, value_name = "LINES", conflicts_with = "from")]
    pub tail: Option<u64>,
    /// Begin with the line of this number
    #[arg(long, value_name = "NUMBER")]
    pub from: Option<u64>,
    /// Keep colours and styles
    #[arg(long)]
    pub styled: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Scrollback) -> Result<Status, Failure> {
    let session = names::session(context, &arguments.session).await?;
    let mut client = context.connect().await?;
    let styled = arguments.styled;
    let mut from = match arguments.tail {
        Some(tail) => {
            let last = page(&mut client, ScrollbackParams { session, from: None, limit: Some(1), styled }).await?;
            last.total.saturating_sub(tail)
        }
        None => arguments.from.unwrap_or(0),
    };
    loop {
        let page = page(&mut client, ScrollbackParams { session, from: Some(from), limit: Some(PAGE), styled }).await?;
        let is_last = page.lines.is_empty() || page.next >= page.total;
        from = page.next;
        show(context, &page, styled)?;
        if is_last {
            return Ok(Status::Done);
        }
    }
}

async fn page(client: &mut Client, params: ScrollbackParams) -> Result<ScrollbackPage, Failure> {
    Ok(client.call("session.scrollback", &params).await?)
}

fn show(context: &Context, page: &ScrollbackPage, styled: bool) -> Result<(), Failure> {
    if context.output.json {
        return context.output.json_line(page);
    }
    let mut shown = String::new();
    for line in &page.lines {
        if styled {
            shown.push_str(&only_styles(line));
        } else {
            shown.push_str(&text::clean(line));
        }
        shown.push('\n');
    }
    context.output.bytes(shown.as_bytes())
}

/// A line in which nothing but colours and styles can reach the terminal.
fn only_styles(line: &str) -> String {
    let mut pieces = line.split("\u{1b}[");
    let mut kept = text::clean(pieces.next().unwrap_or_default());
    for piece in pieces {
        let end = piece.find(|c: char| !matches!(c, '0'..='9' | ';' | ':')).unwrap_or(piece.len());
        let (style, rest) = piece.split_at(end);
        if let Some(rest) = rest.strip_prefix('m') {
            kept.push_str(&format!("\u{1b}[{style}m{}", text::clean(rest)));
        } else {
            kept.push_str(&text::clean(rest));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_styles_reach_a_terminal() {
        assert_eq!(only_styles("a\u{1b}[0;31mb\u{1b}[0m"), "a\u{1b}[0;31mb\u{1b}[0m");
        let hostile = only_styles("\u{1b}]52;c;x\u{7}\u{1b}[2J\u{1b}[5nx\u{1b}[?25l");
        assert!(!hostile.contains('\u{1b}') && !hostile.contains('\u{7}'), "{hostile:?}");
    }
}
