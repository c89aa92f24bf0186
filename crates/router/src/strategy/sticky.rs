//! Which model a conversation is with. A provider caches the beginning of a prompt for its own model alone, so that a
//! conversation that moves pays for all of it again. Times are monotonic milliseconds.

use std::collections::HashMap;

use crate::name::Route;

/// Conversations that are remembered.
const MOST: usize = 20_000;
/// How long a conversation is remembered without a call: the longest time that a provider keeps a prompt.
pub const TTL_MS: u64 = 3_600_000;

#[derive(Debug, Clone)]
struct Stuck {
    route: Route,
    used: u64,
}

/// Conversations and the models that they are with.
#[derive(Debug, Clone)]
pub struct Stickies {
    conversations: HashMap<Box<str>, Stuck>,
    ttl_ms: u64,
}

impl Default for Stickies {
    fn default() -> Self {
        Self::new(TTL_MS)
    }
}

impl Stickies {
    /// None yet; each is remembered for `ttl_ms` after its last call.
    #[must_use]
    pub fn new(ttl_ms: u64) -> Self {
        Self { conversations: HashMap::new(), ttl_ms }
    }

    /// What the conversation is with, unless that was too long ago.
    #[must_use]
    pub fn get(&self, conversation: &str, now: u64) -> Option<&Route> {
        let stuck = self.conversations.get(conversation)?;
        (now.saturating_sub(stuck.used) < self.ttl_ms).then_some(&stuck.route)
    }

    /// Notes that the conversation was answered by `route`. Only an answer is noted: a model that failed holds nobody.
    pub fn answered(&mut self, conversation: &str, route: &Route, now: u64) {
        match self.conversations.get_mut(conversation) {
            Some(stuck) => {
                stuck.used = now;
                if stuck.route != *route {
                    stuck.route.clone_from(route);
                }
            }
            None => {
                if self.conversations.len() >= MOST {
                    self.make_room(now);
                }
                self.conversations.insert(conversation.into(), Stuck { route: route.clone(), used: now });
            }
        }
    }

    /// Forgets a conversation that has ended.
    pub fn forget(&mut self, conversation: &str) {
        self.conversations.remove(conversation);
    }

    /// Drops what has expired and, where that is not enough, the half that was used longest ago.
    fn make_room(&mut self, now: u64) {
        let ttl = self.ttl_ms;
        self.conversations.retain(|_, stuck| now.saturating_sub(stuck.used) < ttl);
        if self.conversations.len() < MOST / 2 {
            return;
        }
        let mut used: Vec<u64> = self.conversations.values().map(|stuck| stuck.used).collect();
        let middle = used.len() / 2;
        let (_, oldest, _) = used.select_nth_unstable(middle);
        let oldest = *oldest;
        self.conversations.retain(|_, stuck| stuck.used > oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_stays_until_it_is_silent_for_too_long() {
        let (a, b) = (Route::new("anthropic", "a"), Route::new("openai", "b"));
        let mut stickies = Stickies::new(1_000);
        assert_eq!(stickies.get("one", 0), None);
        stickies.answered("one", &a, 0);
        assert_eq!(stickies.get("one", 999), Some(&a));
        assert_eq!(stickies.get("two", 999), None);
        stickies.answered("one", &a, 900);
        assert_eq!(stickies.get("one", 1_899), Some(&a));
        assert_eq!(stickies.get("one", 1_900), None);
        stickies.answered("one", &b, 2_000);
        assert_eq!(stickies.get("one", 5), Some(&b), "a time before the last call is no silence");
        stickies.forget("one");
        assert_eq!(stickies.get("one", 2_000), None);
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let route = Route::new("anthropic", "a");
        let mut stickies = Stickies::new(u64::MAX);
        for at in 0..3 * MOST as u64 {
            stickies.answered(&at.to_string(), &route, at);
            assert!(stickies.conversations.len() <= MOST);
        }
        assert!(stickies.get(&(3 * MOST as u64 - 1).to_string(), 0).is_some());
        assert!(stickies.get("0", 0).is_none());
    }
}
