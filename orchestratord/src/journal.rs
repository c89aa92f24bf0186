//! Notes in the journal about the daemon itself, where the event is all there is to store.

use orx_store::Store;

/// The journal, for those who only add to it.
#[derive(Clone)]
pub struct Journal(Store);

impl Journal {
    /// The journal of a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// Adds an event. That it could not be stored is logged: what happened has happened all the same.
    pub async fn note(&self, kind: &'static str, subject: String, data: serde_json::Value) {
        let written = self.0.write(move |tx| orx_store::events::append(tx, kind, &subject, &data)).await;
        if let Err(error) = written {
            tracing::error!(kind, %error, "An event could not be stored.");
        }
    }
}
