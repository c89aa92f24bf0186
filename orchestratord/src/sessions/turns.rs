//! Turns at a session: whoever came first goes first. A place is taken at once, without waiting, and may then be carried
//! into any task; one that is given up holds nobody back.

use orx_protocol::SessionId;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::OwnedMutexGuard;

/// The queues of all sessions.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<SessionId, Arc<tokio::sync::Mutex<()>>>>);

/// A place in the queue of one session.
pub struct Place(State);

enum State {
    Mine(OwnedMutexGuard<()>),
    Waits(Pin<Box<dyn Future<Output = OwnedMutexGuard<()>> + Send>>),
}

impl Turns {
    /// Takes the last place in the queue of a session.
    #[must_use]
    pub fn take(&self, session: SessionId) -> Place {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody waits for any more are forgotten.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        let turn = Arc::clone(turns.entry(session).or_default());
        // The lock serves in the order of the first polls, so that is done here; a busy task's own share of time must not
        // put it off.
        let mut waits: Pin<Box<dyn Future<Output = _> + Send>> =
            Box::pin(tokio::task::unconstrained(turn.lock_owned()));
        Place(match waits.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(mine) => State::Mine(mine),
            Poll::Pending => State::Waits(waits),
        })
    }
}

impl Place {
    /// Waits until everybody before is done or gone. The turn lasts as long as what this gives.
    pub async fn come(self) -> OwnedMutexGuard<()> {
        match self.0 {
            State::Mine(mine) => mine,
            State::Waits(waits) => waits.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Places are carried into tasks that are started in any order; some are given up.
        #[test]
        fn whoever_came_first_goes_first_whichever_task_runs_first(
            given_up in prop::collection::vec(any::<bool>(), 1..400), backwards in any::<bool>()
        ) {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
            let expected: Vec<usize> = (0..given_up.len()).filter(|number| !given_up[*number]).collect();
            let order = runtime.block_on(async move {
                // A task of its own, which has a share of time that it could use up.
                let mut outer = JoinSet::new();
                outer.spawn(async move {
                    let (turns, session) = (Turns::default(), SessionId::generate());
                    let (done, mut went) = mpsc::channel(given_up.len());
                    let mut places: Vec<(usize, Place)> =
                        given_up.iter().enumerate().map(|(number, _)| (number, turns.take(session))).collect();
                    if backwards {
                        places.reverse();
                    }
                    let mut tasks = JoinSet::new();
                    for (number, place) in places {
                        if !given_up[number] {
                            let done = done.clone();
                            tasks.spawn(async move {
                                let _turn = place.come().await;
                                done.send(number).await.unwrap();
                            });
                        }
                    }
                    drop(done);
                    let mut order = Vec::new();
                    while let Some(number) = went.recv().await {
                        order.push(number);
                    }
                    order
                });
                outer.join_next().await.unwrap().unwrap()
            });
            prop_assert_eq!(order, expected);
        }
    }

    #[test]
    fn sessions_do_not_wait_for_each_other_and_are_forgotten() {
        let turns = Turns::default();
        let (first, second) = (SessionId::generate(), SessionId::generate());
        let held = turns.take(first);
        assert!(matches!(turns.take(second).0, State::Mine(_)));
        assert!(matches!(turns.take(first).0, State::Waits(_)));
        drop(held);
        assert!(matches!(turns.take(second).0, State::Mine(_)));
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
