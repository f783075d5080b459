-- What each role may do with the log. Run it as a superuser, or as the owner of the database with
-- CREATEROLE, after `claude-headspace migrate`. The roles are groups: let the roles that log in be
-- members of one, as in CREATE ROLE laptop LOGIN PASSWORD '...' IN ROLE {writer}.
DO $$
DECLARE
    role_name text;
    part text;
    log_owner oid := (SELECT relowner FROM pg_class WHERE oid = '{schema}.alembic_version'::regclass);
BEGIN
    FOREACH role_name IN ARRAY ARRAY['{owner}', '{writer}', '{reader}'] LOOP
        IF to_regrole(role_name) IS NULL THEN
            EXECUTE 'CREATE ROLE ' || role_name || ' NOLOGIN';
        END IF;
    END LOOP;
    IF NOT pg_has_role('{owner}', 'MEMBER') THEN
        GRANT {owner} TO CURRENT_USER;
    END IF;
    GRANT USAGE, CREATE ON SCHEMA {schema} TO {owner};
    FOR part IN SELECT 'TABLE ' || oid::regclass FROM pg_class
            WHERE relowner = log_owner AND relkind IN ('r', 'p', 'v')
            AND relnamespace = '{schema}'::regnamespace
        UNION ALL SELECT 'ROUTINE ' || oid::regprocedure FROM pg_proc
            WHERE proname IN ('write_events', 'forget_in_search', 'revise_in_search')
            AND pronamespace = '{schema}'::regnamespace LOOP
        EXECUTE 'ALTER ' || part || ' OWNER TO {owner}';
    END LOOP;
END $$;
REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, {writer}, {reader};
GRANT USAGE ON SCHEMA {schema} TO {writer}, {reader};
REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {writer}, {reader};
REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {writer}, {reader};

-- The reader sees everything. A writer takes its role for reading.
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {reader}, {writer};
GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {reader}, {writer};
GRANT {reader} TO {writer};

GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {writer};
GRANT INSERT, UPDATE ON {schema}.machines, {schema}.checkpoints, {schema}.registrations,
    {schema}.registration_hosts, {schema}.forwarders, {schema}.forwarded_ids TO {writer};
GRANT UPDATE ON {schema}.search_cursor TO {writer};
-- Rows of these are deleted when a session is forgotten, redacted or indexed again.
GRANT INSERT, UPDATE, DELETE ON {schema}.projects, {schema}.agents, {schema}.events,
    {schema}.dead_letters, {schema}.tombstones, {schema}.sidecars, {schema}.archive_generations,
    {schema}.archive_pieces, {schema}.tool_calls, {schema}.model_calls, {schema}.search_parts,
    {schema}.search_due, {schema}.forward_due TO {writer};

-- Tables of later migrations, until this is run again.
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}
    GRANT SELECT ON TABLES TO {reader};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {writer};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}
    GRANT SELECT ON SEQUENCES TO {reader};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}
    GRANT USAGE, SELECT ON SEQUENCES TO {writer};
