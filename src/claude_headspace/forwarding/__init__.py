"""Pushes what a machine's own log holds to a central one."""
