"""Whether sessions are registered before their first turn, and ended after their last."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from claude_headspace.events.taxonomy import SESSION_ENDED, SESSION_REGISTERED
from claude_headspace.verify.logged import IS_LATE, LogSide
from claude_headspace.verify.report import Finding, Kind

# What a running watcher needs at most to see to a silent session.
GRACE_SECONDS = 120.0

# Two statements of a watcher, of which one may be seen and the other not yet, are a minute apart.
_TOLD = f"""
CREATE TEMPORARY TABLE verify_told AS
WITH told AS (
    SELECT session_uuid,
        min(id) FILTER (WHERE event_type = 'session_registered') AS registered,
        bool_or({IS_LATE}) FILTER (WHERE event_type = 'session_registered') AS late,
        count(*) FILTER (WHERE event_type = 'turn_detected') AS turns,
        min(id) FILTER (WHERE event_type = 'turn_detected' AND NOT {IS_LATE}) AS first,
        max(timestamp) FILTER (WHERE event_type = 'session_ended') AS ended,
        max(recorded_at) AS recorded,
        max(timestamp) FILTER (WHERE event_type = 'turn_detected'
            AND timestamp <= recorded_at AND NOT annotations ? 'copy_of'
            AND recorded_at < clock_timestamp() - interval '1 minute') AS spoke
    FROM events
    WHERE retracted_at IS NULL AND (%s::uuid IS NULL OR session_uuid = %s::uuid)
        AND event_type IN ('session_registered', 'turn_detected', 'session_ended')
    GROUP BY session_uuid)
SELECT a.session_uuid, a.end_reason, CASE
        WHEN t.registered IS NULL AND (a.announced OR t.turns > 0)
            THEN 'its session_registered is missing'
        WHEN t.registered > t.first AND NOT t.late
            THEN 'its session_registered stands after its first turn'
    END AS registration, CASE
        WHEN a.ended_at < t.spoke THEN 'it is noted as ended before its last turn'
        WHEN a.ended_at IS NOT NULL AND (t.ended IS NULL OR t.ended < t.spoke)
            THEN 'it has ended, and its session_ended is missing'
        WHEN a.ended_at IS NULL AND a.last_seen_at < clock_timestamp() - %s * interval '1 second'
            AND t.recorded < clock_timestamp() - %s * interval '1 second'
            THEN 'it is silent, and nothing says that it has ended'
    END AS ending
FROM agents a JOIN projects p ON p.id = a.project_id
LEFT JOIN told t USING (session_uuid)
WHERE p.machine = %s AND (%s::uuid IS NULL OR a.session_uuid = %s::uuid)
"""  # noqa: S608
_PAGE = """
SELECT session_uuid::text, registration, ending FROM verify_told
WHERE (registration IS NOT NULL OR ending IS NOT NULL) AND session_uuid > %s
ORDER BY session_uuid LIMIT %s
"""
_MISSING = """
SELECT session_uuid::text, end_reason, registration LIKE '%%is missing',
    ending LIKE '%%is missing'
FROM verify_told
WHERE (registration LIKE '%%is missing' OR ending LIKE '%%is missing') AND session_uuid > %s
ORDER BY session_uuid LIMIT %s
"""
_FIRST = str(UUID(int=0))


def wrong_sessions(log: LogSide, silent_seconds: float | None) -> Iterator[Finding]:
    """Sessions whose beginning or end the log tells wrong.

    `silent_seconds`: after so long without a line a session should have ended; None where nobody
    is there to end it.
    """
    silent = 1e10 if silent_seconds is None else silent_seconds + GRACE_SECONDS
    values = (log.only, log.only, silent, GRACE_SECONDS, log.machine, log.only, log.only)
    log.database.execute(_TOLD, values)
    kinds: tuple[Kind, Kind] = ("registration", "ending")
    for session, *problems in log.pages(_PAGE, start=_FIRST):
        for kind, why in zip(kinds, problems, strict=True):
            if why is not None:
                yield Finding(kind, why, session=UUID(session))


def missing_events(log: LogSide) -> Iterator[tuple[str, UUID, str]]:
    """The events of sessions that are missing: type, session, reason of an end."""
    for session, reason, registration, ending in log.pages(_MISSING, start=_FIRST):
        if registration:
            yield SESSION_REGISTERED, UUID(session), ""
        if ending:
            yield SESSION_ENDED, UUID(session), reason
