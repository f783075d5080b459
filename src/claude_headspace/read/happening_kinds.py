"""The kinds of happenings and their sources: events and tool calls."""

from __future__ import annotations

from claude_headspace.read.events import ListedEvent

KINDS = (
    "prompt", "answer", "tool call", "tool result", "tool failed", "declined", "interrupted",
    "question", "plan", "hook", "session started", "session ended", "other",
)  # fmt: skip
CALL_KINDS = frozenset(KINDS[2:9])
ACTORS = ("you", "Claude", "subagent", "system")
_SHOWN = 400

EVENT_ROWS = f"""
SELECT 'e' || lpad(e.id::text, 19, '0') AS key, e.timestamp AS at,
 CASE WHEN e.event_type = 'turn_detected' THEN CASE WHEN e.payload->>'actor' = 'user'
  THEN 'prompt' ELSE 'answer' END WHEN e.event_type = 'hook_received' THEN 'hook'
  WHEN e.event_type = 'session_registered' THEN 'session started'
  WHEN e.event_type = 'session_ended' THEN 'session ended' ELSE 'other' END AS kind,
 CASE WHEN e.event_type <> 'turn_detected' THEN 'system'
  WHEN e.payload->>'actor' = 'user' THEN 'you'
  WHEN e.payload->>'subagent_id' IS NOT NULL THEN 'subagent' ELSE 'Claude' END AS actor,
 CASE WHEN e.event_type = 'turn_detected' THEN left(e.payload->>'text', {_SHOWN})
  WHEN e.event_type = 'hook_received' THEN concat_ws(' ', e.payload->>'hook_type',
   e.payload->>'tool_name', e.payload->>'notification_type', e.payload->>'message',
   e.payload->>'source', e.payload->>'reason')
  WHEN e.event_type = 'session_ended' THEN e.payload->>'reason'
  WHEN e.event_type = 'session_registered' THEN e.payload->>'working_directory'
  ELSE concat_ws(' ', e.event_type, left(e.payload::text, {_SHOWN})) END AS text,
 e.agent_id, e.session_uuid, e.id AS event_id, NULL::text AS tool, NULL::text AS call_id,
 NULL::float8 AS seconds, NULL::int AS size
FROM events e WHERE e.retracted_at IS NULL AND e.timestamp >= %(lo)s AND e.timestamp < %(hi)s
 AND (%(projects)s::int[] IS NULL OR e.project_id = ANY (%(projects)s))
 AND (%(session)s::uuid IS NULL OR e.session_uuid = %(session)s)
 AND (%(agent)s::int IS NULL OR e.agent_id = %(agent)s)
"""
_ROWS = """
SELECT '{letter}' || c.session_uuid || c.tool_use_id AS key, c.{column} AS at, {kind} AS kind,
 {actor} AS actor, c.input AS text, a.id AS agent_id, c.session_uuid, NULL::bigint AS event_id,
 c.tool, c.tool_use_id AS call_id, extract(epoch FROM c.ended_at - c.started_at)::float8 AS seconds,
 c.result_bytes AS size
FROM tool_calls c JOIN agents a ON a.session_uuid = c.session_uuid
WHERE c.{column} >= %(lo)s AND c.{column} < %(hi)s
 AND (%(projects)s::int[] IS NULL OR a.project_id = ANY (%(projects)s))
 AND (%(session)s::uuid IS NULL OR c.session_uuid = %(session)s)
"""
_BY_CLAUDE = "CASE WHEN c.subagent IS NULL THEN 'Claude' ELSE 'subagent' END"
CALL_ROWS = _ROWS.format(
    letter="c", column="started_at", actor=_BY_CLAUDE,
    kind="CASE c.tool WHEN 'AskUserQuestion' THEN 'question' WHEN 'ExitPlanMode' THEN 'plan'"
    " ELSE 'tool call' END",
)  # fmt: skip
RESULT_ROWS = _ROWS.format(
    letter="r", column="ended_at",
    actor=f"CASE WHEN c.outcome IN ('denied', 'interrupted') THEN 'you' ELSE {_BY_CLAUDE} END",
    kind="CASE c.outcome WHEN 'error' THEN 'tool failed' WHEN 'denied' THEN 'declined'"
    " WHEN 'interrupted' THEN 'interrupted' ELSE 'tool result' END",
)  # fmt: skip
_KINDS = {
    "hook_received": "hook", "session_registered": "session started",
    "session_ended": "session ended",
}  # fmt: skip


def kind_and_actor(event: ListedEvent) -> tuple[str, str]:
    """The kind of an event here, and its actor."""
    if event.type != "turn_detected":
        return _KINDS.get(event.type, "other"), "system"
    if event.payload.get("actor") == "user":
        return "prompt", "you"
    return "answer", "subagent" if event.payload.get("subagent_id") else "Claude"
