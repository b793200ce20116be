-- What the migrations make. A test writes this file; see foreign.rs.

-- index attachments_of_session of attachments
CREATE UNIQUE INDEX attachments_of_session ON attachments (session_id, name);

-- index entries_dead of entries
CREATE INDEX entries_dead ON entries (session_id) WHERE state = 'dead';

-- index entries_in_order of entries
CREATE INDEX entries_in_order ON entries (session_id, position);

-- index entries_pending of entries
CREATE INDEX entries_pending ON entries (session_id) WHERE state = 'pending';

-- index entries_running of entries
CREATE UNIQUE INDEX entries_running ON entries (session_id) WHERE state = 'running';

-- index entries_undone of entries
CREATE INDEX entries_undone ON entries (session_id, undone) WHERE undone = 1;

-- index history_of_session of history
CREATE UNIQUE INDEX history_of_session ON history (session_id, nth);

-- index leases_of_process of leases
CREATE INDEX leases_of_process ON leases (process_id);

-- index messages_of_entry of messages
CREATE UNIQUE INDEX messages_of_entry ON messages (entry_id, role);

-- index messages_of_session of messages
CREATE INDEX messages_of_session ON messages (session_id, id);

-- index messages_streaming of messages
CREATE INDEX messages_streaming ON messages (session_id, first_chunk) WHERE state = 'streaming';

-- table attachments of attachments
CREATE TABLE attachments (
    id         INTEGER PRIMARY KEY, -- in the order of attaching; named nowhere else
    session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    text       TEXT NOT NULL
) STRICT;

-- table auto_replies of auto_replies
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

-- table changes of changes
CREATE TABLE changes (
    id         INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL,
    process_id INTEGER NOT NULL, -- who changed it
    cancel     INTEGER NOT NULL DEFAULT 0 CHECK (cancel = 0 OR cancel = 1) -- who has the lease shall end the turn under way
) STRICT;

-- table chunks of chunks
CREATE TABLE "chunks" (
    id         INTEGER PRIMARY KEY,
    message_id INTEGER NOT NULL,
    kind       TEXT NOT NULL CHECK (kind = 'text' OR kind = 'reasoning'),
    text       TEXT NOT NULL
) STRICT;

-- table entries of entries
CREATE TABLE entries (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id       INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    priority         TEXT NOT NULL CHECK (priority = 'high' OR priority = 'normal' OR priority = 'low'),
    origin           TEXT NOT NULL CHECK (origin = 'user' OR origin = 'script' OR origin = 'auto'),
    state            TEXT NOT NULL CHECK (state = 'pending' OR state = 'running' OR state = 'done' OR state = 'cancelled' OR state = 'dead'),
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
, position INTEGER NOT NULL DEFAULT 0, continues INTEGER NOT NULL DEFAULT 0 CHECK (continues IN (0, 1)), undone INTEGER NOT NULL DEFAULT 0 CHECK (undone = 0 OR undone = 1), set_aside INTEGER NOT NULL DEFAULT 0 CHECK (set_aside = 0 OR set_aside = 1), process_id INTEGER) STRICT;

-- table gates of gates
CREATE TABLE gates (
    model    TEXT PRIMARY KEY NOT NULL, -- PROVIDER:MODEL
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- table history of history
CREATE TABLE history (
    id         INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    nth        INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    line       TEXT NOT NULL
) STRICT;

-- table leases of leases
CREATE TABLE leases (
    session_id INTEGER PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    process_id INTEGER NOT NULL REFERENCES processes (id) ON DELETE CASCADE
) STRICT;

-- table messages of messages
CREATE TABLE messages (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id       INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    entry_id         INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
    role             TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    state            TEXT NOT NULL CHECK (state = 'streaming' OR state = 'complete' OR state = 'interrupted' OR state = 'failed'),
    model            TEXT,
    finish_reason    TEXT CHECK (finish_reason = 'stop' OR finish_reason = 'length' OR finish_reason = 'refusal' OR finish_reason = 'filter' OR finish_reason = 'tool' OR finish_reason = 'pause' OR finish_reason = 'error' OR finish_reason = 'unknown'),
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
, seams TEXT NOT NULL DEFAULT '', first_chunk INTEGER CHECK (first_chunk IS NULL OR state = 'streaming'), finish_detail TEXT) STRICT;

-- table processes of processes
CREATE TABLE processes (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    pid     INTEGER NOT NULL,
    boot    TEXT NOT NULL,             -- which boot of the machine, and which space of process ids
    started INTEGER NOT NULL,          -- when the process began, in that boot's ticks: a process id is used again
    beat    INTEGER NOT NULL DEFAULT 0 -- grows while it lives and is not alone
) STRICT;

-- table sessions of sessions
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
, notify TEXT
    CHECK (notify = 'all' OR notify = 'done' OR notify = 'fail' OR notify = 'none')) STRICT;

-- table state of state
CREATE TABLE state (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- table stats of stats
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
