-- A gate is a model's, no longer a whole provider's. A gate that stands already is kept for every model of its provider that a
-- session uses: which one of them the server meant is not known, and the server asked to be left alone.

ALTER TABLE gates RENAME TO gates_of_providers;

CREATE TABLE gates (
    model    TEXT PRIMARY KEY NOT NULL, -- PROVIDER:MODEL
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO gates (model, until_ms)
SELECT DISTINCT sessions.model, gates_of_providers.until_ms
FROM gates_of_providers
JOIN sessions ON substr(sessions.model, 1, instr(sessions.model || ':', ':') - 1) = gates_of_providers.provider;

DROP TABLE gates_of_providers;
