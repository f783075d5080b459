"""Postgres out: tables, the writer, checkpoints, migrations, queries."""
