-- What a session tells while it is in the background, and the files that go along with the next message that is typed in it.

-- NULL: as the configuration says.
ALTER TABLE sessions ADD COLUMN notify TEXT
    CHECK (notify = 'all' OR notify = 'done' OR notify = 'fail' OR notify = 'none');

CREATE TABLE attachments (
    id         INTEGER PRIMARY KEY, -- in the order of attaching; named nowhere else
    session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    text       TEXT NOT NULL
) STRICT;

-- At most one text a name: who attaches a file again means it as it is now.
CREATE UNIQUE INDEX attachments_of_session ON attachments (session_id, name);
