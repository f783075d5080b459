"""Pushes a machine's own log to a central one."""
