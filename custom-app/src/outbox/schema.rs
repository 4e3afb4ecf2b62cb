//! The outbox' file: its schema, and the version of what a row holds.

/// Version 1 and what came after; none may ever change, only be added to.
pub(super) const SCHEMA: [&str; 2] = [
    "
    CREATE TABLE outbox (
        position INTEGER PRIMARY KEY,   -- the order of delivery
        id       BLOB NOT NULL UNIQUE,
        entry    TEXT NOT NULL,         -- JSON, as it is sent
        trace    TEXT NOT NULL,         -- JSON, the headers that go with it
        refused  TEXT                   -- why the log agent will not have it; NULL while it may
    ) STRICT;
    CREATE INDEX outbox_pending ON outbox (position) WHERE refused IS NULL;
",
    // Columns are added without writing a row: an outbox on a disk that is nearly full opens too.
    "
    -- The version of entry and trace. A newer one than its own a program leaves alone.
    ALTER TABLE outbox ADD COLUMN format INTEGER NOT NULL DEFAULT 1;
    -- How often the log agent has refused it.
    ALTER TABLE outbox ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
    -- When a refused one is offered again, in milliseconds since 1970.
    ALTER TABLE outbox ADD COLUMN due INTEGER NOT NULL DEFAULT 0;
    UPDATE outbox SET refusals = 1 WHERE refused IS NOT NULL;
    CREATE INDEX outbox_due ON outbox (due, position) WHERE refused IS NOT NULL;

    -- Accepted entries whose id stands for another text at the log agent: never offered again.
    CREATE TABLE conflicts (
        position INTEGER PRIMARY KEY,
        id       BLOB NOT NULL,
        format   INTEGER NOT NULL,
        entry    TEXT NOT NULL,
        trace    TEXT NOT NULL
    ) STRICT;
    CREATE INDEX conflicts_by_id ON conflicts (id);
",
];

/// The version of `entry` and `trace` in the rows that this program writes, and the newest that it
/// reads. It rises when an earlier program would misunderstand a row. A field that may be ignored
/// needs no new version.
pub(super) const FORMAT: i64 = 1;
