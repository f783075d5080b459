"""Conclusions after all files were read: missing turns, and events that nothing explains.

Every statement adds rows to `verify_findings` or counts; they read the tables of `logged`.
"""

from __future__ import annotations

from uuid import UUID

from claude_headspace.events.event_types import SESSION_ENDED, SESSION_REGISTERED
from claude_headspace.verify.findings import PLACES_TOLD, Finding, Report
from claude_headspace.verify.logged import LogSide

# The longest time that a running watcher needs to end a silent session.
GRACE_SECONDS = 120.0
_IS_LATE = "annotations ?| ARRAY['repaired', 'rules']"

_PREPARE = """
CREATE TEMPORARY TABLE verify_findings (
    kind text, why text, path text, line int, source_offset bigint, session_uuid uuid,
    line_uuid text, event_id bigint, number bigint);
CREATE TEMPORARY TABLE verify_seen AS
    SELECT event_id, bool_or(state <> 'elsewhere') AS here FROM verify_lines
    WHERE event_id IS NOT NULL GROUP BY event_id;
CREATE INDEX ON verify_seen (event_id); ANALYZE verify_seen; ANALYZE verify_files
"""
# A turn in several places is missing once.
_MISSING = """
INSERT INTO verify_findings
SELECT DISTINCT ON (event_key, session_uuid) 'missing', 'read, but not in the log', c.path, line,
    source_offset, session_uuid, line_uuid, NULL::bigint, number
FROM verify_lines l JOIN checkpoints c ON c.id = l.source_id WHERE l.state = 'missing'
ORDER BY event_key, session_uuid, number
"""
_ORDER = """
INSERT INTO verify_findings
SELECT 'order', format('event %s is of an earlier line', before), c.path, line, source_offset,
    session_uuid, line_uuid, event_id, number
FROM (SELECT *, lag(event_id) OVER (PARTITION BY source_id, session_uuid ORDER BY number) AS before
    FROM verify_lines WHERE in_order) l JOIN checkpoints c ON c.id = l.source_id
WHERE event_id < before
"""
# Turns of this machine's files that were found nowhere, or not at the place that they name.
# `in_file`: the file exists, and is long enough to have the event's place. `judged`: it was read by
# the current rules, which do not reject what is there. What an event is (an empty field: whatever):
#
#   in_file  judged  replaced  found  doubled
#   no                                         of a file that is gone, or has become shorter
#   yes      no                                perhaps explained by older rules or a dead letter
#   yes      yes               no     yes      doubled
#   yes      yes     yes                       of an earlier content of its file
#   yes      yes     no        yes             misplaced
#   yes      yes     no        no     no       invented
_ODD = """
CREATE TEMPORARY TABLE verify_odd AS
SELECT e.id AS event_id, e.session_uuid, e.source_id, e.source_offset, s.path,
    v.event_id IS NOT NULL AS found,
    f.source_id IS NOT NULL AND e.source_offset < f.size AS in_file,
    coalesce(f.judged, false) AND NOT EXISTS (
        SELECT FROM verify_rejected r
        WHERE r.source_id = e.source_id AND r.source_offset = e.source_offset) AS judged,
    s.generation > 1 AND v.event_id IS NULL AS replaced, false AS doubled
FROM events e JOIN checkpoints s ON s.id = e.source_id
LEFT JOIN verify_files f ON f.source_id = e.source_id
LEFT JOIN verify_seen v ON v.event_id = e.id
WHERE s.machine = %s AND e.event_type = 'turn_detected' AND e.id <= %s AND e.retracted_at IS NULL
    AND (%s::uuid IS NULL OR e.session_uuid = %s::uuid)
    AND (v.event_id IS NULL OR (
        NOT v.here AND f.judged AND e.source_offset < f.size))
"""
# A file is read forwards. A later event from the same or an earlier place in it shows that the file
# was rewritten, and that the event is from its earlier content. So does a later generation, for an
# event that no line explains.
_REPLACED = f"""
WITH later AS (
    SELECT e.id, min(e.source_offset) FILTER (WHERE v.here AND NOT {_IS_LATE}) OVER (
        PARTITION BY e.source_id ORDER BY e.id DESC ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW
    ) AS source_offset
    FROM events e LEFT JOIN verify_seen v ON v.event_id = e.id
    WHERE e.source_id IN (SELECT source_id FROM verify_odd WHERE in_file AND judged))
UPDATE verify_odd o SET replaced = true FROM later l
WHERE l.id = o.event_id AND l.source_offset <= o.source_offset
"""  # noqa: S608
_DOUBLED = """
UPDATE verify_odd o SET doubled = true
FROM events mine, events e JOIN verify_seen v ON v.event_id = e.id AND v.here
WHERE mine.id = o.event_id AND NOT o.found AND e.source_id = o.source_id
    AND e.source_offset = o.source_offset AND e.payload = mine.payload
"""
_UNEXPLAINED = """
INSERT INTO verify_findings
SELECT CASE WHEN found THEN 'misplaced' WHEN doubled THEN 'doubled' ELSE 'invented' END,
    CASE WHEN found THEN 'the event names this place, but its line is elsewhere'
        WHEN doubled THEN 'another event is of the same line'
        ELSE 'no line has the content of this event' END,
    path, NULL::int, source_offset, session_uuid, NULL::text, event_id, event_id
FROM verify_odd WHERE in_file AND judged AND (doubled OR NOT replaced)
"""
# What `lost_events` finds again: events that are written anew.
_NOT_REGISTERED = "its session_registered is missing"
_NOT_ENDED = "it has ended, but its session_ended is missing"
# One minute, in case only one of two statements of a watcher is visible yet.
_SESSIONS = f"""
CREATE TEMPORARY TABLE verify_sessions AS
WITH told AS (
    SELECT session_uuid,
        min(id) FILTER (WHERE event_type = 'session_registered') AS registered,
        bool_or({_IS_LATE}) FILTER (WHERE event_type = 'session_registered') AS late,
        count(*) FILTER (WHERE event_type = 'turn_detected') AS turns,
        min(id) FILTER (WHERE event_type = 'turn_detected' AND NOT {_IS_LATE}) AS first,
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
            THEN '{_NOT_REGISTERED}'
        WHEN t.registered > t.first AND NOT t.late
            THEN 'its session_registered comes after its first turn'
    END AS registration, CASE
        WHEN a.ended_at < t.spoke THEN 'it is marked as ended before its last turn'
        WHEN a.ended_at IS NOT NULL AND (t.ended IS NULL OR t.ended < t.spoke)
            THEN '{_NOT_ENDED}'
        WHEN a.ended_at IS NULL AND a.last_seen_at < clock_timestamp() - %s * interval '1 second'
            AND t.recorded < clock_timestamp() - %s * interval '1 second'
            THEN 'it is silent, but not marked as ended'
    END AS ending
FROM agents a JOIN projects p ON p.id = a.project_id LEFT JOIN told t USING (session_uuid)
WHERE p.machine = %s AND (%s::uuid IS NULL OR a.session_uuid = %s::uuid);
INSERT INTO verify_findings (kind, why, session_uuid)
SELECT 'registration', registration, session_uuid FROM verify_sessions
    WHERE registration IS NOT NULL
UNION ALL SELECT 'ending', ending, session_uuid FROM verify_sessions WHERE ending IS NOT NULL
"""  # noqa: S608
_FINDINGS = """
SELECT kind, why, path, line, source_offset, session_uuid::text, line_uuid, event_id, total
FROM (SELECT *, row_number() OVER (PARTITION BY kind ORDER BY number, session_uuid) AS place,
    count(*) OVER (PARTITION BY kind) AS total FROM verify_findings) f
WHERE place <= %s ORDER BY kind, place
"""
_FOUND = """
SELECT session_uuid::text, count(DISTINCT event_id),
    count(*) - count(DISTINCT event_id) - count(DISTINCT event_key) FILTER (WHERE event_id IS NULL),
    count(DISTINCT event_key) FILTER (WHERE event_id IS NULL)
FROM verify_lines WHERE state <> 'other' GROUP BY session_uuid
"""
_NOT_FOUND = """
SELECT session_uuid::text, count(*) FILTER (WHERE NOT in_file),
    count(*) FILTER (WHERE in_file AND (replaced OR NOT judged)),
    count(*) FILTER (WHERE in_file AND judged AND NOT replaced)
FROM verify_odd WHERE NOT found GROUP BY session_uuid
"""
_LOST_EVENTS = f"""
SELECT '{SESSION_REGISTERED}', session_uuid::text, end_reason FROM verify_sessions
    WHERE registration = '{_NOT_REGISTERED}'
UNION ALL SELECT '{SESSION_ENDED}', session_uuid::text, end_reason FROM verify_sessions
    WHERE ending = '{_NOT_ENDED}'
"""  # noqa: S608


