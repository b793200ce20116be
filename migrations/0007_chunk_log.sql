-- What streaming answers grow by is a log: appended at its tail by all of them, trimmed at its head. So what many slow answers bring at
-- a time lies on one page or few, and no index is written with it. What is whose, and why nobody reads what is not his: src/store/chunks.rs.

-- No chunk of the message lies before this id; NULL when it does not stream.
ALTER TABLE messages ADD COLUMN first_chunk INTEGER CHECK (first_chunk IS NULL OR state = 'streaming');

UPDATE messages
SET first_chunk = coalesce(
    (SELECT min(c.id) FROM chunks c WHERE c.message_id = messages.id),
    (SELECT coalesce(max(c.id), 0) + 1 FROM chunks c))
WHERE state = 'streaming';

-- With the column, so that the head of the log is found in it alone.
DROP INDEX messages_streaming;
CREATE INDEX messages_streaming ON messages (session_id, first_chunk) WHERE state = 'streaming';

-- No index and no reference: what is appended writes nothing but the tail. No AUTOINCREMENT: the last row stays.
CREATE TABLE chunk_log (
    id         INTEGER PRIMARY KEY,
    message_id INTEGER NOT NULL,
    kind       TEXT NOT NULL CHECK (kind = 'text' OR kind = 'reasoning'),
    text       TEXT NOT NULL
) STRICT;

INSERT INTO chunk_log (id, message_id, kind, text) SELECT id, message_id, kind, text FROM chunks;
DROP TABLE chunks;
ALTER TABLE chunk_log RENAME TO chunks;
