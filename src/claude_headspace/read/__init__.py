"""Questions to the log, for pages, API and commands. Only reads; imports no ORM."""
