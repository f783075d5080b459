"""What the log holds: event types, payload schemas, the event itself. No I/O."""
