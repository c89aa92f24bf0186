-- What agents ask permission for; the body is the whole approval.
CREATE TABLE approvals (
    approval TEXT NOT NULL PRIMARY KEY,
    session TEXT NOT NULL,
    pending INTEGER NOT NULL CHECK (pending IN (0, 1)),
    created_at_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE INDEX approvals_by_time ON approvals (created_at_ms, approval);
CREATE INDEX approvals_pending ON approvals (created_at_ms, approval) WHERE pending = 1;
CREATE INDEX approvals_by_session ON approvals (session, created_at_ms);

-- Standing decisions about approvals.
CREATE TABLE approval_rules (
    rule TEXT NOT NULL PRIMARY KEY,
    created_at_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- States of a session to which it can be set back; sequences go on counting when old ones are dropped.
CREATE TABLE checkpoints (
    session TEXT NOT NULL,
    sequence INTEGER NOT NULL CHECK (sequence >= 1),
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (session, sequence)
) STRICT, WITHOUT ROWID;

-- Messages to a person, with what became of them on each road.
CREATE TABLE notifications (
    notification TEXT NOT NULL PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE INDEX notifications_by_time ON notifications (at_ms, notification);
