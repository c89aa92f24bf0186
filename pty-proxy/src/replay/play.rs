//! A recording as the notifications of `hold.watch`.

use std::time::{Duration, Instant};

use orx_protocol::watch::Changed;

use super::cast::{Cast, CastError, Event, Happening};
use crate::terminal::emulator::Emulator;
use crate::watch::watched::{Knowledge, Watched};

/// How long after its last event a recording is looked at, so that a screen that has just been drawn is told.
const AFTER: Duration = Duration::from_secs(2);

struct Player {
    base: Instant,
    /// Until when everything was told.
    now: Instant,
    emulator: Emulator,
    watched: Watched,
    known: Knowledge,
    last_output: Duration,
}

impl Player {
    /// Tells what is due until `until`.
    fn tell<E>(&mut self, until: Duration, told: &mut impl FnMut(Changed) -> Result<(), E>) -> Result<(), E> {
        loop {
            let drawing = self.emulator.drawing_until(self.now);
            let due = self.watched.due(drawing);
            let at = due.saturating_duration_since(self.base);
            if at > until {
                self.now = self.base + until;
                return Ok(());
            }
            self.now = due.max(self.now);
            self.emulator.expire(due);
            if self.watched.looks(due) {
                // A recording knows nothing of processes.
                self.watched.looked(crate::watch::watched::Processes::default(), due);
            }
            if self.watched.tells(due, self.emulator.drawing_until(due)) {
                self.watched.told(due);
                let quiet = at.saturating_sub(self.last_output);
                let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
                let screen = self.emulator.text();
                if let Some(news) = self.watched.news(&mut self.known, &screen, quiet, due, at_ms) {
                    told(news)?;
                }
            }
        }
    }
}

/// Plays a recording and hands over what a watcher would have been told, with the times of the recording; gives the
/// recording's length and, where the program ended in it, its status.
///
/// # Errors
/// When the recording cannot be read, or `told` fails.
pub fn play<E: From<CastError>>(
    text: &str,
    mut told: impl FnMut(Changed) -> Result<(), E>,
) -> Result<(Duration, Option<String>), E> {
    let cast = Cast::open(text)?;
    let base = Instant::now();
    let mut player = Player {
        base,
        now: base,
        emulator: Emulator::new(cast.size),
        watched: Watched::new(base),
        known: Knowledge::default(),
        last_output: Duration::ZERO,
    };
    let mut length = Duration::ZERO;
    let mut exit = None;
    for event in cast {
        let Event { at, what } = event?;
        player.tell(at, &mut told)?;
        length = at;
        match what {
            Happening::Output(text) => {
                let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
                player.emulator.accept(text.as_bytes(), base + at);
                player.watched.output(text.as_bytes(), base + at, at_ms);
                player.last_output = at;
            }
            Happening::Resize(size) => {
                player.emulator.resize(size);
                player.watched.touch(base + at);
            }
            Happening::Exit(status) => exit = Some(status),
            Happening::Other => {}
        }
    }
    if exit.is_none() {
        player.tell(length + AFTER, &mut told)?;
    }
    Ok((length, exit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_tells_what_a_watcher_would_have_heard() {
        let cast = "{\"version\":3,\"term\":{\"cols\":20,\"rows\":2}}\n\
            [0.1,\"o\",\"\\u001b]0;busy\\u0007one\"]\n\
            [0.005,\"o\",\"\\r\\ntwo\"]\n\
            [3,\"o\",\"\\u001b]9;done\\u0007\"]\n[0.5,\"x\",\"3\"]\n";
        let mut all = Vec::new();
        let played = play(cast, |news| {
            all.push(news);
            Ok::<_, CastError>(())
        });
        assert_eq!(played, Ok((Duration::from_millis(3605), Some("3".to_owned()))));
        let titles: Vec<_> = all.iter().filter_map(|news| news.title.clone()).collect();
        assert_eq!(titles, ["", "busy"]);
        let drawn: Vec<_> =
            all.iter().filter_map(|news| Some((news.at_ms, news.screen.clone()?.lines.concat()))).collect();
        assert_eq!(drawn.last().unwrap().1, "onetwo");
        assert!((100..=350).contains(&drawn.last().unwrap().0), "{drawn:?}");
        let notices: Vec<_> = all.iter().flat_map(|news| news.notices.clone()).collect();
        assert_eq!((notices.len(), notices[0].at_ms), (1, 3105));
    }
}
