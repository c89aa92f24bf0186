-- Counters that the store itself keeps; `journal` holds the number of the last event.
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL CHECK (value >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO counters (name, value) VALUES ('journal', 0);

CREATE TABLE events (
    seq INTEGER NOT NULL PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;

CREATE INDEX events_by_subject ON events (subject, seq);

CREATE TABLE cursors (
    name TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL CHECK (seq >= 0),
    updated_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sequences (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL CHECK (value >= 1)
) STRICT, WITHOUT ROWID;

-- Which number an idempotency key was given, and for which record where there is one.
CREATE TABLE sequence_grants (
    name TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    value INTEGER NOT NULL,
    collection TEXT,
    record_key TEXT,
    granted_at_ms INTEGER NOT NULL,
    PRIMARY KEY (name, idempotency_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX sequence_grants_by_time ON sequence_grants (granted_at_ms);

CREATE TABLE records (
    collection TEXT NOT NULL,
    record_key TEXT NOT NULL,
    value TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (collection, record_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    session TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    final INTEGER NOT NULL CHECK (final IN (0, 1)),
    owner TEXT,
    created_at_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    holder TEXT,
    socket TEXT NOT NULL
) STRICT;

CREATE INDEX sessions_by_time ON sessions (created_at_ms, session);
CREATE INDEX sessions_unfinished ON sessions (created_at_ms, session) WHERE final = 0;

CREATE TABLE runs (
    run TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    repository TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1)
) STRICT;

CREATE INDEX runs_by_time ON runs (created_at_ms, run);
CREATE INDEX runs_by_repository ON runs (repository, created_at_ms, run);
CREATE INDEX runs_unfinished ON runs (created_at_ms, run) WHERE state = 'running';
