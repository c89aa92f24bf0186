-- Texts that were sent to sessions; `pending` ones are not delivered yet, or it is not known how far they came.
CREATE TABLE messages (
    message TEXT NOT NULL PRIMARY KEY,
    session TEXT NOT NULL,
    idempotency_key TEXT,
    pending INTEGER NOT NULL CHECK (pending IN (0, 1)),
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX messages_by_key ON messages (session, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX messages_by_session ON messages (session, at_ms, message);
CREATE INDEX messages_pending ON messages (at_ms, message) WHERE pending = 1;
