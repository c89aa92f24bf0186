//! Answers that were given before, for callers that ask the same again: in memory by bytes and age, and in Redis where the operator has
//! one. Which call may have which answer is `key`'s to say, what is alike is `alike`'s; sending and billing are `call`'s.

pub mod alike;
pub mod entry;
pub mod keeping;
pub mod key;
pub mod remote;
pub mod settings;

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync;
use orx_protocol::clock;
use ring::hmac;
use tokio_util::task::TaskTracker;

use alike::{Alike, Vector};
use entry::Entry;
use key::Key;
use remote::Remote;
use settings::CacheSettings;

/// What an answer costs in memory beside its body, in bytes.
const OVERHEAD: usize = 256;
/// An answer above this part of all that is kept is not kept: it would drive out everything else.
const LARGEST_PART: u64 = 8;

/// Where a call's answer is to be kept.
#[derive(Debug, Clone)]
pub struct Slot {
    cache: Arc<Cache>,
    key: Key,
    /// What the call is alike by.
    alike: Option<(Key, Vector)>,
    tasks: TaskTracker,
}

impl Slot {
    /// The largest answer that can be kept, in bytes.
    #[must_use]
    pub fn room(&self) -> usize {
        self.cache.largest
    }

    /// Keeps an answer of this moment. Redis is not waited for.
    pub fn keep(&self, entry: Entry) {
        let entry = Entry { at_ms: clock::now_ms(), ..entry };
        let (cache, key) = (Arc::clone(&self.cache), self.key);
        let entry = Arc::new(entry);
        cache.put(key, Arc::clone(&entry));
        if let Some((bucket, vector)) = &self.alike {
            cache.alike.remember(*bucket, vector.clone(), key);
        }
        if cache.remote.is_some() {
            self.tasks.spawn(async move {
                if let Some(remote) = &cache.remote {
                    remote.put(key, &entry, cache.ttl).await;
                }
            });
        }
    }
}

/// Answers that were given before.
#[derive(Debug)]
pub struct Cache {
    /// What the operator set.
    pub settings: CacheSettings,
    entries: sync::Cache<Key, Arc<Entry>>,
    alike: Alike,
    remote: Option<Remote>,
    ttl: Duration,
    largest: usize,
}

impl Cache {
    /// An empty one; what is kept in Redis is sealed with `seal`.
    ///
    /// # Errors
    /// Why the address of the Redis is none.
    pub fn new(settings: CacheSettings, seal: hmac::Key) -> Result<Self, String> {
        let remote = settings.redis.as_deref().map(|address| Remote::new(address, seal)).transpose()?;
        let ttl = Duration::from_secs(settings.ttl_s);
        let weigh = |_: &Key, entry: &Arc<Entry>| u32::try_from(entry.body.len() + OVERHEAD).unwrap_or(u32::MAX);
        Ok(Self {
            entries: sync::Cache::builder()
                .max_capacity(settings.bytes)
                .weigher(weigh)
                .time_to_live(ttl)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            alike: Alike::new(ttl),
            remote,
            ttl,
            largest: usize::try_from(settings.bytes / LARGEST_PART).unwrap_or(usize::MAX),
            settings,
        })
    }

    /// The answer to exactly this call.
    pub async fn get(&self, key: Key) -> Option<Arc<Entry>> {
        if let Some(entry) = self.entries.get(&key) {
            return Some(entry);
        }
        let entry = Arc::new(self.remote.as_ref()?.get(key).await?);
        // Redis counts its own time: what is left of it counts here too.
        let age_ms = clock::now_ms().saturating_sub(entry.at_ms);
        if age_ms >= u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX) {
            return None;
        }
        self.put(key, Arc::clone(&entry));
        Some(entry)
    }

    /// The answer to the call that is most alike, where one is alike enough.
    #[must_use]
    pub fn near(&self, bucket: Key, vector: &Vector) -> Option<Arc<Entry>> {
        let least = self.settings.semantic.as_ref()?.least();
        self.alike.nearest(bucket, vector, least, |key| self.entries.get(&key))
    }

    /// Where the answer of a call is to be kept.
    #[must_use]
    pub fn slot(self: &Arc<Self>, key: Key, alike: Option<(Key, Vector)>, tasks: TaskTracker) -> Slot {
        Slot { cache: Arc::clone(self), key, alike, tasks }
    }

    fn put(&self, key: Key, entry: Arc<Entry>) {
        if entry.body.len() <= self.largest {
            self.entries.insert(key, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn entry(size: usize) -> Arc<Entry> {
        Arc::new(Entry { body: Bytes::from(vec![b'x'; size]), at_ms: clock::now_ms(), ..Entry::default() })
    }

    fn seal() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, b"token")
    }

    fn key(number: u8) -> Key {
        Key([number; 32])
    }

    #[tokio::test]
    async fn the_least_recently_used_goes_when_the_bytes_are_full_and_what_is_too_large_is_not_kept() {
        let cache = Cache::new(CacheSettings { bytes: 100_000, ..CacheSettings::default() }, seal()).unwrap();
        for number in 0..20 {
            cache.put(key(number), entry(9_000));
            cache.entries.run_pending_tasks();
            assert!(cache.get(key(0)).await.is_some(), "the first is used again and again, and stays");
        }
        assert!(cache.entries.weighted_size() <= 100_000, "{}", cache.entries.weighted_size());
        assert!(cache.get(key(0)).await.is_some());
        assert!(cache.get(key(2)).await.is_none());
        cache.put(key(99), entry(50_000));
        assert!(cache.get(key(99)).await.is_none());
    }

    #[tokio::test]
    async fn what_is_alike_is_found_while_its_answer_is_there() {
        let semantic = settings::Semantic { model: "m".to_owned(), threshold_per_mille: 900 };
        let cache = Arc::new(
            Cache::new(CacheSettings { semantic: Some(semantic), ..CacheSettings::default() }, seal()).unwrap(),
        );
        let vector = |values: &[f32]| Vector::new(values.to_vec()).unwrap();
        let (bucket, question) = (key(1), vector(&[1.0, 0.1]));
        assert!(cache.near(bucket, &question).is_none());
        let slot = cache.slot(key(2), Some((bucket, question)), TaskTracker::new());
        slot.keep(Entry { body: Bytes::from_static(b"answer"), ..Entry::default() });
        assert_eq!(cache.near(bucket, &vector(&[1.0, 0.0])).unwrap().body, "answer");
        assert!(cache.near(bucket, &vector(&[0.0, 1.0])).is_none(), "another question");
        assert!(cache.near(key(3), &vector(&[1.0, 0.1])).is_none(), "another model, or other instructions");
        cache.entries.invalidate(&key(2));
        assert!(cache.near(bucket, &vector(&[1.0, 0.1])).is_none());
    }
}
