CREATE TABLE projects (
    id SERIAL NOT NULL,
    host TEXT NOT NULL,
    path TEXT NOT NULL,
    created_at TIMESTAMPTZ DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_projects PRIMARY KEY (id),
    CONSTRAINT uq_projects_host_path UNIQUE (host, path)
);

CREATE TABLE registrations (
    session_uuid UUID NOT NULL,
    wanted BOOLEAN NOT NULL,
    generation INTEGER DEFAULT '1' NOT NULL,
    applied INTEGER DEFAULT '0' NOT NULL,
    project_path TEXT,
    working_directory TEXT,
    iterm_pane_id TEXT,
    requested_at TIMESTAMPTZ DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_registrations PRIMARY KEY (session_uuid)
);
CREATE INDEX ix_registrations_waiting ON registrations (session_uuid) WHERE applied < generation;

CREATE TABLE source_positions (
    id SERIAL NOT NULL,
    host TEXT NOT NULL,
    path TEXT NOT NULL,
    settled_bytes BIGINT DEFAULT '0' NOT NULL,
    device BIGINT,
    inode BIGINT,
    mtime_ns BIGINT,
    checksum BIGINT DEFAULT '0' NOT NULL,
    head BIGINT DEFAULT '0' NOT NULL,
    tail BIGINT DEFAULT '0' NOT NULL,
    counts JSONB DEFAULT '{}'::jsonb NOT NULL,
    sessions UUID[] DEFAULT '{}'::uuid[] NOT NULL,
    updated_at TIMESTAMPTZ DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_source_positions PRIMARY KEY (id),
    CONSTRAINT uq_source_positions_host_path UNIQUE (host, path)
);
CREATE INDEX ix_source_positions_inode ON source_positions (inode);

CREATE TABLE agents (
    id SERIAL NOT NULL,
    session_uuid UUID NOT NULL,
    project_id INTEGER NOT NULL,
    working_directory TEXT NOT NULL,
    iterm_pane_id TEXT,
    announced BOOLEAN DEFAULT 'false' NOT NULL,
    started_at TIMESTAMPTZ,
    last_seen_at TIMESTAMPTZ,
    last_line TEXT,
    ended_at TIMESTAMPTZ,
    end_reason TEXT,
    forked_from UUID,
    CONSTRAINT pk_agents PRIMARY KEY (id),
    CONSTRAINT fk_agents_project_id FOREIGN KEY (project_id)
        REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT uq_agents_session_uuid UNIQUE (session_uuid)
);
CREATE INDEX ix_agents_open ON agents (last_seen_at) WHERE ended_at IS NULL;
CREATE INDEX ix_agents_project_id ON agents (project_id);

CREATE TABLE rejections (
    id BIGSERIAL NOT NULL,
    source_id INTEGER,
    source_offset BIGINT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    content BYTEA NOT NULL,
    recorded_at TIMESTAMPTZ DEFAULT clock_timestamp() NOT NULL,
    resolved_at TIMESTAMPTZ,
    CONSTRAINT pk_rejections PRIMARY KEY (id),
    CONSTRAINT fk_rejections_source_id FOREIGN KEY (source_id)
        REFERENCES source_positions (id) ON DELETE SET NULL,
    CONSTRAINT uq_rejections_source_id_source_offset_reason
        UNIQUE (source_id, source_offset, reason)
);

CREATE TABLE commands (
    id SERIAL NOT NULL,
    agent_id INTEGER NOT NULL,
    state TEXT DEFAULT 'idle' NOT NULL,
    created_at TIMESTAMPTZ DEFAULT clock_timestamp() NOT NULL,
    completed_at TIMESTAMPTZ,
    CONSTRAINT pk_commands PRIMARY KEY (id),
    CONSTRAINT ck_commands_state CHECK
        (state IN ('idle', 'commanded', 'processing', 'awaiting_input', 'complete')),
    CONSTRAINT fk_commands_agent_id FOREIGN KEY (agent_id) REFERENCES agents (id) ON DELETE CASCADE
);
CREATE INDEX ix_commands_agent_id ON commands (agent_id);

CREATE TABLE turns (
    id SERIAL NOT NULL,
    command_id INTEGER NOT NULL,
    actor TEXT NOT NULL,
    intent TEXT NOT NULL,
    text TEXT NOT NULL,
    timestamp TIMESTAMPTZ NOT NULL,
    CONSTRAINT pk_turns PRIMARY KEY (id),
    CONSTRAINT ck_turns_actor CHECK (actor IN ('user', 'agent')),
    CONSTRAINT ck_turns_intent CHECK
        (intent IN ('command', 'answer', 'question', 'completion', 'progress')),
    CONSTRAINT fk_turns_command_id FOREIGN KEY (command_id)
        REFERENCES commands (id) ON DELETE CASCADE
);
CREATE INDEX ix_turns_command_id ON turns (command_id);

