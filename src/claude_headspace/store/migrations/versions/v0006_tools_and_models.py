"""What was done and spent: calls of tools, replies of models, and views that add them up."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def _column(name: str, kind: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=options.pop("nullable", False), **options)


_INSTANT = sa.DateTime(timezone=True)


def _tool_calls() -> tuple[sa.Column[Any], ...]:
    return (
        _column("session_uuid", sa.UUID()),
        _column("tool_use_id", sa.Text()),
        _column("tool", sa.Text()),
        _column("subagent", sa.Text(), nullable=True),
        _column("input", sa.Text()),
        _column("input_bytes", sa.Integer()),
        _column("input_whole", sa.Boolean()),
        _column("started_at", _INSTANT),
        _column("copy_of", sa.UUID(), nullable=True),
        _column("source_id", sa.Integer()),
        _column("generation", sa.Integer(), server_default="1"),
        _column("call_offset", sa.BigInteger()),
        _column("call_length", sa.Integer()),
        _column("ended_at", _INSTANT, nullable=True),
        _column("outcome", sa.Text(), nullable=True),
        _column("result_bytes", sa.Integer(), nullable=True),
        _column("result_source_id", sa.Integer(), nullable=True),
        _column("result_generation", sa.Integer(), nullable=True),
        _column("result_offset", sa.BigInteger(), nullable=True),
        _column("result_length", sa.Integer(), nullable=True),
    )


def _model_calls() -> tuple[sa.Column[Any], ...]:
    return (
        _column("message_id", sa.Text()),
        _column("session_uuid", sa.UUID()),
        _column("subagent", sa.Text(), nullable=True),
        _column("model", sa.Text()),
        _column("input_tokens", sa.BigInteger()),
        _column("output_tokens", sa.BigInteger()),
        _column("cache_read_tokens", sa.BigInteger()),
        _column("cache_write_tokens", sa.BigInteger()),
        _column("cache_write_1h_tokens", sa.BigInteger()),
        _column("service_tier", sa.Text(), nullable=True),
        _column("stop_reason", sa.Text(), nullable=True),
        _column("started_at", _INSTANT),
        _column("ended_at", _INSTANT),
    )


_PLACED = """
    CREATE VIEW {view} AS
    SELECT t.*, (t.started_at)::date AS day, p.host, p.path AS project, a.project_id{more}
    FROM {table} t LEFT JOIN agents a ON a.session_uuid = t.session_uuid
    LEFT JOIN {projects} p ON p.id = a.project_id
"""
_DURATION = ", extract(epoch FROM t.ended_at - t.started_at)::float8 AS seconds"
# A call that is repeated by a fork counts once, unless nothing else tells of it.
_ONCE = """
    WHERE t.copy_of IS NULL OR NOT EXISTS (SELECT FROM tool_calls o
        WHERE o.session_uuid = t.copy_of AND o.tool_use_id = t.tool_use_id)
"""
_TOKENS = "count(*) AS replies, " + ", ".join(
    f"sum({name})::bigint AS {name}"
    for name in (
        "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
        "cache_write_1h_tokens",
    )
)  # fmt: skip
_CALLS = """count(*) AS calls, count(*) FILTER (WHERE outcome = 'ok') AS ok,
    count(*) FILTER (WHERE outcome = 'error') AS errors,
    count(*) FILTER (WHERE outcome = 'denied') AS denied,
    count(*) FILTER (WHERE outcome = 'interrupted') AS interrupted,
    count(*) FILTER (WHERE outcome IS NULL) AS unanswered,
    round(sum(seconds)::numeric, 3)::float8 AS seconds, sum(result_bytes)::bigint AS result_bytes"""
_PER = {"day": "day", "project": "host, project", "session": "session_uuid, host, project"}
# The view, by what it groups, and what it adds up, of which view.
_SUMS = (
    *((f"usage_by_{name}", f"{by}, model", _TOKENS, "model_usage") for name, by in _PER.items()),
    ("usage_by_model", "model", _TOKENS, "model_usage"),
    *((f"tools_by_{name}", f"{by}, tool", _CALLS, "tool_usage") for name, by in _PER.items()),
    ("tools_by_tool", "tool", _CALLS, "tool_usage"),
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "tool_calls",
        *_tool_calls(),
        sa.CheckConstraint(
            "outcome IN ('ok', 'error', 'denied', 'interrupted')",
            name=op.f("ck_tool_calls_outcome"),
        ),
        sa.PrimaryKeyConstraint("session_uuid", "tool_use_id", name=op.f("pk_tool_calls")),
    )
    op.create_table(
        "model_calls",
        *_model_calls(),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_model_calls")),
    )
    op.create_index(op.f("ix_model_calls_session_uuid"), "model_calls", ["session_uuid"])
    create_views("projects")


def create_views(projects: str) -> None:
    """Make the views, over whatever tells of projects and their hosts."""
    placed = {"projects": projects}
    op.execute(_PLACED.format(view="model_usage", table="model_calls", more="", **placed))
    tools = _PLACED.format(view="tool_usage", table="tool_calls", more=_DURATION, **placed)
    op.execute(tools + _ONCE)
    for view, by, sums, source in _SUMS:
        op.execute(f"CREATE VIEW {view} AS SELECT {by}, {sums} FROM {source} GROUP BY {by}")  # noqa: S608


def drop_views() -> None:
    """Drop them."""
    for view in (*(each[0] for each in _SUMS), "tool_usage", "model_usage"):
        op.execute(f"DROP VIEW {view}")


def downgrade() -> None:
    """Take back."""
    drop_views()
    op.drop_table("model_calls")
    op.drop_table("tool_calls")
