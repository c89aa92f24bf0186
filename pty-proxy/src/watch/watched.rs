//! When watchers are told, and what: everything at first, then what changed, at most four times a second while the
//! program draws, and once when it has stopped.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use orx_protocol::hold::ScreenText;
use orx_protocol::watch::{Changed, Notice, Progress, PromptMark, Reader};

use super::tap::{Heard, Tap};

/// A screen that changes is told at most this often.
const FLOW: Duration = Duration::from_millis(250);
/// After a change more is waited for so long: most changes come in several parts.
const GATHER: Duration = Duration::from_millis(20);
/// More of a change is waited for no longer than this.
const GATHER_LIMIT: Duration = Duration::from_millis(60);
/// A program that wrote nothing for so long has stopped drawing.
const SETTLED: Duration = Duration::from_millis(150);
/// First pause before the processes of a quiet session are looked at again; it doubles each time.
const LOOK: Duration = Duration::from_millis(500);
/// Longest such pause.
const LOOK_LIMIT: Duration = Duration::from_secs(30);
/// Most notifications that are kept for a watcher that does not read.
const NOTICES: usize = 32;

/// What the processes do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Processes {
    /// Who waits for a line.
    pub reader: Option<Reader>,
    /// How many there are.
    pub count: Option<u32>,
}

/// What one watcher knows.
#[derive(Debug, Clone, Default)]
pub struct Knowledge {
    /// Nothing was told yet.
    is_told: bool,
    title: String,
    screen: Option<ScreenText>,
    settled: bool,
    progress: Option<Progress>,
    mark: Option<PromptMark>,
    processes: Processes,
    /// Number of the next notification for it.
    next_notice: u64,
}

/// A terminal that is watched.
#[derive(Debug)]
pub struct Watched {
    tap: Tap,
    /// The newest notifications, and how many there were before them.
    notices: VecDeque<Notice>,
    dropped: u64,
    progress: Option<Progress>,
    mark: Option<PromptMark>,
    processes: Processes,
    /// When something changed last, and the first time since watchers were told.
    changed_at: Instant,
    dirty_since: Option<Instant>,
    told_at: Option<Instant>,
    /// Watchers were not told yet that the program stopped drawing.
    unsettled: bool,
    looks_at: Instant,
    pause: Duration,
}

