"""A full-text index that follows the log, and a role that can only read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"

# What the index made of an event ends with the event: it holds its words.
_FORGET = """
CREATE FUNCTION forget_in_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM search_parts s USING gone WHERE s.event_id = gone.id;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_in_search AFTER DELETE ON events
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION forget_in_search();
"""
# Of a text that is revised after it was indexed.
_REVISE = """
CREATE FUNCTION revise_in_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_due (event_id) VALUES (new.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER revise_in_search AFTER UPDATE OF payload ON events FOR EACH ROW
WHEN (old.payload ->> 'text' IS DISTINCT FROM new.payload ->> 'text')
EXECUTE FUNCTION revise_in_search();
"""
# Roles belong to the server: another of its databases may have made this one, or make it now.
_ROLE = """
DO $$
DECLARE
    place text := quote_ident(current_schema());
BEGIN
    IF to_regrole('claude_headspace_reader') IS NULL THEN
        BEGIN
            CREATE ROLE claude_headspace_reader NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END IF;
    IF NOT pg_has_role('claude_headspace_reader', 'MEMBER') THEN
        EXECUTE format('GRANT claude_headspace_reader TO %I', current_user);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO claude_headspace_reader', place);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %s TO claude_headspace_reader', place);
    EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %s TO claude_headspace_reader', place);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %s'
        ' GRANT SELECT ON TABLES TO claude_headspace_reader', place);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %s'
        ' GRANT SELECT ON SEQUENCES TO claude_headspace_reader', place);
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'no role for readers: %', SQLERRM;
END $$
"""
_NO_ROLE = """
DO $$
BEGIN
    IF to_regrole('claude_headspace_reader') IS NOT NULL THEN
        DROP OWNED BY claude_headspace_reader;
        DROP ROLE claude_headspace_reader;
    END IF;
EXCEPTION WHEN insufficient_privilege OR dependent_objects_still_exist THEN
    NULL;
END $$
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "search_parts",
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("begins", sa.Integer(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("prompt", sa.Boolean(), nullable=False),
        sa.Column("words", postgresql.TSVECTOR(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "part", name=op.f("pk_search_parts")),
    )
    op.create_index(
        op.f("ix_search_parts_words"), "search_parts", ["words"], postgresql_using="gin"
    )
    op.create_table(
        "search_cursor",
        sa.Column("single", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("event_id", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("single", name=op.f("ck_search_cursor_single")),
        sa.PrimaryKeyConstraint("single", name=op.f("pk_search_cursor")),
    )
    op.execute("INSERT INTO search_cursor DEFAULT VALUES")
    op.create_table(
        "search_due",
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_search_due")),
    )
    op.execute(_FORGET)
    op.execute(_REVISE)
    op.execute(_ROLE)


def downgrade() -> None:
    """Take back."""
    op.execute(_NO_ROLE)
    for name in ("revise_in_search", "forget_in_search"):
        op.execute(f"DROP TRIGGER {name} ON events")
        op.execute(f"DROP FUNCTION {name}")
    for table in ("search_due", "search_cursor", "search_parts"):
        op.drop_table(table)
