-- Several processes on one database: who lives, who runs the turns of which session, and what each has changed that others keep in
-- memory.

-- The ids are never used twice: what the former holder of a lease still writes is told from what its successor does.
CREATE TABLE processes (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    pid     INTEGER NOT NULL,
    boot    TEXT NOT NULL,             -- which boot of the machine, and which space of process ids
    started INTEGER NOT NULL,          -- when the process began, in that boot's ticks: a process id is used again
    beat    INTEGER NOT NULL DEFAULT 0 -- grows while it lives and is not alone
) STRICT;

-- Who has something to run in a session. Nobody else starts a turn there.
CREATE TABLE leases (
    session_id INTEGER PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    process_id INTEGER NOT NULL REFERENCES processes (id) ON DELETE CASCADE
) STRICT;

CREATE INDEX leases_of_process ON leases (process_id);

-- That something of a session is another now, for the others who live; written only while there are others. The ids grow while anybody
-- lives. No reference: of a session that was deleted it is told too.
CREATE TABLE changes (
    id         INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL,
    process_id INTEGER NOT NULL, -- who changed it
    cancel     INTEGER NOT NULL DEFAULT 0 CHECK (cancel = 0 OR cancel = 1) -- who has the lease shall end the turn under way
) STRICT;

-- Held because the process that was to send it has ended, and not because a person held it.
ALTER TABLE entries ADD COLUMN set_aside INTEGER NOT NULL DEFAULT 0 CHECK (set_aside = 0 OR set_aside = 1);

-- Who has acknowledged it, or has let it go on: as long as that one lives, it waits for nobody else's end.
ALTER TABLE entries ADD COLUMN process_id INTEGER;