CREATE TABLE events (
    id BIGSERIAL NOT NULL,
    timestamp TIMESTAMPTZ NOT NULL,
    event_type TEXT NOT NULL,
    payload JSONB NOT NULL,
    project_id INTEGER,
    agent_id INTEGER,
    command_id INTEGER,
    turn_id INTEGER,
    session_uuid UUID NOT NULL,
    event_key UUID NOT NULL,
    source_id INTEGER,
    source_offset BIGINT,
    recorded_at TIMESTAMPTZ DEFAULT clock_timestamp() NOT NULL,
    annotations JSONB DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT pk_events PRIMARY KEY (id),
    CONSTRAINT fk_events_agent_id FOREIGN KEY (agent_id) REFERENCES agents (id) ON DELETE SET NULL,
    CONSTRAINT fk_events_command_id FOREIGN KEY (command_id)
        REFERENCES commands (id) ON DELETE SET NULL,
    CONSTRAINT fk_events_project_id FOREIGN KEY (project_id)
        REFERENCES projects (id) ON DELETE SET NULL,
    CONSTRAINT fk_events_turn_id FOREIGN KEY (turn_id) REFERENCES turns (id) ON DELETE SET NULL,
    CONSTRAINT uq_events_event_key_session_uuid UNIQUE (event_key, session_uuid)
);
CREATE INDEX ix_events_agent_id_id ON events (agent_id, id);
CREATE INDEX ix_events_command_id ON events (command_id) WHERE command_id IS NOT NULL;
CREATE INDEX ix_events_event_type_timestamp ON events (event_type, timestamp);
CREATE INDEX ix_events_project_id_timestamp ON events (project_id, timestamp);
CREATE INDEX ix_events_timestamp ON events (timestamp);
CREATE INDEX ix_events_turn_id ON events (turn_id) WHERE turn_id IS NOT NULL;

-- Writes events in the given order, each in its own transaction, in one round trip. If the session
-- sets synchronous_commit = off, only the last commit waits for the disk, and flushes the others.
-- outcomes: w written, a again (the same key from the same source and offset: a line read again
-- after a crash), d duplicate (the key from anywhere else); in upper case if another session has
-- the key, too (a copied turn).
CREATE PROCEDURE write_events(
    keys uuid[], sessions uuid[], types text[], times timestamptz[], payloads text[],
    notes text[], projects int[], agents int[], commands int[], turns int[],
    sources int[], offsets bigint[], INOUT ids bigint[], INOUT outcomes text)
LANGUAGE plpgsql AS $$
DECLARE
    -- Copies: plpgsql holds arrays that it assigned itself in a form with direct access.
    texts text[] := payloads;
    last int := cardinality(keys);
    new_id bigint;
    outcome text;
BEGIN
    ids := '{}';
    outcomes := '';
    FOR i IN 1..last LOOP
        IF i = last THEN
            PERFORM set_config('synchronous_commit', 'on', true);
        END IF;
        INSERT INTO events (timestamp, event_type, payload, project_id, agent_id, command_id,
            turn_id, session_uuid, event_key, source_id, source_offset, annotations)
        VALUES (times[i], types[i], texts[i]::jsonb, projects[i], agents[i], commands[i],
            turns[i], sessions[i], keys[i], sources[i], offsets[i], notes[i]::jsonb)
        ON CONFLICT (event_key, session_uuid) DO NOTHING
        RETURNING id INTO new_id;
        outcome := 'w';
        IF new_id IS NULL THEN
            SELECT e.id, CASE WHEN e.source_id = sources[i] AND e.source_offset = offsets[i]
                THEN 'a' ELSE 'd' END
            INTO new_id, outcome
            FROM events e WHERE e.event_key = keys[i] AND e.session_uuid = sessions[i];
            IF NOT FOUND THEN
                RAISE EXCEPTION 'the event was deleted while it was written: try again'
                    USING ERRCODE = '40001';
            END IF;
            IF i = last THEN
                -- A commit that has written nothing flushes nothing; those before it wait for it.
                PERFORM pg_logical_emit_message(true, 'claude_headspace', ''::text);
            END IF;
        END IF;
        IF EXISTS (SELECT FROM events e
                WHERE e.event_key = keys[i] AND e.session_uuid <> sessions[i]) THEN
            outcome := upper(outcome);
        END IF;
        outcomes := outcomes || outcome;
        ids := ids || new_id;
        COMMIT;
    END LOOP;
END $$;
