
    CREATE TABLE entries (
        position INTEGER PRIMARY KEY,   -- the order in which entries were stored
        id       BLOB NOT NULL UNIQUE,
        time     TEXT NOT NULL,
        level    TEXT NOT NULL,
        message  TEXT NOT NULL,
        source   TEXT NOT NULL
    ) STRICT;
    CREATE INDEX entries_by_level ON entries (level, position);
