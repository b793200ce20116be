-- The first schema. Times are milliseconds since 1970 (`_ms`). Big texts stand last in their tables, so that the small
-- columns are read without following overflow pages.

PRAGMA application_id = 0x63686d78; -- "chmx": another program's database is refused, never migrated

CREATE TABLE sessions (
    id                   INTEGER PRIMARY KEY AUTOINCREMENT,
    name                 TEXT NOT NULL UNIQUE,
    model                TEXT NOT NULL,
    held                 INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),
    closed_at_ms         INTEGER,
    seen_message         INTEGER NOT NULL DEFAULT 0,
    seen_reasoning_bytes INTEGER NOT NULL DEFAULT 0 CHECK (seen_reasoning_bytes >= 0),
    seen_text_bytes      INTEGER NOT NULL DEFAULT 0 CHECK (seen_text_bytes >= 0),
    seen_ended           INTEGER NOT NULL DEFAULT 1 CHECK (seen_ended IN (0, 1)),
    created_at_ms        INTEGER NOT NULL,
    system               TEXT NOT NULL DEFAULT '',
    draft                TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE entries (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id       INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    priority         TEXT NOT NULL CHECK (priority IN ('high', 'normal', 'low')),
    origin           TEXT NOT NULL CHECK (origin IN ('user', 'script', 'auto')),
    state            TEXT NOT NULL CHECK (state IN ('pending', 'running', 'done', 'cancelled', 'dead')),
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    held             INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),
    not_before_ms    INTEGER,
    created_at_ms    INTEGER NOT NULL,
    started_at_ms    INTEGER, -- of the first attempt
    finished_at_ms   INTEGER,
    error_kind       TEXT,
    error_status     INTEGER,
    error_text       TEXT,
    error_request_id TEXT,
    text             TEXT NOT NULL
) STRICT;

CREATE INDEX entries_of_session ON entries (session_id);
-- Strictly one turn at a time in a session, whoever starts it and from whichever process.
CREATE UNIQUE INDEX entries_running ON entries (session_id) WHERE state = 'running';
CREATE INDEX entries_pending ON entries (session_id) WHERE state = 'pending';
CREATE INDEX entries_dead ON entries (session_id) WHERE state = 'dead';

CREATE TABLE messages (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id       INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    entry_id         INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
    role             TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    state            TEXT NOT NULL CHECK (state IN ('streaming', 'complete', 'interrupted', 'failed')),
    model            TEXT,
    finish_reason    TEXT CHECK (finish_reason IN ('stop', 'length', 'content_filter', 'tool_use', 'other')),
    input_tokens     INTEGER,
    output_tokens    INTEGER,
    created_at_ms    INTEGER NOT NULL,
    first_at_ms      INTEGER, -- the first content of the last attempt
    finished_at_ms   INTEGER,
    error_kind       TEXT,
    error_status     INTEGER,
    error_text       TEXT,
    error_request_id TEXT,
    reasoning        TEXT NOT NULL DEFAULT '',
    text             TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX messages_of_session ON messages (session_id, id);
CREATE UNIQUE INDEX messages_of_entry ON messages (entry_id, role);
CREATE INDEX messages_streaming ON messages (session_id) WHERE state = 'streaming';

-- What a streaming answer grew by since its last fold. Appended, never rewritten; gone when the turn ends. The ids are
-- named nowhere else, so they need no AUTOINCREMENT (and no write to sqlite_sequence at each checkpoint).
CREATE TABLE chunks (
    id         INTEGER PRIMARY KEY,
    message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('text', 'reasoning')),
    text       TEXT NOT NULL
) STRICT;

CREATE INDEX chunks_of_message ON chunks (message_id);

-- Single facts about the whole, such as which session is active.
CREATE TABLE state (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
