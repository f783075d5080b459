CREATE TABLE search_parts (
    event_id BIGINT NOT NULL,
    part INTEGER NOT NULL,
    begins INTEGER NOT NULL,
    length INTEGER NOT NULL,
    prompt BOOLEAN NOT NULL,
    words TSVECTOR NOT NULL,
    CONSTRAINT pk_search_parts PRIMARY KEY (event_id, part)
);
CREATE INDEX ix_search_parts_words ON search_parts USING gin (words);

CREATE TABLE search_cursor (
    single BOOLEAN DEFAULT 'true' NOT NULL,
    event_id BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_search_cursor PRIMARY KEY (single),
    CONSTRAINT ck_search_cursor_single CHECK (single)
);
INSERT INTO search_cursor DEFAULT VALUES;

CREATE TABLE search_due (
    event_id BIGSERIAL NOT NULL,
    CONSTRAINT pk_search_due PRIMARY KEY (event_id)
);

-- Index entries contain words of their event, and are deleted with it.
CREATE FUNCTION forget_in_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM search_parts s USING gone WHERE s.event_id = gone.id;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_in_search AFTER DELETE ON events
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION forget_in_search();

-- For a text that is revised after it was indexed.
CREATE FUNCTION revise_in_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_due (event_id) VALUES (new.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER revise_in_search AFTER UPDATE OF payload ON events FOR EACH ROW
WHEN (old.payload ->> 'text' IS DISTINCT FROM new.payload ->> 'text')
EXECUTE FUNCTION revise_in_search();

-- Roles belong to the server: another of its databases may have created this one, or do it now.
DO $$
DECLARE
    place text := quote_ident(current_schema());
BEGIN
    IF to_regrole('claude_headspace_reader') IS NULL THEN
        BEGIN
            CREATE ROLE claude_headspace_reader NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END IF;
    IF NOT pg_has_role('claude_headspace_reader', 'MEMBER') THEN
        EXECUTE format('GRANT claude_headspace_reader TO %I', current_user);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO claude_headspace_reader', place);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %s TO claude_headspace_reader', place);
    EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %s TO claude_headspace_reader', place);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %s'
        ' GRANT SELECT ON TABLES TO claude_headspace_reader', place);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %s'
        ' GRANT SELECT ON SEQUENCES TO claude_headspace_reader', place);
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'no role for readers: %', SQLERRM;
END $$;
