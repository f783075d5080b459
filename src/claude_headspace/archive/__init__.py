"""The archive: every byte of every session in Postgres, stored, verified and restored."""
