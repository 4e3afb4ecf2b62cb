//! How much the outbox holds, and how much it may.

use std::sync::Arc;

use metrics::gauge;
use tokio::sync::watch;

/// What the outbox may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries, of either kind.
    pub entries: u64,
    /// Bytes of entries and their headers.
    pub bytes: u64,
}

/// What the outbox holds, with what is on its way to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries to deliver.
    pub pending: u64,
    /// Entries that the log agent refused.
    pub refused: u64,
    /// Bytes of both.
    pub bytes: u64,
}

/// The outbox holds as much as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the outbox is full: {} entries, {} bytes", .0.pending + .0.refused, .0.bytes)]
pub struct Full(pub Usage);

/// Keeps the account; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Room {
    limits: Limits,
    usage: Arc<watch::Sender<Usage>>,
}

impl Room {
    pub(super) fn new(limits: Limits, usage: Usage) -> Self {
        let room = Self {
            limits,
            usage: Arc::new(watch::Sender::new(usage)),
        };
        room.publish();
        room
    }

    pub(super) fn usage(&self) -> Usage {
        *self.usage.borrow()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Usage> {
        self.usage.subscribe()
    }

    /// Takes room for one entry, until the reservation is dropped or kept.
    pub(super) fn reserve(&self, bytes: u64) -> Result<Reservation, Full> {
        let limits = self.limits;
        let fits = self.usage.send_if_modified(|usage| {
            let fits = usage.pending + usage.refused < limits.entries
                && usage.bytes.saturating_add(bytes) <= limits.bytes;
            if fits {
                usage.pending += 1;
                usage.bytes += bytes;
            }
            fits
        });
        if !fits {
            return Err(Full(self.usage()));
        }
        self.publish();
        Ok(Reservation {
            room: Some(self.clone()),
            bytes,
        })
    }

    /// A pending entry is gone.
    pub(super) fn release(&self, bytes: u64) {
        self.usage.send_modify(|usage| {
            usage.pending = usage.pending.saturating_sub(1);
            usage.bytes = usage.bytes.saturating_sub(bytes);
        });
        self.publish();
    }

    /// A pending entry is refused.
    pub(super) fn refuse(&self) {
        self.usage.send_modify(|usage| {
            usage.pending = usage.pending.saturating_sub(1);
            usage.refused += 1;
        });
        self.publish();
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float, and exact up to 2^53"
    )]
    fn publish(&self) {
        let usage = self.usage();
        gauge!("custom_app_outbox_entries", "state" => "pending").set(usage.pending as f64);
        gauge!("custom_app_outbox_entries", "state" => "refused").set(usage.refused as f64);
        gauge!("custom_app_outbox_bytes").set(usage.bytes as f64);
    }
}

/// Room for one entry, given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    room: Option<Room>,
    bytes: u64,
}

impl Reservation {
    /// The entry is there: its room is given back when it goes.
    pub(super) fn keep(mut self) {
        self.room = None;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(room) = &self.room {
            room.release(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_dropped_is_given_back_and_what_is_kept_is_not() {
        let room = Room::new(
            Limits {
                entries: 2,
                bytes: 100,
            },
            Usage::default(),
        );
        let first = room.reserve(60).unwrap();
        assert!(room.reserve(41).is_err(), "too many bytes");
        let second = room.reserve(40).unwrap();
        assert!(room.reserve(0).is_err(), "too many entries");
        drop(second);
        first.keep();
        assert_eq!(
            room.usage(),
            Usage {
                pending: 1,
                refused: 0,
                bytes: 60
            }
        );
        room.refuse();
        assert_eq!(
            room.usage(),
            Usage {
                pending: 0,
                refused: 1,
                bytes: 60
            }
        );
    }

    proptest! {
        #[test]
        fn the_limits_hold_in_any_order(
            entries in 0..8_u64, bytes in 0..200_u64, steps in prop::collection::vec((0..100_u64, any::<bool>()), 0..60),
        ) {
            let room = Room::new(Limits { entries, bytes }, Usage::default());
            let mut held = Vec::new();
            for (size, take) in steps {
                if take {
                    held.extend(room.reserve(size));
                } else {
                    held.pop();
                }
                let usage = room.usage();
                prop_assert!(usage.pending <= entries && usage.bytes <= bytes);
                prop_assert_eq!(usage.pending, held.len() as u64);
            }
            held.clear();
            prop_assert_eq!(room.usage(), Usage::default());
        }
    }
}
