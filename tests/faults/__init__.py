"""Faults made on purpose, the load they meet, and an independent count of what came through."""
