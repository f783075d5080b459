"""The embedded PostgreSQL, from a wheel, as a program under supervisord."""
