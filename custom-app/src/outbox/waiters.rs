//! Callers who wait for an entry's delivery, and what callers were promised.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use faultline_service::api::Acceptance;
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The log agent has it on disk; with its first acceptance, if that was another one.
    Delivered(Option<Acceptance>),
    /// The log agent will not have it now; it stays in the outbox and is offered again.
    Refused,
    /// Another text is stored under its id, and stays.
    Conflict,
}

/// Whether somebody counts on an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// Nobody was told that it is accepted.
    None,
    /// Somebody was, or may have been in an earlier life of this process.
    Given,
    /// Nobody was, and nobody may be any more: it is being removed.
    Withheld,
}

/// One entry in the outbox, as its callers see it.
#[derive(Debug)]
struct Interest {
    promise: Promise,
    callers: Vec<oneshot::Sender<Fate>>,
}

type Interests = HashMap<Uuid, Interest>;

/// Who waits for what. Retries wait for one entry, so there may be several. There is an interest
/// for every entry that was accepted, or asked for again, in this life of the process.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiters(Arc<Mutex<Interests>>);

impl Waiters {
    fn locked(&self) -> MutexGuard<'_, Interests> {
        // Every change of the map is one call: a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry is accepted that was not there.
    pub(super) fn accepted(&self, id: Uuid) {
        let new = Interest {
            promise: Promise::None,
            callers: Vec::new(),
        };
        self.locked().insert(id, new);
    }

    /// A caller waits for an entry that is in the outbox.
    pub(super) fn wait_for(&self, id: Uuid) -> Delivery {
        let (sender, fate) = oneshot::channel();
        let mut interests = self.locked();
        let interest = interests.entry(id).or_insert(Interest {
            promise: Promise::Given,
            callers: Vec::new(),
        });
        interest.callers.push(sender);
        Delivery {
            id,
            fate,
            waiters: self.clone(),
        }
    }

    /// Promises a caller that the entry is kept until it is delivered; false if it is too late.
    fn promise(&self, id: Uuid) -> bool {
        match self.locked().get_mut(&id) {
            Some(interest) if interest.promise != Promise::Withheld => {
                interest.promise = Promise::Given;
                true
            }
            _ => false,
        }
    }

    /// From now on nobody is promised this entry; false if somebody was.
    pub(super) fn withhold(&self, id: Uuid) -> bool {
        match self.locked().get_mut(&id) {
            Some(interest) if interest.promise != Promise::Given => {
                interest.promise = Promise::Withheld;
                true
            }
            _ => false,
        }
    }

    /// It was not removed after all.
    pub(super) fn allow(&self, id: Uuid) {
        if let Some(interest) = self.locked().get_mut(&id)
            && interest.promise == Promise::Withheld
        {
            interest.promise = Promise::None;
        }
    }

    /// The entry has left: tells everybody.
    pub(super) fn left(&self, id: Uuid, fate: &Fate) {
        if let Some(interest) = self.locked().remove(&id) {
            tell(interest.callers, fate);
        }
    }

    /// The log agent refused the entry, which stays: tells everybody, and that is a promise.
    pub(super) fn refused(&self, id: Uuid) {
        if let Some(interest) = self.locked().get_mut(&id) {
            interest.promise = Promise::Given;
            tell(std::mem::take(&mut interest.callers), &Fate::Refused);
        }
    }
}

fn tell(callers: Vec<oneshot::Sender<Fate>>, fate: &Fate) {
    for caller in callers {
        // Who does not wait any more need not know.
        let _ = caller.send(fate.clone());
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
    /// Waits until the entry's fate is known, and no longer than `limit`. None means that the entry
    /// is kept until it is delivered: the caller may be told so.
    pub async fn within(mut self, limit: Duration) -> Option<Fate> {
        match timeout(limit, &mut self.fate).await {
            Ok(fate) => fate.ok(),
            Err(_) if self.waiters.promise(self.id) => None,
            // It is being removed, and the fate comes with that.
            Err(_) => (&mut self.fate).await.ok(),
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.fate.close();
        if let Some(interest) = self.waiters.locked().get_mut(&self.id) {
            interest.callers.retain(|caller| !caller.is_closed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const ID: Uuid = Uuid::from_u128(7);

    fn accepted() -> Waiters {
        let waiters = Waiters::default();
        waiters.accepted(ID);
        waiters
    }

    #[tokio::test]
    async fn all_who_wait_are_told_and_who_left_leaves_nothing() {
        let waiters = accepted();
        let [one, two, gone] = [(); 3].map(|()| waiters.wait_for(ID));
        drop(gone);
        assert_eq!(waiters.locked()[&ID].callers.len(), 2);
        let delivered = Fate::Delivered(None);
        waiters.left(ID, &delivered);
        assert_eq!(one.within(LONG).await, Some(delivered.clone()));
        assert_eq!(two.within(LONG).await, Some(delivered));
        assert!(waiters.locked().is_empty());
    }

    #[tokio::test]
    async fn what_was_promised_is_not_withheld() {
        let waiters = accepted();
        let told = waiters.wait_for(ID);
        assert_eq!(told.within(Duration::ZERO).await, None);
        assert!(!waiters.withhold(ID));
        // Nor what an earlier life may have promised.
        let earlier = Uuid::from_u128(8);
        assert!(!waiters.withhold(earlier));
        drop(waiters.wait_for(earlier));
        assert!(!waiters.withhold(earlier));
        // Nor what a caller was told is kept although it is refused.
        let waiters = accepted();
        let told = waiters.wait_for(ID);
        waiters.refused(ID);
        assert_eq!(told.within(LONG).await, Some(Fate::Refused));
        assert!(!waiters.withhold(ID));
    }

    #[tokio::test]
    async fn what_is_withheld_is_not_promised_any_more() {
        let waiters = accepted();
        let late = waiters.wait_for(ID);
        assert!(waiters.withhold(ID) && waiters.withhold(ID));
        let late = tokio::spawn(late.within(Duration::ZERO));
        tokio::task::yield_now().await;
        waiters.left(ID, &Fate::Conflict);
        assert_eq!(late.await.unwrap(), Some(Fate::Conflict));

        let waiters = accepted();
        assert!(waiters.withhold(ID));
        waiters.allow(ID);
        assert_eq!(waiters.wait_for(ID).within(Duration::ZERO).await, None);
    }
}
