ALTER TABLE projects ADD COLUMN host TEXT;
ALTER TABLE checkpoints ADD COLUMN host TEXT;
ALTER TABLE sidecars ADD COLUMN host TEXT;
ALTER TABLE registrations ADD COLUMN host TEXT;
ALTER TABLE registration_hosts ADD COLUMN host TEXT;

-- Two machines may have one label, but not one name.
CREATE TEMPORARY TABLE machine_names ON COMMIT DROP AS
    SELECT id, label || CASE WHEN count(*) OVER (PARTITION BY label) > 1
        THEN '-' || left(id::text, 8) ELSE '' END AS name FROM machines;
UPDATE projects t SET host =
    coalesce((SELECT name FROM machine_names WHERE id = t.machine), t.machine::text);
ALTER TABLE projects ALTER COLUMN host SET NOT NULL;
UPDATE checkpoints t SET host =
    coalesce((SELECT name FROM machine_names WHERE id = t.machine), t.machine::text);
ALTER TABLE checkpoints ALTER COLUMN host SET NOT NULL;
UPDATE sidecars t SET host =
    coalesce((SELECT name FROM machine_names WHERE id = t.machine), t.machine::text);
ALTER TABLE sidecars ALTER COLUMN host SET NOT NULL;
UPDATE registrations t SET host =
    coalesce((SELECT name FROM machine_names WHERE id = t.machine), t.machine::text);
UPDATE registration_hosts t SET host =
    coalesce((SELECT name FROM machine_names WHERE id = t.machine), t.machine::text);
ALTER TABLE registration_hosts ALTER COLUMN host SET NOT NULL;

CREATE OR REPLACE VIEW model_usage AS
    SELECT t.*, (t.started_at)::date AS day, p.host, p.path AS project, a.project_id
    FROM model_calls t LEFT JOIN agents a ON a.session_uuid = t.session_uuid
    LEFT JOIN projects p ON p.id = a.project_id;

-- A call that is repeated by a fork counts once, unless nothing else tells of it.
CREATE OR REPLACE VIEW tool_usage AS
    SELECT t.*, (t.started_at)::date AS day, p.host, p.path AS project, a.project_id,
        extract(epoch FROM t.ended_at - t.started_at)::float8 AS seconds
    FROM tool_calls t LEFT JOIN agents a ON a.session_uuid = t.session_uuid
    LEFT JOIN projects p ON p.id = a.project_id
    WHERE t.copy_of IS NULL OR NOT EXISTS (SELECT FROM tool_calls o
        WHERE o.session_uuid = t.copy_of AND o.tool_use_id = t.tool_use_id);

CREATE OR REPLACE VIEW source_positions AS SELECT id, host, path, committed_offset AS settled_bytes, device,
    inode, mtime_ns, checksum, head, tail, counts, sessions, state, rules, reread_bytes,
    reread_state, updated_at FROM checkpoints;

DROP VIEW places;

ALTER TABLE projects DROP COLUMN machine;
ALTER TABLE projects ADD CONSTRAINT uq_projects_host_path UNIQUE (host, path);

ALTER TABLE checkpoints DROP COLUMN machine;
ALTER TABLE checkpoints ADD CONSTRAINT uq_checkpoints_host_path UNIQUE (host, path);
CREATE INDEX ix_checkpoints_rules ON checkpoints (host, rules);

ALTER TABLE sidecars DROP COLUMN machine;
ALTER TABLE sidecars ADD CONSTRAINT uq_sidecars_host_path UNIQUE (host, path);

ALTER TABLE registrations DROP COLUMN machine;

ALTER TABLE registration_hosts DROP COLUMN machine;
ALTER TABLE registration_hosts
    ADD CONSTRAINT pk_registration_hosts PRIMARY KEY (session_uuid, host);

DROP TABLE machines;
