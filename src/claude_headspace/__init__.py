"""The event log of Claude Code sessions: transcripts in, events in Postgres out."""
