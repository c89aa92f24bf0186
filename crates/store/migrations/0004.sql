-- The ledger of the gateway: one row a call of a model. A row without an end is a call that is at work, or whose daemon died.
CREATE TABLE calls (
    call              TEXT    NOT NULL PRIMARY KEY,
    at_ms             INTEGER NOT NULL,
    ended_ms          INTEGER,
    asked             TEXT    NOT NULL,
    dialect           TEXT    NOT NULL,
    kind              TEXT    NOT NULL,
    streamed          INTEGER NOT NULL,
    provider          TEXT    NOT NULL,
    model             TEXT    NOT NULL,
    first_provider    TEXT,
    first_model       TEXT,
    session           TEXT,
    run               TEXT,
    stage             TEXT,
    project           TEXT,
    user              TEXT,
    key               TEXT,
    billing           TEXT    NOT NULL,
    attempts          INTEGER NOT NULL,
    status            INTEGER,
    outcome           TEXT    NOT NULL,
    input             INTEGER,
    output            INTEGER,
    cache_read        INTEGER,
    cache_write_5m    INTEGER,
    cache_write_1h    INTEGER,
    reasoning         INTEGER,
    cost_microusd     INTEGER,
    is_estimate       INTEGER NOT NULL,
    reserved_microusd INTEGER,
    reserved_tokens   INTEGER NOT NULL,
    first_byte_ms     INTEGER,
    total_ms          INTEGER
) WITHOUT ROWID;
CREATE INDEX calls_by_end ON calls (ended_ms);
CREATE INDEX calls_at_work ON calls (call) WHERE ended_ms IS NULL;
CREATE INDEX calls_of_session ON calls (session, ended_ms) WHERE session IS NOT NULL;

-- Whom people were told of: each cap once a period.
CREATE TABLE budget_alerts (
    cap      TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    start_ms INTEGER NOT NULL,
    PRIMARY KEY (cap, subject)
) WITHOUT ROWID;

-- Breakers that are not closed, as JSON, by provider and model; the model is empty for the provider's own.
CREATE TABLE breakers (
    provider TEXT NOT NULL,
    model    TEXT NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (provider, model)
) WITHOUT ROWID;
