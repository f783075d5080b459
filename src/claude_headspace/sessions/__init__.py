"""What is known of sessions, for everything that writes events of theirs."""
