"""The statements behind the activity of a stretch of time."""

from __future__ import annotations

SAID = (
    "e.event_type = 'turn_detected' AND e.retracted_at IS NULL AND NOT e.annotations ? 'copy_of'"
    " AND e.timestamp >= %(start)s AND e.timestamp < %(end)s"
)
# Only the columns that count are sorted (OFFSET 0), and only the sessions that occur are looked up.
_PROJECT = """ JOIN LATERAL (SELECT a.project_id FROM agents a
  WHERE a.session_uuid = s.session_uuid OFFSET 0) a ON true"""
COUNTED = f"""
SELECT part, agents, counts, p.path, model, turns, prompts, calls, failed, tokens, cached, replies
FROM (
 SELECT part, array_agg(agent) FILTER (WHERE agent IS NOT NULL) AS agents,
  array_agg(turns) FILTER (WHERE agent IS NOT NULL) AS counts, project, NULL AS model,
  sum(turns) AS turns, sum(prompts) AS prompts, 0 AS calls, 0 AS failed, 0 AS tokens, 0 AS cached,
  0 AS replies FROM (SELECT part, agent, project, count(*) AS turns,
   count(*) FILTER (WHERE prompt) AS prompts FROM (
    SELECT width_bucket(e.timestamp, %(edges)s::timestamptz[]) AS part, e.agent_id AS agent,
     e.project_id AS project, e.payload->>'actor' = 'user' AS prompt
    FROM events e WHERE {SAID} OFFSET 0) turn GROUP BY 1, 2, 3) said GROUP BY part, project
 UNION ALL SELECT part, NULL, NULL, a.project_id, NULL, 0, 0, sum(calls), sum(failed), 0, 0, 0
  FROM (SELECT width_bucket(c.started_at, %(edges)s::timestamptz[]) AS part, c.session_uuid,
   count(*) AS calls, count(*) FILTER (WHERE c.outcome = 'error') AS failed FROM tool_calls c
   WHERE c.copy_of IS NULL AND c.started_at >= %(start)s AND c.started_at < %(end)s
   GROUP BY 1, 2) s{_PROJECT} GROUP BY 1, 4
 UNION ALL SELECT part, NULL, NULL, a.project_id, model, 0, 0, 0, 0, sum(tokens), sum(cached),
  sum(replies)::bigint
  FROM (SELECT width_bucket(m.started_at, %(edges)s::timestamptz[]) AS part, m.session_uuid,
   m.model, coalesce(sum(m.output_tokens), 0) AS tokens,
   coalesce(sum(m.cache_read_tokens), 0) AS cached, count(*) AS replies FROM model_calls m
   WHERE m.started_at >= %(start)s AND m.started_at < %(end)s GROUP BY 1, 2, 3) s{_PROJECT}
  GROUP BY 1, 4, 5
) done LEFT JOIN projects p ON p.id = project
"""
MOMENTS = f"""
SELECT e.agent_id, width_bucket(e.timestamp, %(edges)s::timestamptz[]),
 bool_or(e.payload->>'actor' = 'user') FROM events e
 WHERE e.agent_id = ANY (%(agents)s) AND {SAID} GROUP BY 1, 2 ORDER BY 1, 2
"""
# Calls that begin in the same part of the time are one span; each question is one.
AT_WORK = """
SELECT a.id, min(c.started_at), max(coalesce(c.ended_at, CASE WHEN a.ended_at IS NULL
 AND c.tool = ANY (%(asking)s) THEN clock_timestamp() ELSE a.last_seen_at END)),
 c.tool = ANY (%(asking)s)
FROM tool_calls c JOIN agents a ON a.session_uuid = c.session_uuid
 WHERE a.id = ANY (%(agents)s) AND c.started_at < %(end)s
 AND coalesce(c.ended_at, a.last_seen_at) >= %(start)s AND c.subagent IS NULL
 GROUP BY 1, 4, width_bucket(c.started_at, %(edges)s::timestamptz[]),
 CASE WHEN c.tool = ANY (%(asking)s) THEN c.tool_use_id END
"""
