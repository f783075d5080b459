"""Files in: finding transcripts, noticing changes, reading lines, classifying them."""
