"""What is known about sessions, for everything that writes their events."""
