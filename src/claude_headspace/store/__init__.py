"""The log in Postgres: tables, the writer, checkpoints, migrations, queries."""

import sys

# Loading the driver loads `ssl`, which is slow; only OpenSSL before 1.1 needed that.
if "ssl" not in sys.modules:
    sys.modules["ssl"] = None  # type: ignore[assignment]
    try:
        import psycopg2  # noqa: F401
    finally:
        del sys.modules["ssl"]
