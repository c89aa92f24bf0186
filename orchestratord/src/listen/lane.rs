//! The thread that HTTP is served on, calls of models among it: a caller's connection and its provider's are tasks of one thread, so that a
//! piece of an answer passes from one to the other without a second thread being woken. All else is the other threads'.

use std::future::Future;

use tokio::runtime::Builder;
use tokio_util::task::TaskTracker;

/// Runs `work`, and whatever it spawns, on a thread of its own until every task of the daemon has ended.
///
/// # Errors
/// When the system gives no thread.
pub fn run(tasks: &TaskTracker, work: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let work = tasks.track_future(work);
    let tasks = tasks.clone();
    std::thread::Builder::new().name("orchestratord-http".to_owned()).spawn(move || {
        runtime.block_on(async move {
            work.await;
            tasks.wait().await;
        });
    })?;
    Ok(())
}
