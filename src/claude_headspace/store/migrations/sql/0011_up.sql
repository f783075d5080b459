-- A partitioned table (docs/growing.md) has the time in its keys, so the identity is looked up
-- first. The conflict may be on any key, so this works for both kinds of table.
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
    partitioned boolean := (SELECT relkind = 'p' FROM pg_class WHERE oid = 'events'::regclass);
BEGIN
    ids := '{}';
    outcomes := '';
    FOR i IN 1..last LOOP
        IF i = last THEN
            PERFORM set_config('synchronous_commit', 'on', true);
        END IF;
        INSERT INTO events (timestamp, event_type, payload, project_id, agent_id, command_id,
            turn_id, session_uuid, event_key, source_id, source_offset, annotations)
        SELECT times[i], types[i], texts[i]::jsonb, projects[i], agents[i], commands[i],
            turns[i], sessions[i], keys[i], sources[i], offsets[i], notes[i]::jsonb
        WHERE NOT (partitioned AND EXISTS (SELECT FROM events e
            WHERE e.event_key = keys[i] AND e.session_uuid = sessions[i]))
        ON CONFLICT DO NOTHING
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
