//! Who types when: answers of the terminal, viewers, and requests share one program's input without mixing within a
//! paste; Enter after a text waits until the program has shown it.
//!
//! It decides and counts; writing to the terminal is the holder's.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::echo::Echo;
use super::paste::PasteWatch;

/// Output must have been quiet for this long before Enter follows a text that the program has shown.
const QUIET: Duration = Duration::from_millis(80);
/// Enter follows after this long also when the program shows nothing of the text, or never falls quiet. A busy one that
/// finds the text and Enter in one read takes both for a paste and submits nothing.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
/// A paste that a viewer leaves open holds requests back no longer than this.
const OPEN_PASTE_LIMIT: Duration = Duration::from_secs(2);
/// Bytes that may wait for a program that does not read.
const QUEUE_LIMIT: usize = 4 * 1024 * 1024;
/// Requests that may wait.
const JOB_LIMIT: usize = 256;
/// Bytes of viewers that may wait before no more is read from them.
const VIEWER_LIMIT: usize = 64 * 1024;
/// Bytes of answers that may wait for a program that asks and does not read.
const REPLY_LIMIT: usize = 64 * 1024;

/// A step of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Bytes to type.
    Type(Vec<u8>),
    /// Wait until the program has shown what was typed.
    Settle(Echo),
}

/// The input of a program has no room left for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the program does not read its input: {waiting} bytes wait for it already")]
pub struct InputFull {
    /// Bytes that wait.
    pub waiting: usize,
}

struct Job<T> {
    steps: VecDeque<Step>,
    ticket: Option<T>,
}

/// Bytes of which some were written.
#[derive(Default)]
struct Partial {
    bytes: Vec<u8>,
    written: usize,
}

impl Partial {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.rest().is_empty() {
            self.bytes.clear();
            self.written = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn is_begun(&self) -> bool {
        self.written > 0 && !self.rest().is_empty()
    }
}

/// A wait for what was typed to be shown.
#[derive(Debug, Clone, Copy)]
struct Settling {
    since: Instant,
    shown: bool,
}

impl Settling {
    /// When it is over, unless the program writes more until then.
    fn ends_at(self, last_output: Instant) -> Instant {
        let limit = self.since + SETTLE_LIMIT;
        if self.shown { limit.min(last_output + QUIET) } else { limit }
    }
}

/// Which queue the bytes of [`Typist::next`] came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Replies,
    Viewer,
    Job,
}

/// The queue of a program's input. `T` names the request that is answered when its job is done.
pub struct Typist<T> {
    replies: Partial,
    viewer: Partial,
    watch: PasteWatch,
    open_paste: Option<Instant>,
    jobs: VecDeque<Job<T>>,
    current: Option<(Partial, Job<T>)>,
    settling: Option<Settling>,
    waiting: usize,
    source: Source,
}

impl<T> Default for Typist<T> {
    fn default() -> Self {
        Self {
            replies: Partial::default(),
            viewer: Partial::default(),
            watch: PasteWatch::default(),
            open_paste: None,
            jobs: VecDeque::new(),
            current: None,
            settling: None,
            waiting: 0,
            source: Source::Replies,
        }
    }
}

impl<T> std::fmt::Debug for Typist<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Typist").field("waiting", &self.waiting).field("jobs", &self.jobs.len()).finish_non_exhaustive()
    }
}

impl<T> Typist<T> {
    /// Queues answers of the terminal; what a program that does not read leaves lying is dropped.
    pub fn reply(&mut self, bytes: &[u8]) {
        if self.replies.rest().len() + bytes.len() <= REPLY_LIMIT {
            self.replies.add(bytes);
        }
    }

    /// Queues what the viewer in control typed.
    pub fn viewer(&mut self, bytes: &[u8], now: Instant) {
        self.viewer.add(bytes);
        self.open_paste = self.watch.follow(bytes).then_some(now);
    }

    /// Forgets a paste that the viewer in control left open.
    pub fn viewer_left(&mut self) {
        self.watch = PasteWatch::default();
        self.open_paste = None;
    }

