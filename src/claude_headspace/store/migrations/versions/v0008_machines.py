"""Projects, sources and registrations belong to machines, independent of host names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from claude_headspace.store.migrations.statements import run

revision = "0008"
down_revision = "0007"

_TABLES = ("projects", "checkpoints", "sidecars", "registrations", "registration_hosts")
_UNIQUE = ("projects", "checkpoints", "sidecars")
# Rows belonged to names so far: a name's id is made of it, and known to machine.id_of_name.
_MACHINES = " UNION ".join(
    f"SELECT md5(host)::uuid, host FROM {table} WHERE host IS NOT NULL"  # noqa: S608
    for table in _TABLES
)
_TO_MACHINE = """
ALTER TABLE {table} ALTER COLUMN host TYPE uuid USING md5(host)::uuid;
ALTER TABLE {table} RENAME COLUMN host TO machine
"""
# Two machines may have one label, but not one name.
_TO_HOST = """
ALTER TABLE {table} RENAME COLUMN machine TO host;
ALTER TABLE {table} ALTER COLUMN host TYPE text USING host::text;
UPDATE {table} t SET host = n.name FROM (SELECT id::text AS id, label ||
    CASE WHEN count(*) OVER (PARTITION BY label) > 1 THEN '-' || left(id::text, 8) ELSE '' END
    AS name FROM machines) n WHERE n.id = t.host
"""
_RENAME = "ALTER TABLE {table} RENAME CONSTRAINT uq_{table}_{old}_path TO uq_{table}_{new}_path"
_PLACES = """
CREATE VIEW places AS SELECT p.id, p.machine, coalesce(m.label, left(p.machine::text, 8)) AS host,
    p.path, p.created_at FROM projects p LEFT JOIN machines m ON m.id = p.machine
"""
_SOURCES = """
CREATE VIEW source_positions AS SELECT c.id, {host} AS host, path,
    committed_offset AS settled_bytes, device, inode, mtime_ns, checksum, head, tail, counts,
    sessions, state, rules, reread_bytes, reread_state, updated_at FROM checkpoints c{more}
"""


def upgrade() -> None:
    """Apply."""
    run("usage_views_down.sql")
    op.execute("DROP VIEW source_positions")
    _create_machines()
    op.execute(f"INSERT INTO machines (id, label) {_MACHINES}")
    for table in _TABLES:
        op.execute(_TO_MACHINE.format(table=table))
    for table in _UNIQUE:
        op.execute(_RENAME.format(table=table, old="host", new="machine"))
    op.execute(_PLACES)
    run("usage_views_up.sql", projects="places")
    host = "coalesce(m.label, left(c.machine::text, 8))"
    op.execute(_SOURCES.format(host=host, more=" LEFT JOIN machines m ON m.id = c.machine"))


def _create_machines() -> None:
    op.create_table(
        "machines",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("version", sa.Text()),
        sa.Column("holder", postgresql.JSONB()),
        sa.Column(
            "first_seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("seen_at", sa.DateTime(timezone=True)),
        sa.Column("backlog_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("behind_since", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machines")),
    )


def downgrade() -> None:
    """Revert."""
    run("usage_views_down.sql")
    op.execute("DROP VIEW source_positions")
    op.execute("DROP VIEW places")
    for table in _TABLES:
        op.execute(_TO_HOST.format(table=table))
    for table in _UNIQUE:
        op.execute(_RENAME.format(table=table, old="machine", new="host"))
    op.drop_table("machines")
    run("usage_views_up.sql", projects="projects")
    op.execute(_SOURCES.format(host="host", more=""))
