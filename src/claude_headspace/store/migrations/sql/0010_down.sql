DROP FUNCTION IF EXISTS forwards_deletions, forwards_changes CASCADE;
DROP TABLE forward_due;
DROP TABLE forwarded_ids;
DROP TABLE forwarders;
