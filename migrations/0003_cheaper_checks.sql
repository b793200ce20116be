-- The rule `x IN ('a', 'b', 'c')` in a CHECK makes SQLite fill a table for the list, for each row that is written: half of what a
-- message cost. As comparisons the same rule costs next to nothing. No row changes, only the text of the rule: SQLite's page on
-- ALTER TABLE (section 7) gives this way, and that schema_version is raised with it, so that who has the old text open reads it anew:
-- here that would gain nothing, for the old text means the same. The transaction around it takes all of it or nothing.

PRAGMA writable_schema = ON;

UPDATE sqlite_schema
SET sql = replace(replace(replace(sql,
    'priority IN (''high'', ''normal'', ''low'')',
    'priority = ''high'' OR priority = ''normal'' OR priority = ''low'''),
    'origin IN (''user'', ''script'', ''auto'')',
    'origin = ''user'' OR origin = ''script'' OR origin = ''auto'''),
    'state IN (''pending'', ''running'', ''done'', ''cancelled'', ''dead'')',
    'state = ''pending'' OR state = ''running'' OR state = ''done'' OR state = ''cancelled'' OR state = ''dead''')
WHERE type = 'table' AND name = 'entries';

UPDATE sqlite_schema
SET sql = replace(replace(sql,
    'state IN (''streaming'', ''complete'', ''interrupted'', ''failed'')',
    'state = ''streaming'' OR state = ''complete'' OR state = ''interrupted'' OR state = ''failed'''),
    'finish_reason IN (''stop'', ''length'', ''content_filter'', ''tool_use'', ''other'')',
    'finish_reason = ''stop'' OR finish_reason = ''length'' OR finish_reason = ''content_filter'' OR finish_reason = ''tool_use'' OR finish_reason = ''other''')
WHERE type = 'table' AND name = 'messages';

PRAGMA writable_schema = RESET;
