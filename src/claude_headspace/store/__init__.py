"""Postgres out: tables, the writer, positions, migrations, queries."""
