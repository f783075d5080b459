DROP TRIGGER revise_in_search ON events;
CREATE TRIGGER revise_in_search AFTER UPDATE OF payload ON events FOR EACH ROW
WHEN (old.payload ->> 'text' IS DISTINCT FROM new.payload ->> 'text')
EXECUTE FUNCTION revise_in_search();
ALTER INDEX ix_search_parts_words RESET (gin_pending_list_limit);
DROP INDEX ix_search_parts_timestamp;
ALTER TABLE search_parts DROP COLUMN timestamp;
