"""Proving that the log is complete, by reading all transcripts again; and repairing it."""
