"""Queries of the log for the page, the API and the commands. Read-only; imports no ORM."""
