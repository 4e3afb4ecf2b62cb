//! What is said of the entries of one request once they are stored, whatever the store.

use faultline_service::api::{Acceptance, Outcome, Receipt};
use faultline_service::entry::Entry;
use metrics::counter;

/// The receipt for an entry that was new.
pub(crate) const fn stored(entry: &Entry) -> Receipt {
    Receipt {
        id: entry.id,
        outcome: Outcome::Stored,
        first: None,
    }
}

/// The receipt for an entry whose id is stored already, with the same level and message or not.
pub(crate) const fn known(entry: &Entry, same: bool, first: Option<Acceptance>) -> Receipt {
    let outcome = if same {
        Outcome::Duplicate
    } else {
        Outcome::Conflict
    };
    Receipt {
        id: entry.id,
        outcome,
        first,
    }
}

/// Counts the outcomes of one request and logs them.
pub(crate) fn record(receipts: &[Receipt]) {
    let count = |outcome| {
        let of = |receipt: &&Receipt| receipt.outcome == outcome;
        receipts.iter().filter(of).count()
    };
    let stored = count(Outcome::Stored);
    let duplicates = count(Outcome::Duplicate);
    let conflicts = count(Outcome::Conflict);
    for (outcome, count) in [
        ("stored", stored),
        ("duplicate", duplicates),
        ("conflict", conflicts),
    ] {
        counter!("log_agent_entries_total", "outcome" => outcome).increment(count as u64);
    }
    let first = receipts.first().map(|receipt| receipt.id.to_string());
    tracing::info!(stored, duplicates, conflicts, first, "entries stored");
}
