"""Files in: finding transcripts, noticing changes, reading lines, telling turns from the rest."""
