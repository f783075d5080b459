"""Tables and counts get the names that the field uses: checkpoints and dead letters."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

_TABLES = {"source_positions": "checkpoints", "rejections": "dead_letters"}
_INDEXES = ("ix_{}_inode", "ix_{}_rules")
_CONSTRAINTS = {
    "source_positions": ("pk_{}", "uq_{}_host_path"),
    "rejections": ("pk_{}", "uq_{}_source_id_source_offset_reason", "fk_{}_source_id"),
}
# Programs that read the log by its old names go on working.
_VIEWS = """
CREATE VIEW source_positions AS SELECT id, host, path, committed_offset AS settled_bytes, device,
    inode, mtime_ns, checksum, head, tail, counts, sessions, state, rules, reread_bytes,
    reread_state, updated_at FROM checkpoints;
CREATE VIEW rejections AS SELECT id, source_id, source_offset, reason, detail, content,
    recorded_at, resolved_at FROM dead_letters
"""
_RENAME_COUNT = """
UPDATE checkpoints SET counts = counts - '{old}' || jsonb_build_object('{new}', counts -> '{old}')
WHERE counts ? '{old}'
"""
_RENAME_ANNOTATION = """
UPDATE events SET annotations = annotations - '{old}' || '{{"{new}": true}}'
WHERE annotations ? '{old}'
"""


def upgrade() -> None:
    """Apply."""
    for old, new in _TABLES.items():
        _rename_table(old, new)
    op.alter_column("checkpoints", "settled_bytes", new_column_name="committed_offset")
    _rename_keys("salvaged", "rescued")
    op.execute(_VIEWS)


def downgrade() -> None:
    """Take back."""
    op.execute("DROP VIEW rejections; DROP VIEW source_positions")
    _rename_keys("rescued", "salvaged")
    op.alter_column("checkpoints", "committed_offset", new_column_name="settled_bytes")
    for old, new in _TABLES.items():
        _rename_table(new, old)


def _rename_table(old: str, new: str) -> None:
    op.rename_table(old, new)
    names = _CONSTRAINTS.get(old) or _CONSTRAINTS[new]
    for name in names:
        op.execute(f"ALTER TABLE {new} RENAME CONSTRAINT {name.format(old)} TO {name.format(new)}")
    for name in _INDEXES if "checkpoints" in (old, new) else ():
        op.execute(f"ALTER INDEX {name.format(old)} RENAME TO {name.format(new)}")


def _rename_keys(old: str, new: str) -> None:
    for statement in (_RENAME_COUNT, _RENAME_ANNOTATION):
        op.execute(statement.format(old=old, new=new))
