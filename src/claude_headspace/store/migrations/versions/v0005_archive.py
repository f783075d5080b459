"""The archive: what stands in the files of sessions, byte for byte; and what was forgotten."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def _instant(name: str, *, now: bool = False) -> sa.Column[datetime]:
    default = sa.text("clock_timestamp()") if now else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=not now)


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "checkpoints",
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
    )
    op.create_table(
        "sidecars",
        sa.Column(
            "id",
            sa.Integer(),
            sa.Identity(start=-1, increment=-1, minvalue=-(2**31), maxvalue=-1),
            nullable=False,
        ),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("session_uuid", sa.UUID(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sidecars")),
        sa.UniqueConstraint("host", "path", name=op.f("uq_sidecars_host_path")),
    )
    op.create_index(op.f("ix_sidecars_session_uuid"), "sidecars", ["session_uuid"])
    _create_archive()
    op.create_table(
        "tombstones",
        sa.Column("session_uuid", sa.UUID(), nullable=False),
        sa.Column("keep_turns", sa.Boolean(), nullable=False),
        _instant("forgotten_at", now=True),
        sa.PrimaryKeyConstraint("session_uuid", name=op.f("pk_tombstones")),
    )


def _create_archive() -> None:
    numbers = [sa.Column(name, sa.BigInteger()) for name in ("device", "inode", "mtime_ns")]
    sums = [
        sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
        for name in ("archived", "stored", "checksum", "head", "tail")
    ]
    op.create_table(
        "archive_generations",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        *numbers,
        *sums,
        sa.Column("loose", sa.Integer(), server_default="0", nullable=False),
        sa.Column("redacted", sa.Boolean(), server_default="false", nullable=False),
        _instant("gone_at"),
        _instant("updated_at", now=True),
        sa.PrimaryKeyConstraint("source_id", "generation", name=op.f("pk_archive_generations")),
    )
    op.create_index(
        "ix_archive_generations_loose",
        "archive_generations",
        ["updated_at"],
        postgresql_where=sa.text("loose > 1"),
    )
    op.create_table(
        "archive_pieces",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "generation", "start", name=op.f("pk_archive_pieces")),
    )
    # The content is compressed already.
    op.execute("ALTER TABLE archive_pieces ALTER COLUMN content SET STORAGE EXTERNAL")


def downgrade() -> None:
    """Take back."""
    for table in ("tombstones", "archive_pieces", "archive_generations", "sidecars"):
        op.drop_table(table)
    op.drop_column("checkpoints", "generation")
