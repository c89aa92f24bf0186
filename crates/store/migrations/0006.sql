-- Sessions that are parked until a cap or a vendor's quota begins anew, as JSON.
CREATE TABLE parkings (
    session TEXT NOT NULL PRIMARY KEY,
    body    TEXT NOT NULL
) WITHOUT ROWID;

-- Keys with names. A key is made of its identifier and the local token, so that what is here opens nothing. Names of keys in force
-- are unique; a revoked key stays, so that whoever presents it is told so. The cap is JSON.
CREATE TABLE keys (
    key          TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL,
    created_ms   INTEGER NOT NULL,
    revoked_ms   INTEGER,
    last_used_ms INTEGER,
    cap          TEXT
) WITHOUT ROWID;
CREATE UNIQUE INDEX keys_in_force ON keys (name) WHERE revoked_ms IS NULL;
