"""Alembic migrations of the event log."""
