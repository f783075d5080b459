DO $$
BEGIN
    IF to_regrole('claude_headspace_reader') IS NOT NULL THEN
        DROP OWNED BY claude_headspace_reader;
        DROP ROLE claude_headspace_reader;
    END IF;
EXCEPTION WHEN insufficient_privilege OR dependent_objects_still_exist THEN
    NULL;
END $$;
DROP TRIGGER revise_in_search ON events;
DROP FUNCTION revise_in_search;
DROP TRIGGER forget_in_search ON events;
DROP FUNCTION forget_in_search;
DROP TABLE search_due;
DROP TABLE search_cursor;
DROP TABLE search_parts;
