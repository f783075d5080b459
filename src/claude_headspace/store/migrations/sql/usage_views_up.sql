-- Views of tool calls and model calls; {projects} has projects and their hosts.
CREATE VIEW model_usage AS
    SELECT t.*, (t.started_at)::date AS day, p.host, p.path AS project, a.project_id
    FROM model_calls t LEFT JOIN agents a ON a.session_uuid = t.session_uuid
    LEFT JOIN {projects} p ON p.id = a.project_id;

-- A call that a fork repeats counts once, unless only the fork has it.
CREATE VIEW tool_usage AS
    SELECT t.*, (t.started_at)::date AS day, p.host, p.path AS project, a.project_id,
        extract(epoch FROM t.ended_at - t.started_at)::float8 AS seconds
    FROM tool_calls t LEFT JOIN agents a ON a.session_uuid = t.session_uuid
    LEFT JOIN {projects} p ON p.id = a.project_id
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
