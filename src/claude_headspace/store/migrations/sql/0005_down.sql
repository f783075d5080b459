DROP TABLE tombstones;
DROP TABLE archive_pieces;
DROP TABLE archive_generations;
DROP TABLE sidecars;
ALTER TABLE checkpoints DROP COLUMN generation;
