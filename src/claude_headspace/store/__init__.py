"""The log in Postgres: tables, the writer, checkpoints, migrations, queries."""
