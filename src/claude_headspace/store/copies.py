"""Turns that several sessions share: finding out which session copied them from which.

A session forked from another, or resumed into a new file, repeats the other's lines under its own
id. Newer lines say so; this module is for lines that do not. A copy continues with its own lines
right after the repeated ones, while the original has no lines of its own, or later ones (the user
came back to it). So of the sessions that share a turn, the original is the one whose first own
turn is the latest, or that has none.

A session whose turns are found to be shared is due. It is examined once, when nothing else is to
be done, and again if it had no turn of its own then and later gets one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from uuid import UUID

from claude_headspace.store.connection import Database

DUE, OPEN = "due", "open"
# The result for a session: its original, if it is a copy, and whether that may change.
Learnt = Callable[[UUID, UUID | None, str | None], None]

_FIRST_DUE = "SELECT session_uuid::text FROM agents WHERE copies = 'due' ORDER BY id LIMIT 1"
_FAMILY = """
    SELECT DISTINCT other.session_uuid::text
    FROM agents a
    JOIN events mine ON mine.agent_id = a.id AND mine.event_type = 'turn_detected'
    JOIN events other USING (event_key)
    JOIN agents o ON o.session_uuid = other.session_uuid AND NOT o.fork_told
    WHERE a.session_uuid = %s AND mine.retracted_at IS NULL AND other.retracted_at IS NULL
"""
# The first turn of each session that no other session has.
_OWN = """
    SELECT a.session_uuid::text, min(e.timestamp)
    FROM agents a JOIN events e ON e.agent_id = a.id AND e.event_type = 'turn_detected'
    WHERE a.session_uuid = ANY (%s::uuid[]) AND e.retracted_at IS NULL AND NOT EXISTS (
        SELECT FROM events o
        WHERE o.event_key = e.event_key AND o.session_uuid <> e.session_uuid)
    GROUP BY a.session_uuid
"""
# The family is ordered, original first; a shared turn is marked with the first session that has it.
_MARK = """
    WITH shared AS (
        SELECT e.id, e.annotations, nullif((
            SELECT f.session_uuid
            FROM events o JOIN unnest(%s::uuid[]) WITH ORDINALITY AS f (session_uuid, rank)
                ON f.session_uuid = o.session_uuid
            WHERE o.event_key = e.event_key ORDER BY f.rank LIMIT 1), a.session_uuid) AS original
        FROM agents a JOIN events e ON e.agent_id = a.id AND e.event_type = 'turn_detected'
        WHERE a.session_uuid = %s AND EXISTS (
            SELECT FROM events o
            WHERE o.event_key = e.event_key AND o.session_uuid <> e.session_uuid)
    ), changed AS (
        UPDATE events e SET annotations = CASE WHEN s.original IS NULL
            THEN s.annotations - 'copy_of'
            ELSE s.annotations || jsonb_build_object('copy_of', s.original) END
        FROM shared s
        WHERE e.id = s.id AND s.annotations ->> 'copy_of' IS DISTINCT FROM s.original::text
    )
    UPDATE agents SET copies = %s, forked_from = (SELECT original FROM shared ORDER BY id LIMIT 1)
    WHERE session_uuid = %s RETURNING forked_from::text
"""
# The work of copied lines belongs to the first session of the family that has it. All replies of a
# copy up to its last shared turn belong to the session with which it shares that turn.
_GIVE_BACK = """
    UPDATE tool_calls t SET copy_of = o.original
    FROM (SELECT c.tool_use_id, (
            SELECT o.session_uuid
            FROM tool_calls o JOIN unnest(%(before)s::uuid[]) WITH ORDINALITY AS f (uuid, rank)
                ON f.uuid = o.session_uuid
            WHERE o.tool_use_id = c.tool_use_id ORDER BY f.rank LIMIT 1) AS original
        FROM tool_calls c WHERE c.session_uuid = %(session)s) o
    WHERE t.session_uuid = %(session)s AND t.tool_use_id = o.tool_use_id
        AND t.copy_of IS DISTINCT FROM o.original;
    UPDATE model_calls m SET session_uuid = last.uuid
    FROM (SELECT f.uuid, e.timestamp
        FROM agents a JOIN events e ON e.agent_id = a.id AND e.event_type = 'turn_detected'
        JOIN events o ON o.event_key = e.event_key
        JOIN unnest(%(before)s::uuid[]) WITH ORDINALITY AS f (uuid, rank)
            ON f.uuid = o.session_uuid
        WHERE a.session_uuid = %(session)s
            AND e.retracted_at IS NULL AND o.retracted_at IS NULL
        ORDER BY e.timestamp DESC, f.rank LIMIT 1) last
    WHERE m.session_uuid = %(session)s AND m.started_at <= last.timestamp;
"""


class Copies:
    """Marks copied turns, for people; counts use the turns' keys and need no marks."""

    def __init__(self, database: Database, learnt: Learnt) -> None:
        self._database = database
        self._learnt = learnt
        # The next sessions to mark: the family, the place in it, and whether it has own turns.
        self._waiting: deque[tuple[Sequence[UUID], int, bool]] = deque()

    def clear(self) -> None:
        """Drop what is known; the database says again what is due."""
        self._waiting.clear()

    def step(self) -> bool:
        """Examine one session; False if none is due."""
        if not self._waiting:
            due = self._database.execute(_FIRST_DUE)
            if not due:
                return False
            self._waiting.extend(self._family_of(UUID(due[0][0])))
        self._mark(*self._waiting.popleft())
        return True

    def _family_of(self, session: UUID) -> Iterator[tuple[Sequence[UUID], int, bool]]:
        rows = self._database.execute(_FAMILY, (str(session),))
        members = {UUID(row[0]) for row in rows} | {session}
        own = {UUID(row[0]): row[1] for row in self._database.execute(_OWN, (_texts(members),))}
        without = sorted(members - own.keys(), key=lambda member: member.int)
        latest_first = sorted(own, key=lambda member: (own[member], member.int), reverse=True)
        family = [*without, *latest_first]
        # A copy of a copy returns its work to that copy, which then returns it to its original.
        return ((family, rank, family[rank] in own) for rank in reversed(range(len(family))))

    def _mark(self, family: Sequence[UUID], rank: int, own: bool) -> None:
        copies = None if own else OPEN
        names = _texts(family)
        before = {"before": names[:rank], "session": names[rank]}
        give_back = self._database.mogrify(_GIVE_BACK, before)
        mark = self._database.mogrify(_MARK, (names, names[rank], copies, names[rank]))
        rows = self._database.execute(give_back + mark)
        original = UUID(rows[0][0]) if rows and rows[0][0] else None
        self._learnt(family[rank], original, copies)


def _texts(uuids: Collection[UUID]) -> list[str]:
    return [str(uuid) for uuid in uuids]
