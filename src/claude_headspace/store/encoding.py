"""Every connection uses UTF-8, whatever the environment and the server say."""

from __future__ import annotations

from typing import Any

from claude_headspace.errors import WrongEncoding

# Overrides the address, PGCLIENTENCODING, PGOPTIONS and the role's settings.
CLIENT_ENCODING = {"client_encoding": "UTF8"}


def require_utf8(connection: Any) -> None:
    """Raise WrongEncoding unless the database behind this connection is encoded in UTF-8."""
    found = connection.get_parameter_status("server_encoding")
    if found not in ("UTF8", None):
        raise WrongEncoding(
            f"the database {connection.info.dbname} is encoded in {found}, and only UTF8 can store"
            " every text: create one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0,"
            " and name it in database.url"
        )
