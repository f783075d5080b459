ALTER TABLE agents ADD COLUMN titles JSONB DEFAULT '{}'::jsonb NOT NULL;
ALTER TABLE agents ADD COLUMN project_seen_at TIMESTAMPTZ;
ALTER TABLE agents ADD COLUMN copied_until TIMESTAMPTZ;
ALTER TABLE agents ADD COLUMN fork_told BOOLEAN DEFAULT 'false' NOT NULL;
ALTER TABLE agents ADD COLUMN copies TEXT;
ALTER TABLE agents ADD CONSTRAINT ck_agents_copies CHECK (copies IN ('due', 'open'));
CREATE INDEX ix_agents_copies_due ON agents (id) WHERE copies = 'due';
ALTER TABLE source_positions ADD COLUMN state TEXT DEFAULT '' NOT NULL;
ALTER TABLE source_positions ADD COLUMN rules INTEGER DEFAULT '1' NOT NULL;
ALTER TABLE source_positions ADD COLUMN reread_bytes BIGINT DEFAULT '0' NOT NULL;
ALTER TABLE source_positions ADD COLUMN reread_state TEXT DEFAULT '' NOT NULL;
CREATE INDEX ix_source_positions_rules ON source_positions (host, rules);
ALTER TABLE events ADD COLUMN retracted_at TIMESTAMPTZ;

-- An event that is written again is one that the current rules make: it is no longer retracted.
CREATE OR REPLACE PROCEDURE write_events(
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
            UPDATE events SET retracted_at = NULL
            WHERE id = new_id AND retracted_at IS NOT NULL;
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
