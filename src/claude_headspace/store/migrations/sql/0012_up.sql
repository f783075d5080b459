-- With its time in the index, a word is searched from the newest back, without reading each event
-- that has it. Rewriting the rows and their index together is faster than updating them.
CREATE UNLOGGED TABLE kept_parts AS SELECT * FROM search_parts;
TRUNCATE search_parts;
DROP INDEX ix_search_parts_words;
ALTER TABLE search_parts ADD COLUMN timestamp TIMESTAMPTZ NOT NULL;
INSERT INTO search_parts (event_id, part, begins, length, prompt, words, timestamp)
SELECT k.event_id, k.part, k.begins, k.length, e.payload ->> 'actor' IS NOT DISTINCT FROM 'user',
    k.words, e.timestamp
FROM kept_parts k JOIN events e ON e.id = k.event_id ORDER BY e.timestamp, k.event_id, k.part;
DROP TABLE kept_parts;
-- What waits to be merged into the index is read by every search; the default is 4 MB.
CREATE INDEX ix_search_parts_words ON search_parts USING gin (words)
WITH (gin_pending_list_limit = 1024);
CREATE INDEX ix_search_parts_timestamp ON search_parts (timestamp);
ANALYZE search_parts;

DROP TRIGGER revise_in_search ON events;
CREATE TRIGGER revise_in_search AFTER UPDATE OF payload, timestamp ON events FOR EACH ROW
WHEN (old.payload ->> 'text' IS DISTINCT FROM new.payload ->> 'text'
    OR old.payload ->> 'actor' IS DISTINCT FROM new.payload ->> 'actor'
    OR old.timestamp <> new.timestamp)
EXECUTE FUNCTION revise_in_search();
