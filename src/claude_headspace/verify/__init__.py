"""Proof that the log is whole: the transcripts read again and compared, and what repairs it."""
