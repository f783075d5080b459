"""The schema version this program knows: the revision of the newest migration."""

from __future__ import annotations

SCHEMA_VERSION = "0010"
