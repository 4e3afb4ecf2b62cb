-- Entries, in segments of positions: segment s has the positions from s * 2^32 up to (s + 1) * 2^32,
-- and a partition of its own, entries_s. A day's entries, or fewer, are a segment.
CREATE TABLE entries (
    position bigint NOT NULL,
    id       uuid   NOT NULL,
    time     text   NOT NULL,                   -- RFC 3339 in UTC, with its nanoseconds
    level    text   COLLATE "C" NOT NULL,
    message  bytea  NOT NULL,                   -- UTF-8; text knows no NUL
    source   text   NOT NULL,
    PRIMARY KEY (position)
) PARTITION BY RANGE (position);

CREATE INDEX entries_by_level ON entries (level, position);

CREATE TABLE entries_0 PARTITION OF entries FOR VALUES FROM (0) TO (4294967296);

-- Each id once, in whichever segment: a unique index of a partitioned table would know only its day.
CREATE TABLE ids (
    id       uuid   PRIMARY KEY,
    position bigint NOT NULL
);

CREATE TABLE segments (
    segment bigint      PRIMARY KEY,
    before  bigint      NOT NULL,               -- entries stored before its first
    opened  timestamptz NOT NULL DEFAULT clock_timestamp(),
    state   text        NOT NULL DEFAULT 'kept' -- then 'removed'; then 'gone', with its table and its ids
);

INSERT INTO segments (segment, before) VALUES (0, 0);

-- One row. Who holds its lock stores: positions are visible in the order in which they are given.
CREATE TABLE tail (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    segment bigint  NOT NULL,                   -- where the next entry goes
    last    bigint  NOT NULL                    -- the position of the entry stored last; 0: none yet
) WITH (fillfactor = 10);

INSERT INTO tail (segment, last) VALUES (0, 0);

-- How far the store had come, and when, in milliseconds since 1970.
CREATE TABLE marks (
    number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position bigint NOT NULL,
    time     bigint NOT NULL
);

-- Stores all of these entries, whose ids are different, or none. Returns a row for each that was there
-- (with its level and message where they are other ones), and one with number 0: the last position.
-- It is one statement of its caller, and so never holds the lock while it waits for that caller.
CREATE FUNCTION append_1(
    sent_ids uuid[], sent_times text[], sent_levels text[], sent_messages bytea[], sent_sources text[]
) RETURNS TABLE (
    number bigint, found_at bigint, first_time text, first_source text, same boolean, other_level text, other_message bytea
)
LANGUAGE plpgsql
-- Each id is looked up by itself, also while the tables are small and their statistics old. What is off
-- counts as so dear that the plan would be compiled, for 150 ms.
SET jit = off
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    at     tail%ROWTYPE;
    base   bigint;
    known  bigint;
    stored bigint;
BEGIN
    SELECT * INTO STRICT at FROM tail FOR UPDATE;
    base := greatest(at.last, at.segment << 32);
    SELECT count(*) INTO known FROM unnest(sent_ids) AS s (id) JOIN ids i ON i.id = s.id;
    IF known = 0 THEN
        INSERT INTO ids (id, position)
            SELECT s.id, base + s.number FROM unnest(sent_ids) WITH ORDINALITY AS s (id, number);
        INSERT INTO entries (position, id, time, level, message, source)
            SELECT base + s.number, s.id, s.time, s.level, s.message, s.source
            FROM unnest(sent_ids, sent_times, sent_levels, sent_messages, sent_sources)
                WITH ORDINALITY AS s (id, time, level, message, source, number);
    ELSE
        RETURN QUERY
            WITH sent AS MATERIALIZED (
                SELECT s.id, s.time, s.level, s.message, s.source, s.number, e.position,
                    e.time AS first_time, e.source AS first_source,
                    e.level AS first_level, e.message AS first_message
                FROM unnest(sent_ids, sent_times, sent_levels, sent_messages, sent_sources)
                    WITH ORDINALITY AS s (id, time, level, message, source, number)
                -- An id whose entry was removed may still be there.
                LEFT JOIN (ids i JOIN entries e ON e.position = i.position) ON i.id = s.id
            ), fresh AS MATERIALIZED (
                SELECT sent.id, sent.time, sent.level, sent.message, sent.source,
                    base + row_number() OVER (ORDER BY sent.number) AS position
                FROM sent WHERE sent.position IS NULL
            ), named AS (
                INSERT INTO ids (id, position) SELECT fresh.id, fresh.position FROM fresh
                ON CONFLICT (id) DO UPDATE SET position = EXCLUDED.position
            ), kept AS (
                INSERT INTO entries (position, id, time, level, message, source)
                SELECT fresh.position, fresh.id, fresh.time, fresh.level, fresh.message, fresh.source FROM fresh
            )
            SELECT sent.number, sent.position, sent.first_time, sent.first_source, c.same,
                CASE WHEN NOT c.same THEN sent.first_level END,
                CASE WHEN NOT c.same THEN sent.first_message END
            FROM sent, LATERAL (SELECT sent.first_level = sent.level AND sent.first_message = sent.message AS same) c
            WHERE sent.position IS NOT NULL;
        GET DIAGNOSTICS known = ROW_COUNT;
    END IF;
    stored := cardinality(sent_ids) - known;
    IF stored > 0 THEN
        UPDATE tail SET last = base + stored;
        PERFORM pg_notify('log_agent_entries', (base + stored)::text);
    END IF;
    RETURN QUERY SELECT 0::bigint, CASE WHEN stored > 0 THEN base + stored ELSE at.last END,
        NULL::text, NULL::text, NULL::boolean, NULL::text, NULL::bytea;
END
$$;
