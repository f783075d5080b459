"""Why a line or an event is rejected: the `reason` of its dead letter (docs/events.md)."""

from __future__ import annotations

# Of one record.
DAMAGED = "damaged"
IDENTITY = "identity"
TIMESTAMP = "timestamp"
# Of a whole line, whatever it holds. A refused turn has its own offset, if it is known.
TOO_LONG = "too_long"
POISON = "poison"
REFUSED = "refused"

WHOLE_LINE = frozenset({TOO_LONG, POISON, REFUSED})
REASONS = (DAMAGED, IDENTITY, POISON, REFUSED, TIMESTAMP, TOO_LONG)