impl Watched {
    /// Watching begins at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            tap: Tap::default(),
            notices: VecDeque::new(),
            dropped: 0,
            progress: None,
            mark: None,
            processes: Processes::default(),
            changed_at: now,
            dirty_since: Some(now),
            told_at: None,
            unsettled: true,
            looks_at: now,
            pause: LOOK,
        }
    }

    /// The program wrote something.
    pub fn output(&mut self, bytes: &[u8], now: Instant, at_ms: u64) {
        let Self { tap, notices, dropped, progress, mark, .. } = self;
        tap.listen(bytes, |heard| match heard {
            Heard::Notice(kind, text) => {
                if notices.len() >= NOTICES {
                    notices.pop_front();
                    *dropped += 1;
                }
                notices.push_back(Notice { at_ms, kind, text });
            }
            Heard::Progress(told) => *progress = Some(told),
            Heard::Mark(told) => *mark = Some(told),
        });
        self.touch(now);
    }

    /// What the program wrote before anybody watched: its last mark and progress hold on, its notifications are old news.
    pub fn recall(&mut self, bytes: &[u8]) {
        let Self { progress, mark, .. } = self;
        Tap::default().listen(bytes, |heard| match heard {
            Heard::Notice(..) => {}
            Heard::Progress(told) => *progress = Some(told),
            Heard::Mark(told) => *mark = Some(told),
        });
    }

    /// Something else changed: the size, or somebody began to watch.
    pub fn touch(&mut self, now: Instant) {
        self.changed_at = now;
        self.dirty_since.get_or_insert(now);
        self.unsettled = true;
        self.pause = LOOK;
        self.looks_at = now + SETTLED;
    }

    /// Whether it is time to look at the processes.
    #[must_use]
    pub fn looks(&self, now: Instant) -> bool {
        self.looks_at <= now
    }

    /// The processes were looked at.
    pub fn looked(&mut self, processes: Processes, now: Instant) {
        if processes != self.processes {
            self.processes = processes;
            self.dirty_since.get_or_insert(now);
            self.pause = LOOK;
        } else {
            self.pause = (self.pause * 2).min(LOOK_LIMIT);
        }
        self.looks_at = now + self.pause;
    }

    /// When watchers are to be told, or the processes to be looked at. While the program has a synchronized update open,
    /// which ends at `drawing_until` at the latest, the screen is not worth a look.
    #[must_use]
    pub fn due(&self, drawing_until: Option<Instant>) -> Instant {
        let settles = self.unsettled.then_some(self.changed_at + SETTLED);
        [self.tells_at(drawing_until), settles].into_iter().flatten().min().unwrap_or(self.looks_at).min(self.looks_at)
    }

    fn tells_at(&self, drawing_until: Option<Instant>) -> Option<Instant> {
        let dirty = self.dirty_since?;
        let gathered = (self.changed_at + GATHER).min(dirty + GATHER_LIMIT);
        let paced = self.told_at.map_or(gathered, |told| gathered.max(told + FLOW));
        Some(drawing_until.map_or(paced, |until| paced.max(until)))
    }

    /// Whether watchers are to be told at `now`.
    #[must_use]
    pub fn tells(&self, now: Instant, drawing_until: Option<Instant>) -> bool {
        let settles = self.unsettled && self.changed_at + SETTLED <= now;
        settles || self.tells_at(drawing_until).is_some_and(|at| at <= now)
    }

    /// Watchers are told now.
    pub fn told(&mut self, now: Instant) {
        if self.dirty_since.take().is_some() {
            self.told_at = Some(now);
        }
        self.unsettled = self.changed_at + SETTLED > now;
    }

    /// What is news to one watcher, which knows it from then on; `None` where nothing is.
    pub fn news(
        &self,
        known: &mut Knowledge,
        screen: &ScreenText,
        quiet: Duration,
        now: Instant,
        at_ms: u64,
    ) -> Option<Changed> {
        let settled = self.changed_at + SETTLED <= now;
        let first = !known.is_told;
        let changed = |differs: bool| first || differs;
        let skip = usize::try_from(known.next_notice.saturating_sub(self.dropped)).unwrap_or(usize::MAX);
        let notices: Vec<Notice> = self.notices.iter().skip(skip).cloned().collect();
        let news = Changed {
            at_ms,
            title: changed(known.title != screen.title).then(|| screen.title.clone()),
            screen: changed(known.screen.as_ref() != Some(screen)).then(|| screen.clone()),
            settled,
            quiet_ms: u64::try_from(quiet.as_millis()).unwrap_or(u64::MAX),
            progress: self.progress.filter(|_| changed(known.progress != self.progress)),
            mark: self.mark.filter(|_| changed(known.mark != self.mark)),
            reader: self.processes.reader.filter(|_| changed(known.processes.reader != self.processes.reader)),
            processes: self.processes.count.filter(|_| changed(known.processes.count != self.processes.count)),
            notices,
        };
        let is_news = first
            || known.settled != settled
            || news.title.is_some()
            || news.screen.is_some()
            || news.progress.is_some()
            || news.mark.is_some()
            || news.reader.is_some()
            || news.processes.is_some()
            || !news.notices.is_empty();
        *known = Knowledge {
            is_told: true,
            title: screen.title.clone(),
            screen: Some(screen.clone()),
            settled,
            progress: self.progress,
            mark: self.mark,
            processes: self.processes,
            next_notice: self.dropped + self.notices.len() as u64,
        };
        is_news.then_some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::api::session::Cursor;
    use orx_protocol::watch::NoticeKind;

    fn screen(text: &str) -> ScreenText {
        let cursor = Cursor { row: 0, col: 0, visible: true };
        ScreenText { cols: 80, rows: 1, lines: vec![text.to_owned()], cursor, title: "t".to_owned() }
    }

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_screen_that_changes_is_told_four_times_a_second_and_once_more_when_it_stops() {
        let start = Instant::now();
        let mut watched = Watched::new(start);
        let mut known = Knowledge::default();
        let mut told: Vec<(u64, Option<String>, bool)> = Vec::new();
        for tick in 0..2000_u64 {
            let now = start + ms(tick);
            if tick < 1000 && tick % 10 == 0 {
                watched.output(b"x", now, tick);
            }
            if watched.tells(now, None) {
                watched.told(now);
                let text = screen(&format!("{}", tick.min(990) / 10));
                let news = watched.news(&mut known, &text, Duration::ZERO, now, tick);
                told.extend(news.map(|news| (tick, news.screen.map(|screen| screen.lines.concat()), news.settled)));
            }
        }
        let times: Vec<u64> = told.iter().map(|(at, ..)| *at).collect();
        assert!(times.windows(2).take(3).all(|pair| pair[1] - pair[0] >= 250), "{times:?}");
        let (at, last, settled) = told.last().unwrap();
        assert!(*settled && *at <= 1141 && last.is_none(), "{told:?}");
        assert_eq!(told.iter().rev().find_map(|(_, text, _)| text.clone()).unwrap(), "99");
        assert!(told.len() <= 7, "{told:?}");
    }

    #[test]
    fn nothing_is_told_while_nothing_changes_and_processes_are_looked_at_ever_less_often() {
        let start = Instant::now();
        let mut watched = Watched::new(start);
        let mut looks = 0;
        let mut tells = 0;
        for tick in 0..120_000_u64 {
            let now = start + ms(tick);
            if watched.looks(now) {
                looks += 1;
                watched.looked(Processes::default(), now);
            }
            if watched.tells(now, None) {
                tells += 1;
                watched.told(now);
            }
        }
        assert!(tells <= 2, "{tells}");
        assert!(looks <= 12, "{looks}");
    }

    #[test]
    fn a_watcher_that_comes_back_gets_everything_that_it_missed_once() {
        let start = Instant::now();
        let mut watched = Watched::new(start);
        let (mut known, mut late) = (Knowledge::default(), Knowledge::default());
        let first = watched.news(&mut known, &screen("a"), Duration::ZERO, start, 1).unwrap();
        assert!(first.screen.is_some() && first.title.is_some());
        assert_eq!(watched.news(&mut known, &screen("a"), Duration::ZERO, start, 2), None);
        for count in 0..40 {
            watched.output(format!("\x1b]9;{count}\x07").as_bytes(), start, 3);
        }
        let news = watched.news(&mut known, &screen("a"), Duration::ZERO, start, 4).unwrap();
        assert_eq!((news.screen, news.notices.len()), (None, 32));
        assert_eq!(news.notices[0], Notice { at_ms: 3, kind: NoticeKind::Osc9, text: "8".to_owned() });
        watched.output(b"\x07", start, 5);
        let news = watched.news(&mut known, &screen("b"), Duration::ZERO, start, 6).unwrap();
        assert_eq!((news.notices.len(), news.screen.is_some(), news.title), (1, true, None));
        assert_eq!(watched.news(&mut late, &screen("b"), Duration::ZERO, start, 7).unwrap().notices.len(), 32);
    }

    #[test]
    fn what_was_marked_before_anybody_watched_is_recalled() {
        let start = Instant::now();
        let mut watched = Watched::new(start);
        watched.recall(b"\x1b]133;A\x07$ \x1b]9;old\x07\x1b]133;C\x07");
        let news = watched.news(&mut Knowledge::default(), &screen("a"), Duration::ZERO, start, 1).unwrap();
        assert_eq!((news.mark, news.notices.len()), (Some(PromptMark::Running), 0));
    }

    #[test]
    fn an_open_synchronized_update_is_waited_for() {
        let start = Instant::now();
        let mut watched = Watched::new(start);
        watched.output(b"x", start, 0);
        let drawing = Some(start + ms(120));
        assert!(!watched.tells(start + ms(100), drawing));
        assert!(watched.tells(start + ms(121), drawing));
        assert!(watched.tells(start + ms(60), None));
    }
}
