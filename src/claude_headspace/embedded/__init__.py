"""A PostgreSQL of our own, from a wheel, as a program under supervisord."""
