//! How much the outbox holds, and how much it may.

use std::sync::Arc;

use metrics::gauge;
use tokio::sync::watch;

/// Entries, and their bytes with those of their headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Entries.
    pub entries: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Amount {
    /// One entry of this size.
    pub const fn one(bytes: u64) -> Self {
        Self { entries: 1, bytes }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            entries: self.entries.saturating_add(other.entries),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// What is left without the other; never less than nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            entries: self.entries.saturating_sub(other.entries),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    const fn fits(self, limit: Self) -> bool {
        self.entries <= limit.entries && self.bytes <= limit.bytes
    }
}

/// What the outbox may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries to deliver.
    pub pending: Amount,
    /// Entries set aside, beside those to deliver. What is set aside beyond this takes the room of
    /// entries to deliver: nothing set aside is ever dropped, so new entries are refused instead.
    pub aside: Amount,
}

/// What an entry in the outbox waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryState {
    /// Its delivery.
    Pending,
    /// A log agent that takes it: set aside, and offered again from time to time.
    Refused,
    /// A person: set aside, since another text is stored under its id.
    Conflicting,
    /// A newer version of this program, which wrote it.
    Unreadable,
}

impl EntryState {
    const ALL: [Self; 4] = [
        Self::Pending,
        Self::Refused,
        Self::Conflicting,
        Self::Unreadable,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Refused => "refused",
            Self::Conflicting => "conflicting",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What the outbox holds, with what is on its way to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pending: Amount,
    refused: Amount,
    conflicting: Amount,
    unreadable: Amount,
}

impl Usage {
    /// How much of it is in this state.
    pub const fn of(&self, state: EntryState) -> Amount {
        match state {
            EntryState::Pending => self.pending,
            EntryState::Refused => self.refused,
            EntryState::Conflicting => self.conflicting,
            EntryState::Unreadable => self.unreadable,
        }
    }

    /// All of it.
    pub fn total(&self) -> Amount {
        EntryState::ALL
            .into_iter()
            .map(|state| self.of(state))
            .fold(Amount::default(), Amount::plus)
    }

    pub(super) const fn entry(&mut self, state: EntryState) -> &mut Amount {
        match state {
            EntryState::Pending => &mut self.pending,
            EntryState::Refused => &mut self.refused,
            EntryState::Conflicting => &mut self.conflicting,
            EntryState::Unreadable => &mut self.unreadable,
        }
    }

    fn add(&mut self, state: EntryState, amount: Amount) {
        let held = self.entry(state);
        *held = held.plus(amount);
    }

    fn remove(&mut self, state: EntryState, amount: Amount) {
        let held = self.entry(state);
        *held = held.minus(amount);
    }

    /// What counts against the limit of entries to deliver.
    const fn counted(&self, limits: &Limits) -> Amount {
        let aside = self.refused.plus(self.conflicting).minus(limits.aside);
        self.pending.plus(self.unreadable).plus(aside)
    }
}

/// The outbox holds as much as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the outbox is full: {} entries, {} bytes", .0.total().entries, .0.total().bytes)]
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
        let one = Amount::one(bytes);
        let fits = self.usage.send_if_modified(|usage| {
            let fits = usage.counted(&limits).plus(one).fits(limits.pending);
            if fits {
                usage.add(EntryState::Pending, one);
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

    /// An entry of this size is gone.
    pub(super) fn release(&self, state: EntryState, bytes: u64) {
        self.change(|usage| usage.remove(state, Amount::one(bytes)));
    }

    /// An entry of this size waits for something else now.
    pub(super) fn shift(&self, from: EntryState, to: EntryState, bytes: u64) {
        self.change(|usage| {
            usage.remove(from, Amount::one(bytes));
            usage.add(to, Amount::one(bytes));
        });
    }

    fn change(&self, change: impl FnOnce(&mut Usage)) {
        self.usage.send_modify(change);
        self.publish();
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float, and exact up to 2^53"
    )]
    fn publish(&self) {
        let usage = self.usage();
        for state in EntryState::ALL {
            let entries = usage.of(state).entries as f64;
            gauge!("custom_app_outbox_entries", "state" => state.label()).set(entries);
        }
        gauge!("custom_app_outbox_bytes").set(usage.total().bytes as f64);
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
            room.release(EntryState::Pending, self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn room(entries: u64, bytes: u64, aside: Amount) -> Room {
        let pending = Amount { entries, bytes };
        Room::new(Limits { pending, aside }, Usage::default())
    }

    #[test]
    fn what_is_dropped_is_given_back_and_what_is_kept_is_not() {
        let room = room(2, 100, Amount::default());
        let first = room.reserve(60).unwrap();
        assert!(room.reserve(41).is_err(), "too many bytes");
        let second = room.reserve(40).unwrap();
        assert!(room.reserve(0).is_err(), "too many entries");
        drop(second);
        first.keep();
        assert_eq!(room.usage().of(EntryState::Pending), Amount::one(60));
        room.release(EntryState::Pending, 60);
        assert_eq!(room.usage(), Usage::default());
    }

    #[test]
    fn what_is_set_aside_has_room_of_its_own_and_beyond_it_takes_that_of_new_entries() {
        let aside = Amount {
            entries: 2,
            bytes: 100,
        };
        let room = room(2, 100, aside);
        let set_aside = |to| {
            room.reserve(50).unwrap().keep();
            room.shift(EntryState::Pending, to, 50);
        };
        set_aside(EntryState::Refused);
        set_aside(EntryState::Conflicting);
        assert_eq!(room.usage().of(EntryState::Pending), Amount::default());
        assert_eq!(room.usage().total().bytes, 100);
        // The room of new entries is whole again: two more fit, and are set aside beyond the bound.
        set_aside(EntryState::Refused);
        set_aside(EntryState::Refused);
        assert!(room.reserve(1).is_err(), "now it is spent");
        room.release(EntryState::Refused, 50);
        assert!(room.reserve(50).is_ok(), "one was taken after all");
    }

    proptest! {
        #[test]
        fn the_limits_hold_in_any_order(
            entries in 0..8_u64, bytes in 0..200_u64, steps in prop::collection::vec((0..100_u64, any::<bool>()), 0..60),
        ) {
            let room = room(entries, bytes, Amount::default());
            let mut held = Vec::new();
            for (size, take) in steps {
                if take {
                    held.extend(room.reserve(size));
                } else {
                    held.pop();
                }
                let pending = room.usage().of(EntryState::Pending);
                prop_assert!(pending.entries <= entries && pending.bytes <= bytes);
                prop_assert_eq!(pending.entries, held.len() as u64);
            }
            held.clear();
            prop_assert_eq!(room.usage(), Usage::default());
        }
    }
}
