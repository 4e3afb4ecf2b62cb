//! What this application measures, beside what every service does.

use metrics::{describe_counter, describe_gauge, describe_histogram};

/// Says what the names mean to whoever reads `/metrics`.
pub(crate) fn describe() {
    describe_counter!(
        "custom_app_entries_accepted_total",
        "Entries taken into the outbox."
    );
    describe_counter!(
        "custom_app_entries_delivered_total",
        "Entries the log agent has confirmed."
    );
    describe_counter!(
        "custom_app_entries_refused_total",
        "Entries the log agent refused; kept, and offered again."
    );
    describe_counter!(
        "custom_app_conflicts_total",
        "Entries under whose id another text is stored, by what was done."
    );
    describe_gauge!(
        "custom_app_outbox_entries",
        "Entries in the outbox, by what they wait for."
    );
    describe_gauge!("custom_app_outbox_bytes", "Bytes of entries in the outbox.");
    describe_counter!(
        "custom_app_deliveries_total",
        "Batches offered to the log agent, by outcome."
    );
    describe_histogram!(
        "custom_app_delivery_duration_seconds",
        "One batch offered and answered."
    );
    describe_histogram!("custom_app_delivery_size", "Entries in one batch.");
}
