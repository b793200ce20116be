-- What the queue needs beyond the order of arrival: places that can be changed, answers that go on, gates, auto-reply
-- loops and figures. Columns that are added stand behind the big texts; they are only read together with those.

ALTER TABLE entries ADD COLUMN position INTEGER NOT NULL DEFAULT 0; -- within its session; grows with arrival
ALTER TABLE entries ADD COLUMN continues INTEGER NOT NULL DEFAULT 0 CHECK (continues IN (0, 1));

UPDATE entries SET position = id;

DROP INDEX entries_of_session;
CREATE INDEX entries_in_order ON entries (session_id, position);

-- Byte offsets into the text at which it was continued, with a blank between them.
ALTER TABLE messages ADD COLUMN seams TEXT NOT NULL DEFAULT '';

-- Providers that asked to wait.
CREATE TABLE gates (
    provider TEXT PRIMARY KEY NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE auto_replies (
    session_id     INTEGER PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    max_turns      INTEGER NOT NULL,
    max_time_ms    INTEGER NOT NULL,
    max_tokens     INTEGER NOT NULL,
    stop_on_repeat INTEGER NOT NULL CHECK (stop_on_repeat IN (0, 1)),
    started_at_ms  INTEGER NOT NULL,
    turns          INTEGER NOT NULL,
    tokens         INTEGER NOT NULL,
    last_answer    INTEGER, -- a digest
    until          TEXT,
    text           TEXT NOT NULL
) STRICT;

-- Figures since the session was made. The session 0, which is none, has those of all, deleted ones included.
CREATE TABLE stats (
    session_id        INTEGER PRIMARY KEY,
    complete          INTEGER NOT NULL DEFAULT 0,
    interrupted       INTEGER NOT NULL DEFAULT 0,
    failed            INTEGER NOT NULL DEFAULT 0,
    cancelled         INTEGER NOT NULL DEFAULT 0,
    retries           INTEGER NOT NULL DEFAULT 0,
    preemptions       INTEGER NOT NULL DEFAULT 0,
    input_tokens      INTEGER NOT NULL DEFAULT 0,
    output_tokens     INTEGER NOT NULL DEFAULT 0,
    wait_max_ms       INTEGER NOT NULL DEFAULT 0,
    processing_max_ms INTEGER NOT NULL DEFAULT 0,
    first_max_ms      INTEGER NOT NULL DEFAULT 0,
    wait              TEXT NOT NULL DEFAULT '', -- histograms: milliseconds:count, with a blank between them
    processing        TEXT NOT NULL DEFAULT '',
    first             TEXT NOT NULL DEFAULT ''
) STRICT;
