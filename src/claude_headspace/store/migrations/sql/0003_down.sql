ALTER TABLE registrations ADD COLUMN applied INTEGER DEFAULT '0' NOT NULL;

UPDATE registrations r SET applied = h.generation
FROM (SELECT session_uuid, max(generation) AS generation
    FROM registration_hosts GROUP BY session_uuid) h
WHERE h.session_uuid = r.session_uuid;
CREATE INDEX ix_registrations_waiting ON registrations (session_uuid) WHERE applied < generation;
ALTER TABLE registrations DROP COLUMN host;
DROP TABLE registration_hosts;
