-- Why a model stopped, in the words of the contract, and what the server said about it.
--
-- The rule of finish_reason changes in place, as in 0003_cheaper_checks.sql: the words that go are rewritten below, and no other row
-- changes.

PRAGMA writable_schema = ON;

UPDATE sqlite_schema
SET sql = replace(sql,
    'finish_reason = ''stop'' OR finish_reason = ''length'' OR finish_reason = ''content_filter'' OR finish_reason = ''tool_use'' OR finish_reason = ''other''',
    'finish_reason = ''stop'' OR finish_reason = ''length'' OR finish_reason = ''refusal'' OR finish_reason = ''filter'' OR finish_reason = ''tool'' OR finish_reason = ''pause'' OR finish_reason = ''error'' OR finish_reason = ''unknown''')
WHERE type = 'table' AND name = 'messages';

PRAGMA writable_schema = RESET;

UPDATE messages
SET finish_reason = CASE finish_reason WHEN 'content_filter' THEN 'filter' WHEN 'tool_use' THEN 'tool' ELSE 'unknown' END
WHERE finish_reason = 'content_filter' OR finish_reason = 'tool_use' OR finish_reason = 'other';

-- Last: adding a column checks all rows against the rule as it is now.
ALTER TABLE messages ADD COLUMN finish_detail TEXT;
