DROP VIEW source_positions;
DROP VIEW places;

-- Two machines may have one label, but not one name.
DO $$ DECLARE name TEXT; BEGIN
    FOREACH name IN ARRAY
        ARRAY['projects', 'checkpoints', 'sidecars', 'registrations', 'registration_hosts']
    LOOP
        EXECUTE format('ALTER TABLE %I RENAME machine TO host', name);
        EXECUTE format('ALTER TABLE %I ALTER host TYPE text USING host::text', name);
        EXECUTE format('UPDATE %I t SET host = n.name FROM (SELECT id::text AS id, label ||'
            ' CASE WHEN count(*) OVER (PARTITION BY label) > 1 THEN ''-'' || left(id::text, 8)'
            ' ELSE '''' END AS name FROM machines) n WHERE n.id = t.host', name);
    END LOOP;
END $$;
ALTER TABLE projects RENAME CONSTRAINT uq_projects_machine_path TO uq_projects_host_path;
ALTER TABLE checkpoints RENAME CONSTRAINT uq_checkpoints_machine_path TO uq_checkpoints_host_path;
ALTER TABLE sidecars RENAME CONSTRAINT uq_sidecars_machine_path TO uq_sidecars_host_path;
DROP TABLE machines;

CREATE VIEW source_positions AS SELECT c.id, host, path, committed_offset AS settled_bytes, device,
    inode, mtime_ns, checksum, head, tail, counts, sessions, state, rules, reread_bytes,
    reread_state, updated_at FROM checkpoints c;
