"""Reading transcripts: lines, records, and their classification."""
