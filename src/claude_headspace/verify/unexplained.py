"""Events that no line explains where they say they are from: invented, or of former contents."""

from __future__ import annotations

from uuid import UUID

from claude_headspace.verify.logged import IS_LATE, LogSide
from claude_headspace.verify.report import Finding, Kind, Report

# Turns of this machine's files that were found nowhere, or not where they say, which is there.
# `judged`: the file stands and has been read by today's rules as far as the event's place.
_ODD = """
CREATE TEMPORARY TABLE verify_odd AS
SELECT e.id AS event_id, e.session_uuid, e.source_id, e.source_offset, s.path,
    v.event_id IS NOT NULL AS found, f.source_id IS NOT NULL AND e.source_offset < f.size AS stands,
    coalesce(f.judged, false) AND NOT EXISTS (
        SELECT FROM verify_rejected r
        WHERE r.source_id = e.source_id AND r.source_offset = e.source_offset) AS judged,
    false AS replaced, false AS doubled
FROM events e JOIN checkpoints s ON s.id = e.source_id
LEFT JOIN verify_files f ON f.source_id = e.source_id
LEFT JOIN verify_seen v ON v.event_id = e.id
WHERE s.machine = %s AND e.event_type = 'turn_detected' AND e.id <= %s AND e.retracted_at IS NULL
    AND (%s::uuid IS NULL OR e.session_uuid = %s::uuid)
    AND (v.event_id IS NULL OR (
        NOT v.here AND f.judged AND e.source_offset < f.size))
"""
# A file is read forwards. What was written later from the same place of it or from before it
# shows that the file was read anew: the event is of its former contents.
_REPLACED = f"""
WITH later AS (
    SELECT e.id, min(e.source_offset) FILTER (WHERE v.here AND NOT {IS_LATE}) OVER (
        PARTITION BY e.source_id ORDER BY e.id DESC ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW
    ) AS source_offset
    FROM events e LEFT JOIN verify_seen v ON v.event_id = e.id
    WHERE e.source_id IN (SELECT source_id FROM verify_odd WHERE stands AND judged))
UPDATE verify_odd o SET replaced = true FROM later l
WHERE l.id = o.event_id AND l.source_offset <= o.source_offset
"""  # noqa: S608
_DOUBLED = """
UPDATE verify_odd o SET doubled = true
FROM events mine, events e JOIN verify_seen v ON v.event_id = e.id AND v.here
WHERE mine.id = o.event_id AND NOT o.found AND e.source_id = o.source_id
    AND e.source_offset = o.source_offset AND e.payload = mine.payload
"""
_COUNT = """
SELECT session_uuid::text, count(*) FILTER (WHERE NOT stands),
    count(*) FILTER (WHERE stands AND (replaced OR NOT judged)),
    count(*) FILTER (WHERE stands AND judged AND NOT replaced)
FROM verify_odd WHERE NOT found GROUP BY session_uuid
"""
_FAULTS = """
SELECT event_id, session_uuid::text, source_offset, path, found, doubled FROM verify_odd
WHERE stands AND judged AND NOT replaced AND event_id > %s ORDER BY event_id LIMIT %s
"""


def tell_unexplained(log: LogSide, report: Report) -> None:
    """All files were read: tell of the events that they do not explain, and count them."""
    log.database.execute("ANALYZE verify_seen; ANALYZE verify_files")
    log.database.execute(_ODD, (log.machine, log.ceiling, log.only, log.only))
    any_odd = "SELECT EXISTS (SELECT FROM verify_odd WHERE stands AND judged)"
    if log.database.execute(any_odd)[0][0]:
        log.database.execute(f"ANALYZE verify_odd; {_REPLACED}; {_DOUBLED}")
    for session, *counts in log.database.execute(_COUNT):
        tally = report.sessions[UUID(session)]
        tally.file_gone, tally.file_replaced, tally.invented = counts
    for event_id, session, offset, path, found, doubled in log.pages(_FAULTS, start=-(2**63)):
        kind, why = _judged(found, doubled)
        report.tell(Finding(kind, why, path, None, offset, UUID(session), None, event_id))


def _judged(found: bool, doubled: bool) -> tuple[Kind, str]:
    if found:
        return "misplaced", "the event names this place, but its line is elsewhere"
    if doubled:
        return "doubled", "another event is of the same line"
    return "invented", "no line says what this event says"
