//! Liveness and readiness that mean something.
//!
//! Alive: every task the service cannot do without still runs. Ready: alive, not draining, and
//! nothing is known to be broken that every request needs. Impaired: ready, with a part broken that
//! only some requests need.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::gauge;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

/// The health of one process; clones share it.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    draining: watch::Sender<bool>,
    tasks: Mutex<Vec<(&'static str, AbortHandle)>>,
    faults: Mutex<BTreeMap<&'static str, String>>,
    dispensable: Mutex<Vec<&'static str>>,
}

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(Inner {
            draining: watch::Sender::new(false),
            tasks: Mutex::default(),
            faults: Mutex::default(),
            dispensable: Mutex::default(),
        }))
    }
}

impl Health {
    /// From now on the process is alive only while this task runs.
    pub fn depends_on<T>(&self, name: &'static str, task: &JoinHandle<T>) {
        locked(&self.0.tasks).push((name, task.abort_handle()));
    }

    /// From now on the process stays ready while `name` is broken: it serves what does not need
    /// that part, and the part itself refuses the rest.
    pub fn serves_without(&self, name: &'static str) {
        locked(&self.0.dispensable).push(name);
    }

    /// From now on the process is not ready, or impaired, until `name` is [`Health::mended`].
    pub fn broken(&self, name: &'static str, reason: impl Into<String>) {
        let reason = reason.into();
        if locked(&self.0.faults)
            .insert(name, reason.clone())
            .is_none()
        {
            let ready = self.ready().is_ok();
            tracing::error!(part = name, reason, ready, "broken");
        }
        self.publish();
    }

    /// The named part works.
    pub fn mended(&self, name: &'static str) {
        if locked(&self.0.faults).remove(name).is_some() {
            tracing::info!(part = name, "mended");
        }
        self.publish();
    }

    /// The parts that are broken and leave the process ready, each with the reason.
    pub fn impaired(&self) -> BTreeMap<&'static str, String> {
        let dispensable = locked(&self.0.dispensable);
        let faults = locked(&self.0.faults);
        let of = |(name, reason): (&&'static str, &String)| {
            dispensable.contains(name).then(|| (*name, reason.clone()))
        };
        faults.iter().filter_map(of).collect()
    }

    /// Whether the named part is known to be broken.
    pub fn is_broken(&self, name: &'static str) -> bool {
        locked(&self.0.faults).contains_key(name)
    }

    /// From now on the process is not ready: it is going away.
    pub fn drain(&self) {
        self.0.draining.send_replace(true);
        self.publish();
    }

    /// Whether the process is going away.
    pub fn is_draining(&self) -> bool {
        *self.0.draining.borrow()
    }

    /// Ends when the process begins to go away.
    pub async fn drained(self) {
        // The sender lives as long as `self`.
        let _ = self
            .0
            .draining
            .subscribe()
            .wait_for(|draining| *draining)
            .await;
    }

    /// # Errors
    /// Which task has ended.
    pub fn live(&self) -> Result<(), String> {
        let tasks = locked(&self.0.tasks);
        match tasks.iter().find(|(_, task)| task.is_finished()) {
            None => Ok(()),
            Some((name, _)) => Err(format!("{name} has stopped")),
        }
    }

    /// # Errors
    /// Why no requests should come here.
    pub fn ready(&self) -> Result<(), String> {
        self.live()?;
        if self.is_draining() {
            return Err("draining".to_owned());
        }
        let dispensable = locked(&self.0.dispensable);
        let faults = locked(&self.0.faults);
        match faults.iter().find(|(name, _)| !dispensable.contains(name)) {
            None => Ok(()),
            Some((name, reason)) => Err(format!("{name}: {reason}")),
        }
    }

    pub(crate) fn publish(&self) {
        gauge!("ready").set(u8::from(self.ready().is_ok()));
    }
}

/// What these locks guard is whole between any two statements; a panic elsewhere changes nothing.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_means_alive_whole_and_staying() {
        let health = Health::default();
        assert_eq!(health.ready(), Ok(()));

        health.broken("store", "disk full");
        assert_eq!(health.ready(), Err("store: disk full".to_owned()));
        assert_eq!(health.live(), Ok(()));
        health.mended("store");
        assert_eq!(health.ready(), Ok(()));

        health.serves_without("store");
        health.broken("store", "disk full");
        assert_eq!(health.ready(), Ok(()));
        assert!(health.is_broken("store"));
        let impaired = [("store", "disk full".to_owned())];
        assert_eq!(health.impaired(), impaired.into());
        health.broken("other", "gone");
        assert_eq!(health.ready(), Err("other: gone".to_owned()));
        health.mended("other");
        health.mended("store");
        assert!(health.impaired().is_empty());

        let task = tokio::spawn(async {});
        health.depends_on("worker", &task);
        task.await.unwrap();
        assert_eq!(health.live(), Err("worker has stopped".to_owned()));
        assert_eq!(health.ready(), Err("worker has stopped".to_owned()));
    }

    #[tokio::test]
    async fn draining_is_not_ready_but_alive() {
        let health = Health::default();
        let waiting = tokio::spawn(health.clone().drained());
        health.drain();
        waiting.await.unwrap();
        health.clone().drained().await;
        assert_eq!(health.ready(), Err("draining".to_owned()));
        assert_eq!(health.live(), Ok(()));
    }
}