def conclude(log: LogSide, report: Report, silent_seconds: float | None) -> None:
    """After all files were read: count, and report findings that need all of them.

    `silent_seconds`: a session should have ended after this time without a line; None if no watcher
    could end it.
    """
    run = log.database.execute
    run(f"{_PREPARE}; {_MISSING}; {_ORDER}")
    run(_ODD, (log.machine, log.ceiling, log.only, log.only))
    if run("SELECT EXISTS (SELECT FROM verify_odd WHERE in_file AND judged)")[0][0]:
        run(f"ANALYZE verify_odd; {_REPLACED}; {_DOUBLED}; {_UNEXPLAINED}")
    silent = 1e10 if silent_seconds is None else silent_seconds + GRACE_SECONDS
    of_sessions = (log.only, log.only, silent, GRACE_SECONDS, log.machine, log.only, log.only)
    run(_SESSIONS, of_sessions)
    _count(log, report)
    for kind, why, path, line, offset, session, line_uuid, event, total in run(
        _FINDINGS, (PLACES_TOLD,)
    ):
        of = UUID(session)
        report.tell_first(Finding(kind, why, path, line, offset, of, line_uuid, event), total)


def _count(log: LogSide, report: Report) -> None:
    for session, *counts in log.database.execute(_FOUND):
        tally = report.sessions[UUID(session)]
        tally.in_log, tally.repeated, tally.missing = counts
    for session, *counts in log.database.execute(_NOT_FOUND):
        tally = report.sessions[UUID(session)]
        tally.file_gone, tally.file_replaced, tally.invented = counts


def lost_events(log: LogSide) -> list[tuple[str, UUID, str | None]]:
    """The missing events of sessions, after `conclude`: type, session, reason of an end."""
    found = log.database.execute(_LOST_EVENTS)
    return [(event_type, UUID(session), reason) for event_type, session, reason in found]
