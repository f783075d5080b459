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

-- Rows belonged to names so far: the id of a name is made of it, as machine.id_of_name does.
INSERT INTO machines (id, label)
    SELECT md5(host)::uuid, host FROM projects
    UNION SELECT md5(host)::uuid, host FROM checkpoints
    UNION SELECT md5(host)::uuid, host FROM sidecars
    UNION SELECT md5(host)::uuid, host FROM registrations WHERE host IS NOT NULL
    UNION SELECT md5(host)::uuid, host FROM registration_hosts;

ALTER TABLE projects ADD COLUMN machine UUID;
UPDATE projects SET machine = md5(host)::uuid;
ALTER TABLE projects ALTER COLUMN machine SET NOT NULL;

ALTER TABLE checkpoints ADD COLUMN machine UUID;
UPDATE checkpoints SET machine = md5(host)::uuid;
ALTER TABLE checkpoints ALTER COLUMN machine SET NOT NULL;

ALTER TABLE sidecars ADD COLUMN machine UUID;
UPDATE sidecars SET machine = md5(host)::uuid;
ALTER TABLE sidecars ALTER COLUMN machine SET NOT NULL;

ALTER TABLE registrations ADD COLUMN machine UUID;
UPDATE registrations SET machine = md5(host)::uuid;

ALTER TABLE registration_hosts ADD COLUMN machine UUID;
UPDATE registration_hosts SET machine = md5(host)::uuid;
ALTER TABLE registration_hosts ALTER COLUMN machine SET NOT NULL;

CREATE VIEW places AS
    SELECT p.id, p.machine, coalesce(m.label, left(p.machine::text, 8)) AS host, p.path,
        p.created_at
    FROM projects p LEFT JOIN machines m ON m.id = p.machine;

CREATE OR REPLACE VIEW model_usage AS
    SELECT t.*, (t.started_at)::date AS day, p.host, p.path AS project, a.project_id
    FROM model_calls t LEFT JOIN agents a ON a.session_uuid = t.session_uuid
    LEFT JOIN places p ON p.id = a.project_id;

-- A call that is repeated by a fork counts once, unless nothing else tells of it.
CREATE OR REPLACE VIEW tool_usage AS
    SELECT t.*, (t.started_at)::date AS day, p.host, p.path AS project, a.project_id,
        extract(epoch FROM t.ended_at - t.started_at)::float8 AS seconds
    FROM tool_calls t LEFT JOIN agents a ON a.session_uuid = t.session_uuid
    LEFT JOIN places p ON p.id = a.project_id
    WHERE t.copy_of IS NULL OR NOT EXISTS (SELECT FROM tool_calls o
        WHERE o.session_uuid = t.copy_of AND o.tool_use_id = t.tool_use_id);

CREATE OR REPLACE VIEW source_positions AS SELECT c.id,
    coalesce(m.label, left(c.machine::text, 8)) AS host, path, committed_offset AS settled_bytes,
    device, inode, mtime_ns, checksum, head, tail, counts, sessions, state, rules, reread_bytes,
    reread_state, updated_at FROM checkpoints c LEFT JOIN machines m ON m.id = c.machine;

ALTER TABLE projects DROP COLUMN host;
ALTER TABLE projects ADD CONSTRAINT uq_projects_machine_path UNIQUE (machine, path);

ALTER TABLE checkpoints DROP COLUMN host;
ALTER TABLE checkpoints ADD CONSTRAINT uq_checkpoints_machine_path UNIQUE (machine, path);
CREATE INDEX ix_checkpoints_rules ON checkpoints (machine, rules);

ALTER TABLE sidecars DROP COLUMN host;
ALTER TABLE sidecars ADD CONSTRAINT uq_sidecars_machine_path UNIQUE (machine, path);

ALTER TABLE registrations DROP COLUMN host;

ALTER TABLE registration_hosts DROP COLUMN host;
ALTER TABLE registration_hosts
    ADD CONSTRAINT pk_registration_hosts PRIMARY KEY (session_uuid, machine);
