//! Callers who wait for an entry's delivery.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use uuid::Uuid;

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The log agent has it on disk.
    Delivered,
    /// The log agent will not have it; it stays in the outbox. The reason is the log agent's.
    Refused(String),
}

type Waiting = HashMap<Uuid, Vec<oneshot::Sender<Fate>>>;

/// Who waits for what. Retries of one request wait for one entry, so there may be several.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiters(Arc<Mutex<Waiting>>);

impl Waiters {
    fn locked(&self) -> MutexGuard<'_, Waiting> {
        // Every change of the map is one call: a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait_for(&self, id: Uuid) -> Delivery {
        let (sender, fate) = oneshot::channel();
        self.locked().entry(id).or_default().push(sender);
        Delivery {
            id,
            fate,
            waiters: self.clone(),
        }
    }

    pub(super) fn tell(&self, id: Uuid, fate: &Fate) {
        for waiter in self.locked().remove(&id).unwrap_or_default() {
            // Who does not wait any more need not know.
            let _ = waiter.send(fate.clone());
        }
    }
}

/// The delivery of one entry, for one caller; dropping it ends only the waiting.
#[derive(Debug)]
pub struct Delivery {
    id: Uuid,
    fate: oneshot::Receiver<Fate>,
    waiters: Waiters,
}

impl Delivery {
    /// Waits until the log agent has decided; none if this process ends first.
    pub async fn fate(mut self) -> Option<Fate> {
        (&mut self.fate).await.ok()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.fate.close();
        let mut waiting = self.waiters.locked();
        if let Some(waiters) = waiting.get_mut(&self.id) {
            waiters.retain(|waiter| !waiter.is_closed());
            if waiters.is_empty() {
                waiting.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_who_wait_are_told_and_who_left_leaves_nothing() {
        let waiters = Waiters::default();
        let id = Uuid::now_v7();
        let (one, two, gone) = (
            waiters.wait_for(id),
            waiters.wait_for(id),
            waiters.wait_for(id),
        );
        drop(gone);
        assert_eq!(waiters.locked().get(&id).map(Vec::len), Some(2));
        waiters.tell(id, &Fate::Delivered);
        assert_eq!(one.fate().await, Some(Fate::Delivered));
        assert_eq!(two.fate().await, Some(Fate::Delivered));
        drop(waiters.wait_for(id));
        assert!(waiters.locked().is_empty());
    }
}
