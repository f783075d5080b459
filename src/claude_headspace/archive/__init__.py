"""Every byte of every session in Postgres: kept beside the events, restored, proven."""
