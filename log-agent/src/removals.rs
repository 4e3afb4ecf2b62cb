//! What is counted of the entries that a store removes, whatever the store.

use metrics::{counter, describe_counter, describe_gauge};

/// Why entries go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// They are older than `--retain-age`.
    Age,
    /// The store is larger than `--retain-bytes`.
    Size,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Size => "size",
        }
    }
}

/// Counts removed entries.
pub(crate) fn count(reason: Reason, entries: u64) {
    counter!("log_agent_entries_removed_total", "reason" => reason.as_str()).increment(entries);
}

/// Says what the metrics of retention mean.
pub(crate) fn describe() {
    describe_counter!(
        "log_agent_entries_removed_total",
        "Entries removed to keep the store within its bounds, by the bound."
    );
    for reason in [Reason::Age, Reason::Size] {
        count(reason, 0);
    }
    describe_gauge!("log_agent_entries", "Entries in the store.");
    describe_gauge!(
        "log_agent_oldest_entry_timestamp_seconds",
        "When the entry that is removed next was accepted, in seconds since 1970."
    );
    describe_gauge!(
        "log_agent_store_bytes",
        "Bytes of the store, in use or free for what comes."
    );
}
