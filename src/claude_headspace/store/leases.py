"""Leases of machines: advisory locks that watchers hold for as long as their connections last."""

# The keys of all leases held in this database; a machine's key is LEASE_KEY of its id.
HELD_LEASES = (
    "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND classid = hashtext('claude_headspace.watcher')::oid"
)
LEASE_KEY = "hashtext({machine}::text)::oid"
TAKE_LEASE = "SELECT pg_try_advisory_lock(hashtext('claude_headspace.watcher'), hashtext(%s))"
# How many running watchers have not applied a registration yet.
LEASES_BEHIND = (
    f"SELECT count(*) FROM ({HELD_LEASES}) l JOIN registrations r ON {{which}} WHERE NOT EXISTS"  # noqa: S608
    " (SELECT FROM registration_hosts h WHERE h.session_uuid = r.session_uuid"
    f" AND h.generation >= r.generation AND {LEASE_KEY.format(machine='h.machine')} = l.objid)"
)
