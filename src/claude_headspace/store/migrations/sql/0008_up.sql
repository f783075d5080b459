-- The holder of the lease describes itself here; `holder` is its place (see machine.Place), and
-- `backlog_bytes` what it had not committed when it was last seen, since `behind_since`. No foreign
-- key refers to a machine, since a command may write under an id before its watcher has run.
CREATE TABLE machines (
    id UUID NOT NULL,
    label TEXT NOT NULL,
    version TEXT,
    holder JSONB,
    first_seen_at TIMESTAMPTZ DEFAULT clock_timestamp() NOT NULL,
    seen_at TIMESTAMPTZ,
    backlog_bytes BIGINT DEFAULT '0' NOT NULL,
    behind_since TIMESTAMPTZ,
    CONSTRAINT pk_machines PRIMARY KEY (id)
);
DROP VIEW source_positions;

-- Rows belonged to names so far: a name's id is made of it, and known to machine.id_of_name.
DO $$ DECLARE name TEXT; BEGIN
    FOREACH name IN ARRAY
        ARRAY['projects', 'checkpoints', 'sidecars', 'registrations', 'registration_hosts']
    LOOP
        EXECUTE format('INSERT INTO machines (id, label) SELECT DISTINCT md5(host)::uuid, host'
            ' FROM %I WHERE host IS NOT NULL ON CONFLICT DO NOTHING', name);
        EXECUTE format('ALTER TABLE %I ALTER host TYPE uuid USING md5(host)::uuid', name);
        EXECUTE format('ALTER TABLE %I RENAME host TO machine', name);
    END LOOP;
END $$;
ALTER TABLE projects RENAME CONSTRAINT uq_projects_host_path TO uq_projects_machine_path;
ALTER TABLE checkpoints RENAME CONSTRAINT uq_checkpoints_host_path TO uq_checkpoints_machine_path;
ALTER TABLE sidecars RENAME CONSTRAINT uq_sidecars_host_path TO uq_sidecars_machine_path;

CREATE VIEW places AS SELECT p.id, p.machine, coalesce(m.label, left(p.machine::text, 8)) AS host,
    p.path, p.created_at FROM projects p LEFT JOIN machines m ON m.id = p.machine;
CREATE VIEW source_positions AS SELECT c.id, coalesce(m.label, left(c.machine::text, 8)) AS host,
    path, committed_offset AS settled_bytes, device, inode, mtime_ns, checksum, head, tail, counts,
    sessions, state, rules, reread_bytes, reread_state, updated_at
    FROM checkpoints c LEFT JOIN machines m ON m.id = c.machine;
