CREATE TABLE tool_calls (
    session_uuid UUID NOT NULL,
    tool_use_id TEXT NOT NULL,
    tool TEXT NOT NULL,
    subagent TEXT,
    input TEXT NOT NULL,
    input_bytes INTEGER NOT NULL,
    input_whole BOOLEAN NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    copy_of UUID,
    source_id INTEGER NOT NULL,
    generation INTEGER DEFAULT '1' NOT NULL,
    call_offset BIGINT NOT NULL,
    call_length INTEGER NOT NULL,
    ended_at TIMESTAMPTZ,
    outcome TEXT,
    result_bytes INTEGER,
    result_source_id INTEGER,
    result_generation INTEGER,
    result_offset BIGINT,
    result_length INTEGER,
    CONSTRAINT pk_tool_calls PRIMARY KEY (session_uuid, tool_use_id),
    CONSTRAINT ck_tool_calls_outcome CHECK (outcome IN ('ok', 'error', 'denied', 'interrupted'))
);

CREATE TABLE model_calls (
    message_id TEXT NOT NULL,
    session_uuid UUID NOT NULL,
    subagent TEXT,
    model TEXT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cache_write_1h_tokens BIGINT NOT NULL,
    service_tier TEXT,
    stop_reason TEXT,
    started_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT pk_model_calls PRIMARY KEY (message_id)
);
CREATE INDEX ix_model_calls_session_uuid ON model_calls (session_uuid);

CREATE VIEW model_usage AS
    SELECT t.*, (t.started_at)::date AS day, p.host, p.path AS project, a.project_id
    FROM model_calls t LEFT JOIN agents a ON a.session_uuid = t.session_uuid
    LEFT JOIN projects p ON p.id = a.project_id;

-- A call that is repeated by a fork counts once, unless nothing else tells of it.
CREATE VIEW tool_usage AS
    SELECT t.*, (t.started_at)::date AS day, p.host, p.path AS project, a.project_id,
        extract(epoch FROM t.ended_at - t.started_at)::float8 AS seconds
    FROM tool_calls t LEFT JOIN agents a ON a.session_uuid = t.session_uuid
    LEFT JOIN projects p ON p.id = a.project_id
    WHERE t.copy_of IS NULL OR NOT EXISTS (SELECT FROM tool_calls o
        WHERE o.session_uuid = t.copy_of AND o.tool_use_id = t.tool_use_id);
CREATE VIEW usage_by_day AS SELECT day, model, count(*) AS replies,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens,
    sum(cache_read_tokens)::bigint AS cache_read_tokens,
    sum(cache_write_tokens)::bigint AS cache_write_tokens,
    sum(cache_write_1h_tokens)::bigint AS cache_write_1h_tokens
    FROM model_usage GROUP BY day, model;

CREATE VIEW usage_by_project AS SELECT host, project, model, count(*) AS replies,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens,
    sum(cache_read_tokens)::bigint AS cache_read_tokens,
    sum(cache_write_tokens)::bigint AS cache_write_tokens,
    sum(cache_write_1h_tokens)::bigint AS cache_write_1h_tokens
    FROM model_usage GROUP BY host, project, model;

CREATE VIEW usage_by_session AS SELECT session_uuid, host, project, model, count(*) AS replies,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens,
    sum(cache_read_tokens)::bigint AS cache_read_tokens,
    sum(cache_write_tokens)::bigint AS cache_write_tokens,
    sum(cache_write_1h_tokens)::bigint AS cache_write_1h_tokens
    FROM model_usage GROUP BY session_uuid, host, project, model;

CREATE VIEW usage_by_model AS SELECT model, count(*) AS replies,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens,
    sum(cache_read_tokens)::bigint AS cache_read_tokens,
    sum(cache_write_tokens)::bigint AS cache_write_tokens,
    sum(cache_write_1h_tokens)::bigint AS cache_write_1h_tokens
    FROM model_usage GROUP BY model;

CREATE VIEW tools_by_day AS SELECT day, tool,
    count(*) AS calls, count(*) FILTER (WHERE outcome = 'ok') AS ok,
    count(*) FILTER (WHERE outcome = 'error') AS errors,
    count(*) FILTER (WHERE outcome = 'denied') AS denied,
    count(*) FILTER (WHERE outcome = 'interrupted') AS interrupted,
    count(*) FILTER (WHERE outcome IS NULL) AS unanswered,
    round(sum(seconds)::numeric, 3)::float8 AS seconds,
    sum(result_bytes)::bigint AS result_bytes
    FROM tool_usage GROUP BY day, tool;

CREATE VIEW tools_by_project AS SELECT host, project, tool,
    count(*) AS calls, count(*) FILTER (WHERE outcome = 'ok') AS ok,
    count(*) FILTER (WHERE outcome = 'error') AS errors,
    count(*) FILTER (WHERE outcome = 'denied') AS denied,
    count(*) FILTER (WHERE outcome = 'interrupted') AS interrupted,
    count(*) FILTER (WHERE outcome IS NULL) AS unanswered,
    round(sum(seconds)::numeric, 3)::float8 AS seconds,
    sum(result_bytes)::bigint AS result_bytes
    FROM tool_usage GROUP BY host, project, tool;

CREATE VIEW tools_by_session AS SELECT session_uuid, host, project, tool,
    count(*) AS calls, count(*) FILTER (WHERE outcome = 'ok') AS ok,
    count(*) FILTER (WHERE outcome = 'error') AS errors,
    count(*) FILTER (WHERE outcome = 'denied') AS denied,
    count(*) FILTER (WHERE outcome = 'interrupted') AS interrupted,
    count(*) FILTER (WHERE outcome IS NULL) AS unanswered,
    round(sum(seconds)::numeric, 3)::float8 AS seconds,
    sum(result_bytes)::bigint AS result_bytes
    FROM tool_usage GROUP BY session_uuid, host, project, tool;

CREATE VIEW tools_by_tool AS SELECT tool,
    count(*) AS calls, count(*) FILTER (WHERE outcome = 'ok') AS ok,
    count(*) FILTER (WHERE outcome = 'error') AS errors,
    count(*) FILTER (WHERE outcome = 'denied') AS denied,
    count(*) FILTER (WHERE outcome = 'interrupted') AS interrupted,
    count(*) FILTER (WHERE outcome IS NULL) AS unanswered,
    round(sum(seconds)::numeric, 3)::float8 AS seconds,
    sum(result_bytes)::bigint AS result_bytes
    FROM tool_usage GROUP BY tool;
