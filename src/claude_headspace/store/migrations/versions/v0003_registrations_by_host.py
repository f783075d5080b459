"""What a registration has been applied to is known of each host."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# Of several hosts it is not known which of them applied what: each does it again.
_APPLIED_BY_THE_ONLY_HOST = """
INSERT INTO registration_hosts (host, session_uuid, generation)
SELECT sole.host, r.session_uuid, r.applied
FROM registrations r CROSS JOIN
    (SELECT min(host) AS host FROM source_positions HAVING count(DISTINCT host) = 1) sole
WHERE r.applied > 0
"""
_APPLIED_BY_ANY = """
UPDATE registrations r SET applied = h.generation
FROM (SELECT session_uuid, max(generation) AS generation
    FROM registration_hosts GROUP BY session_uuid) h
WHERE h.session_uuid = r.session_uuid
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "registration_hosts",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("session_uuid", sa.UUID(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_uuid"],
            ["registrations.session_uuid"],
            name=op.f("fk_registration_hosts_session_uuid"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_uuid", "host", name=op.f("pk_registration_hosts")),
    )
    op.add_column("registrations", sa.Column("host", sa.Text(), nullable=True))
    op.execute(_APPLIED_BY_THE_ONLY_HOST)
    op.drop_index("ix_registrations_waiting", table_name="registrations")
    op.drop_column("registrations", "applied")


def downgrade() -> None:
    """Take back."""
    op.add_column(
        "registrations", sa.Column("applied", sa.Integer(), server_default="0", nullable=False)
    )
    op.execute(_APPLIED_BY_ANY)
    op.create_index(
        "ix_registrations_waiting",
        "registrations",
        ["session_uuid"],
        postgresql_where=sa.text("applied < generation"),
    )
    op.drop_column("registrations", "host")
    op.drop_table("registration_hosts")
