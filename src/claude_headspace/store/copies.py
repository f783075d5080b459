"""Turns that stand under several sessions: which session copied them from which.

A session forked from another, or resumed into a new file, repeats the other's lines under its
own id. Nothing in a line says so. What tells them apart is what each has of its own: a copy goes
on with lines of its own right after what it repeats, while the original has none, or later ones
(somebody came back to it). So of the sessions that share a turn, the one whose first turn of its
own is latest, or missing, is the original. That may change as more lines are read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from claude_headspace.store.connection import Database

_FAMILY = """
    SELECT DISTINCT other.session_uuid::text
    FROM events mine JOIN events other USING (event_key)
    WHERE mine.session_uuid = ANY (%s::uuid[]) AND mine.event_key = ANY (%s::uuid[])
"""
# For each session its first turn that no other session has.
_OWN = """
    SELECT a.session_uuid::text, min(e.timestamp)
    FROM agents a JOIN events e ON e.agent_id = a.id AND e.event_type = 'turn_detected'
    WHERE a.session_uuid = ANY (%s::uuid[]) AND NOT EXISTS (
        SELECT FROM events o
        WHERE o.event_key = e.event_key AND o.session_uuid <> e.session_uuid)
    GROUP BY a.session_uuid
"""
# `family` is ordered, the original first; every shared turn is marked with the first that has it.
_MARK = """
    WITH family AS (
        SELECT session_uuid, rank FROM unnest(%s::uuid[]) WITH ORDINALITY AS f (session_uuid, rank)
    ), shared AS (
        SELECT e.id, e.annotations, e.session_uuid,
            first_value(e.session_uuid) OVER (PARTITION BY e.event_key ORDER BY f.rank) AS original,
            count(*) OVER (PARTITION BY e.event_key) AS sessions
        FROM family f
        JOIN agents a USING (session_uuid)
        JOIN events e ON e.agent_id = a.id AND e.event_type = 'turn_detected'
    ), marked AS (
        SELECT id, CASE WHEN session_uuid = original THEN annotations - 'copy_of'
            ELSE annotations || jsonb_build_object('copy_of', original) END AS annotations
        FROM shared WHERE sessions > 1
    ), changed AS (
        UPDATE events e SET annotations = m.annotations FROM marked m
        WHERE e.id = m.id AND e.annotations <> m.annotations
    )
    UPDATE agents a SET forked_from = nullif(s.original, s.session_uuid)
    FROM (SELECT DISTINCT ON (session_uuid) session_uuid, original FROM shared
          WHERE sessions > 1 ORDER BY session_uuid, id) s
    WHERE a.session_uuid = s.session_uuid
        AND a.forked_from IS DISTINCT FROM nullif(s.original, s.session_uuid)
"""


class Copies:
    """Marks copied turns, for people; counting goes by the turn's key and needs no mark."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Sessions that share turns and have shown none of their own yet, with their family.
        self._undecided: dict[UUID, set[UUID]] = {}

    def concern(self, sessions: Collection[UUID]) -> bool:
        """Whether turns of their own in these sessions may change the marks."""
        return not self._undecided.keys().isdisjoint(sessions)

    def mark(self, sessions: Collection[UUID], shared_keys: Sequence[UUID]) -> None:
        """Mark what these sessions share; the keys are of turns of theirs just written."""
        rows = self._database.execute(_FAMILY, (_texts(sessions), _texts(shared_keys)))
        family = {UUID(row[0]) for row in rows}.union(*map(self._family, sessions))
        if not family:
            return
        own = {UUID(row[0]): row[1] for row in self._database.execute(_OWN, (_texts(family),))}
        without = sorted(family - own.keys(), key=lambda session: session.int)
        latest_first = sorted(own, key=lambda session: (own[session], session.int), reverse=True)
        self._database.execute(_MARK, (_texts(without + latest_first),))
        for session in own:
            self._undecided.pop(session, None)
        self._undecided.update(dict.fromkeys(without, family))

    def _family(self, session: UUID) -> set[UUID]:
        return self._undecided.get(session, set())

    def forget(self) -> None:
        """Nothing is known."""
        self._undecided.clear()


def _texts(uuids: Collection[UUID]) -> list[str]:
    return [str(uuid) for uuid in uuids]
