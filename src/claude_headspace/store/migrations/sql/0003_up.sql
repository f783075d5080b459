CREATE TABLE registration_hosts (
    host TEXT NOT NULL,
    session_uuid UUID NOT NULL,
    generation INTEGER NOT NULL,
    CONSTRAINT pk_registration_hosts PRIMARY KEY (session_uuid, host),
    CONSTRAINT fk_registration_hosts_session_uuid FOREIGN KEY (session_uuid)
        REFERENCES registrations (session_uuid) ON DELETE CASCADE
);
ALTER TABLE registrations ADD COLUMN host TEXT;

-- It is unknown which of several hosts has applied a registration: each applies it again.
INSERT INTO registration_hosts (host, session_uuid, generation)
SELECT sole.host, r.session_uuid, r.applied
FROM registrations r CROSS JOIN
    (SELECT min(host) AS host FROM source_positions HAVING count(DISTINCT host) = 1) sole
WHERE r.applied > 0;
DROP INDEX ix_registrations_waiting;
ALTER TABLE registrations DROP COLUMN applied;
