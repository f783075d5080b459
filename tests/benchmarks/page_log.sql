-- The sessions of the log, :copies times over: other sessions, at other times of two years, with
-- words of their own; the newest :archived copies with their archive. The first copies of the
-- longest session, :long of them, are one.
SET work_mem = '256MB';
SET session_replication_role = replica;
CREATE TEMP TABLE base AS SELECT *, row_number() OVER (ORDER BY id) AS n FROM agents;
CREATE TEMP TABLE longest AS SELECT agent_id AS id FROM events
 WHERE event_type = 'turn_detected' GROUP BY 1 ORDER BY count(*) DESC LIMIT 1;
CREATE TEMP TABLE made AS
 SELECT a.id AS base, a.session_uuid AS base_uuid, k,
  md5(a.session_uuid::text || place.number)::uuid AS uuid,
  place.number * (SELECT max(id) + 1 FROM base) + a.id AS agent,
  CASE WHEN joined THEN now() - interval '30 minutes'
    - (:long - k) * (a.last_seen_at - a.started_at + interval '1 minute')
   ELSE now() - interval '1 minute'
    - (k - 1 + (hashint4(a.id * 7919 + k) & 1023) / 1024.0) * interval '1 hour' * 17520 / :copies
   END - a.last_seen_at AS shift, joined
 FROM base a CROSS JOIN generate_series(1, :copies) k
 CROSS JOIN LATERAL (SELECT a.id = (SELECT id FROM longest) AND k <= :long AS joined) j
 CROSS JOIN LATERAL (SELECT CASE WHEN joined THEN 1 ELSE k END AS number) place;
CREATE INDEX ON made (base);
CREATE INDEX ON made (base_uuid);
ANALYZE made;
INSERT INTO agents (id, session_uuid, project_id, working_directory, announced, started_at,
  last_seen_at, ended_at, end_reason, titles)
 SELECT m.agent, m.uuid, a.project_id, a.working_directory, true,
  min(a.started_at + m.shift), max(a.last_seen_at + m.shift),
  CASE WHEN min(m.k) > 1 THEN max(a.last_seen_at + m.shift) END,
  CASE WHEN min(m.k) > 1 THEN 'timeout' END, a.titles
 FROM made m JOIN base a ON a.id = m.base GROUP BY 1, 2, 3, 4, a.titles;
INSERT INTO events (timestamp, event_type, payload, project_id, agent_id, session_uuid, event_key,
  source_id, source_offset, recorded_at)
 SELECT e.timestamp + m.shift, e.event_type,
  CASE WHEN e.payload ? 'text' THEN (e.payload - 'parent_uuid') || jsonb_build_object('text',
   (e.payload ->> 'text') || ' only' || substr(md5(e.id || '-' || m.k), 1, 10)
   || ' rare' || (hashint4(e.id::int * 31 + m.k) & 65535)
   || ' some' || (hashint4(e.id::int * 17 + m.k) & 255)) ELSE e.payload END,
  e.project_id, m.agent, m.uuid, md5(e.event_key::text || m.k)::uuid,
  e.source_id + m.k * (SELECT max(id) + 1 FROM checkpoints), e.source_offset,
  e.timestamp + m.shift
 FROM events e JOIN made m ON m.base = e.agent_id ORDER BY e.timestamp + m.shift;
INSERT INTO tool_calls (session_uuid, tool_use_id, tool, subagent, input, input_bytes, input_whole,
  started_at, source_id, generation, call_offset, call_length, ended_at, outcome, result_bytes,
  result_source_id, result_generation, result_offset, result_length)
 SELECT m.uuid, 'toolu_' || md5(c.tool_use_id || m.k), c.tool, c.subagent, c.input, c.input_bytes,
  c.input_whole, c.started_at + m.shift, source, c.generation, c.call_offset, c.call_length,
  coalesce(c.ended_at, c.started_at + interval '3 seconds') + m.shift,
  coalesce(c.outcome, CASE WHEN c.call_offset % 20 = 0 THEN 'error' ELSE 'ok' END),
  coalesce(c.result_bytes, 100), source, c.generation, coalesce(c.result_offset, c.call_offset),
  coalesce(c.result_length, c.call_length)
 FROM tool_calls c JOIN made m ON m.base_uuid = c.session_uuid
 CROSS JOIN LATERAL (SELECT c.source_id + m.k * (SELECT max(id) + 1 FROM checkpoints) AS source) s
 ORDER BY c.started_at + m.shift;
INSERT INTO model_calls (message_id, session_uuid, subagent, model, input_tokens, output_tokens,
  cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, stop_reason, started_at, ended_at)
 SELECT 'msg_' || md5(r.message_id || m.k), m.uuid, r.subagent, r.model, r.input_tokens,
  r.output_tokens, r.cache_read_tokens, r.cache_write_tokens, r.cache_write_1h_tokens,
  r.stop_reason, r.started_at + m.shift, r.ended_at + m.shift
 FROM model_calls r JOIN made m ON m.base_uuid = r.session_uuid;
CREATE TEMP TABLE sources AS SELECT id, k, k * (SELECT max(id) + 1 FROM checkpoints) + id AS copy
 FROM checkpoints CROSS JOIN generate_series(1, :copies) k;
INSERT INTO checkpoints (id, machine, path, committed_offset, counts, sessions, rules)
 SELECT s.copy, c.machine, c.path || '-' || s.k, c.committed_offset, c.counts,
  ARRAY(SELECT m.uuid FROM made m WHERE m.base_uuid = ANY (c.sessions) AND m.k = s.k), c.rules
 FROM sources s JOIN checkpoints c ON c.id = s.id;
INSERT INTO archive_generations (source_id, generation, archived, stored)
 SELECT s.copy, g.generation, g.archived, g.stored FROM archive_generations g
 JOIN sources s ON s.id = g.source_id WHERE s.k <= :archived;
INSERT INTO archive_pieces (source_id, generation, start, length, digest, content)
 SELECT s.copy, p.generation, p.start, p.length, p.digest, p.content FROM archive_pieces p
 JOIN sources s ON s.id = p.source_id WHERE s.k <= :archived;
INSERT INTO search_parts (event_id, timestamp, part, begins, length, prompt, words)
 SELECT id, timestamp, 0, 0, length(payload ->> 'text'), payload ->> 'actor' = 'user', to_tsvector('simple',
  regexp_replace(lower(payload ->> 'text'), '[^[:alnum:]]+', ' ', 'g')) FROM events
 WHERE event_type = 'turn_detected' ORDER BY id ON CONFLICT DO NOTHING;
UPDATE search_cursor SET event_id = (SELECT max(id) FROM events);
SELECT setval('agents_id_seq', (SELECT max(id) FROM agents));