    /// Whether there is room for more of what viewers type.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.viewer.rest().len() < VIEWER_LIMIT
    }

    /// Queues a request.
    ///
    /// # Errors
    /// [`InputFull`] when too much waits; nothing is queued then.
    pub fn request(&mut self, steps: Vec<Step>, ticket: Option<T>) -> Result<(), InputFull> {
        let size: usize = steps.iter().map(|step| if let Step::Type(bytes) = step { bytes.len() } else { 0 }).sum();
        if self.waiting + size > QUEUE_LIMIT || self.jobs.len() >= JOB_LIMIT {
            return Err(InputFull { waiting: self.waiting });
        }
        self.waiting += size;
        self.jobs.push_back(Job { steps: steps.into(), ticket });
        Ok(())
    }

    /// The bytes to write now; empty when there is nothing to write. `last_output` is when the program last wrote.
    pub fn next(&mut self, now: Instant, last_output: Instant) -> &[u8] {
        self.source = self.choose(now, last_output);
        match self.source {
            Source::Replies => self.replies.rest(),
            Source::Viewer => self.viewer.rest(),
            Source::Job => self.current.as_ref().map(|(bytes, _)| bytes.rest()).unwrap_or_default(),
        }
    }

    fn choose(&mut self, now: Instant, last_output: Instant) -> Source {
        if self.replies.is_begun() {
            return Source::Replies;
        }
        let in_job = self.current.as_ref().is_some_and(|(bytes, _)| bytes.is_begun());
        let in_paste = !self.viewer.rest().is_empty() && (self.viewer.is_begun() || self.is_paste_open(now));
        if in_job {
            return Source::Job;
        }
        if in_paste && self.current.is_none() {
            return Source::Viewer;
        }
        if !self.replies.rest().is_empty() {
            return Source::Replies;
        }
        if self.current.is_none() {
            if !self.viewer.rest().is_empty() {
                return Source::Viewer;
            }
            if !self.is_paste_open(now) {
                self.current = self.jobs.pop_front().map(|job| (Partial::default(), job));
            }
        }
        self.advance(now, last_output);
        Source::Job
    }

    fn is_paste_open(&self, now: Instant) -> bool {
        self.open_paste.is_some_and(|since| now < since + OPEN_PASTE_LIMIT)
    }

    /// Goes on to the step of the current request that has something to write.
    fn advance(&mut self, now: Instant, last_output: Instant) {
        let Some((bytes, job)) = self.current.as_mut() else { return };
        while bytes.rest().is_empty() {
            match job.steps.front_mut() {
                Some(Step::Type(next)) => {
                    *bytes = Partial { bytes: std::mem::take(next), written: 0 };
                    job.steps.pop_front();
                }
                Some(Step::Settle(_)) => {
                    let settling = *self.settling.get_or_insert(Settling { since: now, shown: false });
                    if now < settling.ends_at(last_output) {
                        return;
                    }
                    self.settling = None;
                    job.steps.pop_front();
                }
                None => return,
            }
        }
    }

    /// Says that `count` of the bytes of [`Self::next`] were written; gives the request that is done by that.
    pub fn wrote(&mut self, count: usize) -> Option<T> {
        match self.source {
            Source::Replies => self.replies.written += count,
            Source::Viewer => self.viewer.written += count,
            Source::Job => {
                let (bytes, job) = self.current.as_mut()?;
                bytes.written += count;
                self.waiting = self.waiting.saturating_sub(count);
                if bytes.rest().is_empty() && job.steps.is_empty() {
                    return self.current.take().and_then(|(_, job)| job.ticket);
                }
            }
        }
        None
    }

    /// Lets a wait know what the screen shows, after the program wrote; `screen` is asked only while one is on.
    pub fn look(&mut self, screen: impl FnOnce() -> Vec<String>) {
        let Some(settling) = self.settling.as_mut().filter(|settling| !settling.shown) else { return };
        if let Some(Step::Settle(echo)) = self.current.as_ref().and_then(|(_, job)| job.steps.front()) {
            settling.shown = echo.is_on(&screen());
        }
    }

    /// When to ask [`Self::next`] again although nothing happened.
    #[must_use]
    pub fn wakes_at(&self, last_output: Instant) -> Option<Instant> {
        let settled = self.settling.map(|settling| settling.ends_at(last_output));
        let unblocked = self.open_paste.filter(|_| !self.jobs.is_empty()).map(|since| since + OPEN_PASTE_LIMIT);
        settled.into_iter().chain(unblocked).min()
    }

    /// Whether nothing waits to be typed, from nobody.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.replies.rest().is_empty()
            && self.viewer.rest().is_empty()
            && self.jobs.is_empty()
            && self.current.is_none()
    }

    /// Takes the requests that will never be done, when the program is gone.
    pub fn abandon(&mut self) -> Vec<T> {
        let current = self.current.take().map(|(_, job)| job);
        current.into_iter().chain(self.jobs.drain(..)).filter_map(|job| job.ticket).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_all(typist: &mut Typist<u8>, now: Instant, last_output: Instant) -> (Vec<u8>, Vec<u8>) {
        let (mut written, mut done) = (Vec::new(), Vec::new());
        loop {
            let next = typist.next(now, last_output).to_vec();
            if next.is_empty() {
                return (written, done);
            }
            let part = next.len().min(3);
            written.extend_from_slice(&next[..part]);
            done.extend(typist.wrote(part));
        }
    }

    fn shows(typist: &mut Typist<u8>, row: &str) {
        typist.look(|| vec![row.to_owned()]);
    }

    #[test]
    fn enter_waits_for_the_echo_and_the_answer_for_enter() {
        let mut typist = Typist::default();
        let start = Instant::now();
        typist
            .request(
                vec![Step::Type(b"hello".to_vec()), Step::Settle(Echo::of("hello", &[])), Step::Type(b"\r".to_vec())],
                Some(1),
            )
            .unwrap();
        assert_eq!(write_all(&mut typist, start, start), (b"hello".to_vec(), vec![]));
        let echo = start + Duration::from_millis(50);
        shows(&mut typist, "something else");
        assert_eq!(typist.wakes_at(echo), Some(start + Duration::from_secs(2)));
        shows(&mut typist, "> hello");
        assert_eq!(write_all(&mut typist, start + Duration::from_millis(100), echo), (vec![], vec![]));
        assert_eq!(typist.wakes_at(echo), Some(start + Duration::from_millis(130)));
        assert_eq!(write_all(&mut typist, start + Duration::from_millis(130), echo), (b"\r".to_vec(), vec![1]));
    }

    #[test]
    fn a_program_that_never_falls_quiet_or_shows_nothing_gets_enter_in_the_end() {
        let mut typist = Typist::default();
        let start = Instant::now();
        typist
            .request(
                vec![Step::Type(b"x".to_vec()), Step::Settle(Echo::of("x", &[])), Step::Type(b"\r".to_vec())],
                Some(1),
            )
            .unwrap();
        write_all(&mut typist, start, start);
        let busy = start + Duration::from_millis(1999);
        assert_eq!(write_all(&mut typist, busy, start).0, b"");
        shows(&mut typist, "> x");
        assert_eq!(write_all(&mut typist, busy, busy).0, b"");
        assert_eq!(typist.wakes_at(busy), Some(start + Duration::from_secs(2)));
        let late = start + Duration::from_millis(2001);
        assert_eq!(write_all(&mut typist, late, late), (b"\r".to_vec(), vec![1]));
    }

    #[test]
    fn viewers_wait_while_a_request_is_typed_and_requests_while_a_viewer_pastes() {
        let mut typist = Typist::default();
        let now = Instant::now();
        typist
            .request(
                vec![Step::Type(b"text".to_vec()), Step::Settle(Echo::of("text", &[])), Step::Type(b"\r".to_vec())],
                Some(1),
            )
            .unwrap();
        assert_eq!(write_all(&mut typist, now, now).0, b"text");
        typist.viewer(b"\x1b[200~begun", now);
        assert_eq!(write_all(&mut typist, now, now).0, b"");
        shows(&mut typist, "> text");
        let (echo, later) = (now + Duration::from_millis(1), now + Duration::from_millis(90));
        typist.request(vec![Step::Type(b"second".to_vec())], Some(2)).unwrap();
        assert_eq!(write_all(&mut typist, later, echo), (b"\r\x1b[200~begun".to_vec(), vec![1]));
        typist.viewer(b"ended\x1b[201~", later);
        assert_eq!(write_all(&mut typist, later, now), (b"ended\x1b[201~second".to_vec(), vec![2]));
    }

    #[test]
    fn answers_never_land_within_a_text() {
        let mut typist = Typist::default();
        let now = Instant::now();
        typist.request(vec![Step::Type(b"abcdef".to_vec())], Some(1)).unwrap();
        assert_eq!(typist.next(now, now), b"abcdef");
        typist.wrote(2);
        typist.reply(b"\x1b[0n");
        assert_eq!(write_all(&mut typist, now, now).0, b"cdef\x1b[0n");
    }

    #[test]
    fn too_much_is_refused_whole() {
        let mut typist: Typist<u8> = Typist::default();
        typist.request(vec![Step::Type(vec![b'x'; QUEUE_LIMIT])], None).unwrap();
        assert!(typist.request(vec![Step::Type(b"y".to_vec())], None).is_err());
    }
}
