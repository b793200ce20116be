-- What was typed, so that a key brings it back, and turns that were taken back.

-- Within a session `nth` grows by one, so that what is too old is found without counting; the ids grow over all sessions.
CREATE TABLE history (
    id         INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    nth        INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    line       TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX history_of_session ON history (session_id, nth);

-- Its question and its answer are kept, and are no part of the conversation any more.
ALTER TABLE entries ADD COLUMN undone INTEGER NOT NULL DEFAULT 0 CHECK (undone = 0 OR undone = 1);

-- With both columns, so that it answers alone.
CREATE INDEX entries_undone ON entries (session_id, undone) WHERE undone = 1;
