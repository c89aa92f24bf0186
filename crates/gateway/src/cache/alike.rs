//! What was asked before, as vectors: which of them a new one is most alike. Pure but for the cache that bounds it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync;

use super::entry::Entry;
use super::key::Key;

/// Questions that are held against each other at most; the oldest goes.
const QUESTIONS: usize = 256;
/// Sorts of calls whose questions are kept at most.
const BUCKETS: u64 = 1_024;

/// A direction, of length one.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector(Arc<[f32]>);

impl Vector {
    /// Of what a model gave; `None` where that has no direction.
    #[must_use]
    pub fn new(values: Vec<f32>) -> Option<Self> {
        let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        (length.is_finite() && length > 0.0).then(|| Self(values.iter().map(|value| value / length).collect()))
    }

    /// The cosine of the angle between two; of other models' there is none.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> Option<f32> {
        (self.0.len() == other.0.len()).then(|| self.0.iter().zip(other.0.iter()).map(|(one, two)| one * two).sum())
    }
}

#[derive(Debug, Default)]
struct Bucket(Mutex<Vec<(Vector, Key)>>);

/// What was asked before.
#[derive(Debug)]
pub struct Alike(sync::Cache<Key, Arc<Bucket>>);

impl Alike {
    /// Nothing yet. What nobody asked about for that long is forgotten.
    #[must_use]
    pub fn new(idle: Duration) -> Self {
        Self(sync::Cache::builder().max_capacity(BUCKETS).time_to_idle(idle).build())
    }

    /// Remembers a question and where its answer is.
    pub fn remember(&self, bucket: Key, vector: Vector, answer: Key) {
        let bucket = self.0.get_with(bucket, Arc::default);
        let mut questions = bucket.0.lock().unwrap_or_else(PoisonError::into_inner);
        questions.retain(|(_, key)| *key != answer);
        if questions.len() >= QUESTIONS {
            questions.remove(0);
        }
        questions.push((vector, answer));
    }

    /// The answer to the most alike of those that are at least so alike. Those whose answers are gone are forgotten.
    pub fn nearest(
        &self,
        bucket: Key,
        vector: &Vector,
        least: f32,
        answer: impl Fn(Key) -> Option<Arc<Entry>>,
    ) -> Option<Arc<Entry>> {
        let bucket = self.0.get(&bucket)?;
        let mut questions = bucket.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut best: Option<(f32, Arc<Entry>)> = None;
        questions.retain(|(known, key)| {
            let Some(entry) = answer(*key) else { return false };
            let cosine = known.cosine(vector).filter(|cosine| *cosine >= least);
            if let Some(cosine) = cosine
                && best.as_ref().is_none_or(|(closest, _)| cosine > *closest)
            {
                best = Some((cosine, entry));
            }
            true
        });
        best.map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_nearest_is_the_one_with_the_largest_cosine(
            known in prop::collection::vec(prop::collection::vec(-1.0f32..1.0, 4), 1..40),
            asked in prop::collection::vec(-1.0f32..1.0, 4),
        ) {
            let known: Vec<Vector> = known.into_iter().filter_map(Vector::new).collect();
            let Some(asked) = Vector::new(asked) else { return Ok(()) };
            let alike = Alike::new(Duration::from_secs(60));
            let bucket = Key([0; 32]);
            for (number, vector) in known.iter().enumerate() {
                alike.remember(bucket, vector.clone(), Key([u8::try_from(number).unwrap(); 32]));
            }
            let answer = |key: Key| Some(Arc::new(Entry { at_ms: u64::from(key.0[0]), ..Entry::default() }));
            let found = alike.nearest(bucket, &asked, 0.5, answer).map(|entry| known[usize::try_from(entry.at_ms).unwrap()].cosine(&asked));
            let best = known.iter().filter_map(|vector| vector.cosine(&asked)).filter(|cosine| *cosine >= 0.5).reduce(f32::max);
            prop_assert_eq!(found.flatten(), best);
        }
    }

    #[test]
    fn no_more_than_so_many_are_kept_and_directions_need_a_length() {
        let alike = Alike::new(Duration::from_secs(60));
        let (bucket, vector) = (Key([0; 32]), Vector::new(vec![1.0, 0.0]).unwrap());
        for number in 0..QUESTIONS + 10 {
            let mut key = Key([0; 32]);
            key.0[..8].copy_from_slice(&(number as u64).to_le_bytes());
            alike.remember(bucket, vector.clone(), key);
        }
        assert_eq!(alike.0.get(&bucket).unwrap().0.lock().unwrap().len(), QUESTIONS);
        assert_eq!(Vector::new(vec![0.0, 0.0]), None);
        assert_eq!(Vector::new(vec![f32::NAN]), None);
        assert_eq!(vector.cosine(&Vector::new(vec![1.0]).unwrap()), None);
    }
}
